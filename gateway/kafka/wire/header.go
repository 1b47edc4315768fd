package wire

// Keys of the requests that this package knows by name.
const (
	KeyProduce     int16 = 0
	KeyFetch       int16 = 1
	KeyMetadata    int16 = 3
	KeyApiVersions int16 = 18
)

// HeaderBytesMin is the shortest request header: key, version, correlation id.
const HeaderBytesMin = 8

// Header is what every request starts with, after its four bytes of length:
//
//	key int16 | version int16 | correlation int32 | client id nullable string (plain in every version) | tagged fields, if flexible
type Header struct {
	Key, Version int16
	Correlation  int32
	ClientID     []byte // a slice of the frame; nil when null
}

// DecodeHeader takes the header off a frame and returns it with the body. flexible says whether requests of that key and version are
// flexible; for a version it does not know, it says false, and the body is whatever follows the client id.
func DecodeHeader(frame []byte, flexible func(key, version int16) bool) (Header, []byte, error) {
	r := NewReader(frame, false)
	h := Header{Key: r.Int16(), Version: r.Int16(), Correlation: r.Int32()}
	h.ClientID = r.String()
	if r.Err() == nil && flexible(h.Key, h.Version) {
		r.Flexible = true
		r.Tags()
	}
	return h, r.Rest(), r.Err()
}

// AppendResponseHeader starts a response frame: four bytes for the length, which EndFrame fills in, the correlation id, and the empty
// tagged fields of a flexible response. (A response to ApiVersions is never flexible here, whatever its version.)
func AppendResponseHeader(dst []byte, correlation int32, flexible bool) []byte {
	dst = appendInt32(append(dst, 0, 0, 0, 0), correlation)
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}

// EndFrame fills in the length of the frame that starts at dst[start] and ends, extra bytes that are sent from elsewhere included, at
// the end of dst.
func EndFrame(dst []byte, start, extra int) {
	n := uint32(len(dst) - start - 4 + extra)
	dst[start], dst[start+1], dst[start+2], dst[start+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}
