package record

import "fmt"

// Codec is how the records of a batch are compressed, by its number in the batch's attributes.
type Codec uint8

// The codecs.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// Known reports whether the codec is one of the five.
func (c Codec) Known() bool { return c <= Zstd }

func (c Codec) String() string {
	if !c.Known() {
		return fmt.Sprintf("codec(%d)", uint8(c))
	}
	return codecNames[c]
}

// ParseCodec is the opposite of String for the five.
func ParseCodec(s string) (Codec, error) {
	for i, n := range codecNames {
		if n == s {
			return Codec(i), nil
		}
	}
	return None, invalid("compression", "%q is not known; none, gzip, snappy, lz4 and zstd are", s)
}
