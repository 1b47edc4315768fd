package record

import "encoding/base64"

// An event in an HTTP message, binary mode of the CloudEvents HTTP protocol binding 1.0.2, section 3.1:
//
//	Content-Type   datacontenttype
//	Ce-<Name>      every other attribute, percent-encoded
//	body           data
//
// In structured mode the body is what AppendJSON writes, in a batch an array of those.
const (
	HTTPStructuredType = "application/cloudevents+json; charset=utf-8"
	HTTPBatchType      = "application/cloudevents-batch+json; charset=utf-8"
)

// EachHTTPHeader calls fn with every header of the event in binary mode, in a fixed order, names in net/http's canonical form. The key and the
// plain headers are attributes as in JSON, so that nothing is lost. An event that says nothing of its data's type has no Content-Type.
func (e *Event) EachHTTPHeader(fn func(name, value string)) {
	fn("Ce-Specversion", SpecVersion)
	fn("Ce-Id", httpValue(e.ID))
	fn("Ce-Source", httpValue(e.Source))
	fn("Ce-Type", httpValue(e.Type))
	for _, a := range [...]struct{ name, value string }{{"Ce-Time", e.Time}, {"Ce-Subject", e.Subject}, {"Ce-Dataschema", e.DataSchema}} {
		if a.value != "" {
			fn(a.name, httpValue(a.value))
		}
	}
	switch {
	case e.Key == nil:
	case len(e.Key) > 0 && isText(e.Key):
		fn("Ce-Partitionkey", httpValue(stringOf(e.Key)))
	default:
		fn("Ce-Leatkeybase64", base64.StdEncoding.EncodeToString(e.Key))
	}
	eachExtension(e.Extensions, func(a *Attribute) { fn(httpName(a.Name), httpValue(a.Value)) })
	if len(e.Headers) > 0 {
		// It is percent-encoded once as a query string, and once more as a header: readers take one layer off.
		fn("Ce-Leatheaders", httpValue(stringOf(AppendHeadersAttribute(nil, e.Headers))))
	}
	if e.DataContentType != "" {
		fn("Content-Type", e.DataContentType)
	}
}

// httpName is Ce-Name for an attribute, whose name is a-z0-9.
func httpName(attribute string) string {
	b := append([]byte("Ce-"), attribute...)
	if c := b[3]; 'a' <= c && c <= 'z' {
		b[3] = c - 'a' + 'A'
	}
	return stringOf(b)
}

func httpValue(s string) string {
	for i := range len(s) {
		if httpEncodes(s[i]) {
			return stringOf(AppendHTTPValue(nil, s))
		}
	}
	return s
}

// AppendHTTPValue appends an attribute's value as a header carries it: space, quote, percent and all that is not printable ASCII become %HH.
func AppendHTTPValue(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; httpEncodes(c) {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

func httpEncodes(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '%' }
