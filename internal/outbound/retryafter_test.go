package outbound

import (
	"math"
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2015, 10, 21, 7, 27, 0, 0, time.UTC)
	const most = time.Hour
	for _, c := range []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"120", "", 2 * time.Minute, true},
		{" 7 ", "", 7 * time.Second, true},
		{"0", "", 0, true},
		{"3601", "", most, true},
		{"99999999999999999999999999", "", most, true},
		{"Wed, 21 Oct 2015 07:28:00 GMT", "", time.Minute, true},
		{"Wednesday, 21-Oct-15 07:28:00 GMT", "", time.Minute, true},
		{"Wed Oct 21 07:28:00 2015", "", time.Minute, true},
		{"Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:27:50 GMT", 10 * time.Second, true}, // its clock, not ours
		{"Wed, 21 Oct 2015 07:26:00 GMT", "", 0, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", most, true},
		{"", "", 0, false}, {"-1", "", 0, false}, {"1.5", "", 0, false}, {"soon", "", 0, false}, {"1 2", "", 0, false}, {"+1", "", 0, false},
	} {
		if got, ok := ParseRetryAfter(c.value, c.date, now, most); got != c.want || ok != c.ok {
			t.Errorf("%q %q: got %v %v, want %v %v", c.value, c.date, got, ok, c.want, c.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "Wed, 21 Oct 2015 07:28:00 GMT", "Wednesday, 21-Oct-15 07:28:00 GMT", "-1", "9223372036854775808", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(s, "", int64(1445412420), int64(3600))
		f.Add(s, s, int64(math.MinInt64), int64(1))
	}
	f.Fuzz(func(t *testing.T, value, date string, now, seconds int64) {
		most := time.Duration(seconds)
		if most <= 0 {
			return
		}
		wait, ok := ParseRetryAfter(value, date, time.Unix(now, 0), most)
		if wait < 0 || wait > most || !ok && wait != 0 {
			t.Errorf("%q %q: %v %v of %v", value, date, wait, ok, most)
		}
	})
}
