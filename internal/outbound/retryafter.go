package outbound

import (
	"net/http"
	"strings"
	"time"
)

// ParseRetryAfter reads the header Retry-After: seconds, or a date in one of the three forms of HTTP. A date is measured from date, the
// Date header of the same answer, so that the two clocks need not agree, and from now where that is missing. What lies in the past
// is no wait; what lies beyond most, which is positive, is most. ok is false for a value that is neither.
func ParseRetryAfter(value, date string, now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	value = strings.Trim(value, " \t")
	if value == "" {
		return 0, false
	}
	if wait, ok = parseSeconds(value, most); ok {
		return wait, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	from := now
	if sent, err := http.ParseTime(date); err == nil {
		from = sent
	}
	// The difference of two times is clamped, never wrapped, by Sub.
	return min(max(at.Sub(from), 0), most), true
}

// parseSeconds reads digits and nothing else. However many there are, the result is at most most.
func parseSeconds(s string, most time.Duration) (time.Duration, bool) {
	limit := int64(most/time.Second) + 1
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int64(c-'0'); n > limit {
			n = limit
		}
	}
	return min(time.Duration(n)*time.Second, most), true
}
