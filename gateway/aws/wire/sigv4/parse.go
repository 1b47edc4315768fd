package sigv4

import (
	"encoding/hex"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leat/gateway/aws/wire"
)

// The two places in which a signature stands:
//
//	Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature=<hex>
//	X-Amz-Date: 20150830T123600Z
//
//	?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20150830%2F…&X-Amz-Date=…&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=<hex>

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// Limits of what is read.
const (
	SkewMax          = 15 * time.Minute   // between the signer's clock and ours
	ExpiresMax       = 7 * 24 * time.Hour // of a URL
	SignedHeadersMax = 64
	AccessKeyMax     = 128 // bytes
)

// Request is what signatures are made over. Header has canonical names (net/http's) and lacks Host, as in a server.
type Request struct {
	Method string
	Path   string // as it was sent, escaped
	Query  string // as it was sent
	Host   string
	Header map[string][]string
	Body   []byte
}

func (r *Request) header(name string) string {
	if v := r.Header[textproto.CanonicalMIMEHeaderKey(name)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Signature is what a request says of its own signature. Nothing of it is proven before Verify.
type Signature struct {
	AccessKey string
	Region    string
	Service   string
	Token     string // X-Amz-Security-Token
	Time      time.Time

	date      string // of the scope
	headers   []string
	sum       []byte
	presigned bool
	expires   time.Duration
}

// Signed reports whether a request bears a signature at all, good or bad.
func Signed(r *Request) bool {
	return r.header("Authorization") != "" || strings.Contains(r.Query, "X-Amz-Algorithm=")
}

// Parse reads the signature of a request. Without one it is refused with MissingAuthentication.
func Parse(r *Request) (Signature, *wire.Error) {
	if a := r.header("Authorization"); a != "" {
		return parseHeader(r, a)
	}
	if strings.Contains(r.Query, "X-Amz-Algorithm=") {
		return parseQuery(r)
	}
	return Signature{}, wire.Refuse(wire.MissingAuthentication, "Missing Authentication Token")
}

func incomplete(what string) *wire.Error { return wire.Refuse(wire.IncompleteSignature, what) }

func parseHeader(r *Request, a string) (s Signature, err *wire.Error) {
	rest, ok := strings.CutPrefix(a, algorithm)
	if !ok || rest != "" && rest[0] != ' ' {
		return s, incomplete("Unsupported AWS 'algorithm': '" + firstWord(a) + "'.")
	}
	var credential, headers, sum string
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			headers = value
		case "Signature":
			sum = value
		}
	}
	for _, p := range []struct{ name, value string }{{"Credential", credential}, {"Signature", sum}, {"SignedHeaders", headers}} {
		if p.value == "" {
			return s, incomplete("Authorization header requires '" + p.name + "' parameter.")
		}
	}
	date := r.header("X-Amz-Date")
	if date == "" {
		if date, ok = fromDate(r.header("Date")); !ok {
			return s, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
		}
	}
	s.Token = r.header("X-Amz-Security-Token")
	return s.fill(credential, headers, sum, date)
}

// fromDate makes of HTTP's date what X-Amz-Date would be. Some clients put the latter's form there.
func fromDate(v string) (string, bool) {
	for _, layout := range []string{timeFormat, time.RFC1123, time.RFC1123Z} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC().Format(timeFormat), true
		}
	}
	return "", false
}

func parseQuery(r *Request) (s Signature, err *wire.Error) {
	q, bad := url.ParseQuery(r.Query)
	if bad != nil {
		return s, incomplete("The query string is not well formed.")
	}
	if a := q.Get("X-Amz-Algorithm"); a != algorithm {
		return s, incomplete("Unsupported AWS 'algorithm': '" + firstWord(a) + "'.")
	}
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if q.Get(name) == "" {
			return s, incomplete("AWS query-string parameters must include '" + name + "'.")
		}
	}
	s.presigned = true
	s.expires = SkewMax
	if e := q.Get("X-Amz-Expires"); e != "" {
		n, bad := strconv.ParseInt(e, 10, 64)
		if bad != nil || n < 1 || n > int64(ExpiresMax/time.Second) {
			return s, incomplete("X-Amz-Expires must be between 1 and 604800 seconds.")
		}
		s.expires = time.Duration(n) * time.Second
	}
	s.Token = q.Get("X-Amz-Security-Token")
	return s.fill(q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Date"))
}

// fill reads what both places have.
func (s Signature) fill(credential, headers, sum, date string) (Signature, *wire.Error) {
	// The access key is the rest in front: it may have slashes of its own.
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != terminator {
		return s, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + clip(credential) + "'")
	}
	s.AccessKey = strings.Join(parts[:n-4], "/")
	s.date, s.Region, s.Service = parts[n-4], parts[n-3], parts[n-2]
	if s.AccessKey == "" || len(s.AccessKey) > AccessKeyMax || s.Region == "" || s.Service == "" {
		return s, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + clip(credential) + "'")
	}
	t, err := time.Parse(timeFormat, date)
	if err != nil {
		return s, incomplete("Date must be in ISO-8601 'basic format'. Got '" + clip(date) + "'.")
	}
	s.Time = t
	if day := t.Format(dateFormat); s.date != day {
		return s, wire.Refuse(wire.InvalidSignature, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '"+clip(s.date)+"' != '"+day+"', from '"+date+"'.")
	}
	s.headers = strings.Split(headers, ";")
	if len(s.headers) > SignedHeadersMax {
		return s, incomplete("Too many signed headers.")
	}
	if s.sum, err = hex.DecodeString(sum); err != nil || len(s.sum) != 32 {
		return s, wire.Refuse(wire.InvalidSignature, mismatch)
	}
	return s, nil
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return clip(w)
}

// clip shortens what is repeated in a refusal.
func clip(s string) string { return s[:min(len(s), 200)] }
