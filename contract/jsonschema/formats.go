package jsonschema

import js "github.com/santhosh-tekuri/jsonschema/v6"

// plainFormats say yes for certain, or that the library has to look: what most events have needs no more.
var plainFormats = map[string]func([]byte) bool{
	"date-time": plainDateTime, "date": plainDate, "uuid": plainUUID, "email": plainEmail, "hostname": plainHostname, "ipv4": plainIPv4, "uri": plainURI,
}

func formatOf(f *js.Format) func([]byte) bool {
	plain := plainFormats[f.Name]
	return func(b []byte) bool { return plain != nil && plain(b) || f.Validate(string(b)) == nil }
}

const dateTimeBytes = len("2006-01-02T15:04:05Z")

func numeral(b []byte) (n int) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1 << 20
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// plainDate is a date of which every calendar says that it is one.
func plainDate(b []byte) bool {
	if len(b) != len("2006-01-02") || b[4] != '-' || b[7] != '-' {
		return false
	}
	month, day := numeral(b[5:7]), numeral(b[8:])
	last := 30
	switch month {
	case 2:
		last = 28
	case 1, 3, 5, 7, 8, 10, 12:
		last = 31
	}
	return numeral(b[:4]) >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= last
}

func plainDateTime(b []byte) bool {
	if len(b) < dateTimeBytes || b[10] != 'T' || b[len(b)-1] != 'Z' || b[13] != ':' || b[16] != ':' || !plainDate(b[:10]) {
		return false
	}
	h, m, s := numeral(b[11:13]), numeral(b[14:16]), numeral(b[17:19])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 {
		return false
	}
	rest := b[19 : len(b)-1]
	return len(rest) == 0 || rest[0] == '.' && len(rest) > 1 && len(rest) <= 10 && numeral(rest[1:]) >= 0
}

func plainUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, c := range b {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

const (
	labelBytesMax = 63
	hostBytesMax  = 253
	localBytesMax = 64
	emailBytesMax = 254
)

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// plainHostname: labels of letters, digits and hyphens inside.
func plainHostname(b []byte) bool {
	if len(b) == 0 || len(b) > hostBytesMax {
		return false
	}
	label := 0
	for i, c := range b {
		switch {
		case alphanumeric(c):
			label++
		case c == '-' && label > 0 && i+1 < len(b) && b[i+1] != '.':
			label++
		case c == '.' && label > 0 && i+1 < len(b):
			label = 0
		default:
			return false
		}
		if label > labelBytesMax {
			return false
		}
	}
	return true
}

// plainEmail: letters, digits and single dots, underscores, hyphens and plusses before a host.
func plainEmail(b []byte) bool {
	for i, c := range b {
		switch {
		case alphanumeric(c):
		case c == '@' && i > 0:
			return i <= localBytesMax && len(b) <= emailBytesMax && alphanumeric(b[i-1]) && plainHostname(b[i+1:]) && !plainIPv4(b[i+1:])
		case (c == '.' || c == '_' || c == '-' || c == '+') && i > 0 && alphanumeric(b[i-1]):
		default:
			return false
		}
	}
	return false
}

func plainIPv4(b []byte) bool {
	parts, n, width := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' && (width == 0 || n > 0) && width < 3:
			n, width = 10*n+int(c-'0'), width+1
		case c == '.' && width > 0 && n <= 255:
			parts, n, width = parts+1, 0, 0
		default:
			return false
		}
	}
	return parts == 3 && width > 0 && n <= 255
}

// plainURI: http and https with a host and a path, neither escapes nor a port.
func plainURI(b []byte) bool {
	rest := b
	for _, scheme := range []string{"https://", "http://"} {
		if len(b) > len(scheme) && string(b[:len(scheme)]) == scheme {
			rest = b[len(scheme):]
			break
		}
	}
	if len(rest) == len(b) {
		return false
	}
	host := 0
	for host < len(rest) && rest[host] != '/' {
		host++
	}
	if !plainHostname(rest[:host]) {
		return false
	}
	for _, c := range rest[host:] {
		if !alphanumeric(c) && c != '/' && c != '-' && c != '_' && c != '.' && c != '~' && c != '?' && c != '=' && c != '&' {
			return false
		}
	}
	return true
}
