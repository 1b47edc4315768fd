package record

import "time"

// ParseTime reads a time as RFC 3339 writes it and gives its milliseconds since 1970.
func ParseTime(s string) (ms int64, err error) {
	ms, why := parseTime(s)
	if why != "" {
		return 0, badAttribute("time", "%q is not a time as in RFC 3339, such as 2026-11-21T09:30:00Z: %s", clip(s), why)
	}
	return ms, nil
}

// parseTime is a strict reader of RFC 3339: T and Z in either case, any number of fraction digits, the leap second, offsets up to
// 23:59. The standard library's parser takes less (no leap second) and, in older forms, more.
func parseTime(s string) (ms int64, why string) {
	const form = "2006-01-02T15:04:05"
	if len(s) < len(form)+1 {
		return 0, "it is too short"
	}
	var ok [6]bool
	year, month, day := digits(s[0:4], &ok[0]), digits(s[5:7], &ok[1]), digits(s[8:10], &ok[2])
	hour, minute, second := digits(s[11:13], &ok[3]), digits(s[14:16], &ok[4]), digits(s[17:19], &ok[5])
	if ok != [6]bool{true, true, true, true, true, true} || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, "it has not the form date T time"
	}
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, "there is no such day"
	}
	if hour > 23 || minute > 59 || second > 60 {
		return 0, "there is no such time of day"
	}
	rest, milli := s[19:], 0
	if rest[0] == '.' {
		n := 1
		for scale := 100; n < len(rest) && isDigit(rest[n]); n++ {
			milli += scale * int(rest[n]-'0')
			scale /= 10
		}
		if n == 1 {
			return 0, "a fraction has no digits"
		}
		rest = rest[n:]
	}
	offset, good := zone(rest)
	if !good {
		return 0, "it ends with neither Z nor an offset such as +02:00"
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix() - int64(offset)*60
	return t*1000 + int64(milli), ""
}

// zone gives minutes east of UTC.
func zone(s string) (minutes int, ok bool) {
	if len(s) == 1 && s[0]|0x20 == 'z' {
		return 0, true
	}
	if len(s) != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':' {
		return 0, false
	}
	var okHour, okMinute bool
	h, m := digits(s[1:3], &okHour), digits(s[4:6], &okMinute)
	if !okHour || !okMinute || h > 23 || m > 59 {
		return 0, false
	}
	if s[0] == '-' {
		return -(h*60 + m), true
	}
	return h*60 + m, true
}

func digits(s string, ok *bool) int {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	*ok = true
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// Years that RFC 3339 can write, in milliseconds.
const (
	timeMinMS = -62167219200000 // 0000-01-01T00:00:00Z
	timeMaxMS = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// AppendTime appends ms as RFC 3339 in UTC with three digits of fraction, and nothing for a time that has no such form.
func AppendTime(dst []byte, ms int64) []byte {
	if ms < timeMinMS || ms > timeMaxMS {
		return dst
	}
	t := time.UnixMilli(ms).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(two(dst, year/100), byte('0'+year/10%10), byte('0'+year%10), '-')
	dst = append(two(dst, int(month)), '-')
	dst = append(two(dst, day), 'T')
	dst = append(two(dst, hour), ':')
	dst = append(two(dst, minute), ':')
	dst = append(two(dst, second), '.')
	milli := t.Nanosecond() / 1e6
	return append(dst, byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}

func two(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }
