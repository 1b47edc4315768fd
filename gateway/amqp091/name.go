package amqp091

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"leat/broker/record"
)

// Names of exchanges and queues are up to 255 bytes of any text, those of streams and subscriptions 249 of few letters. A name that fits is
// taken as it is. Any other has this written for it, which can be read back:
//
//	amqp.esc. and the name     letters, digits, "." and "-" as they are, every other byte as _ and two digits: "my queue" is amqp.esc.my_20queue
//	amqp.esc. and its begin    _- and 32 digits of its SHA-256, where that would be too long; the whole name is in the document
//
// Names that look like those are written so, too, and amqp.default, which is the stream of the exchange without a name.

const (
	escaped       = "amqp.esc."
	escapedCut    = "_-"
	escapedBegin  = 150 // bytes of the escaped text before escapedCut
	hashBytesKept = 16
)

// ourName is the name of the stream or subscription that stands for an exchange or queue.
func ourName(name string) string {
	if record.CheckStreamName(name) == nil && !strings.HasPrefix(name, escaped) && name != defaultStream {
		return name
	}
	var b strings.Builder
	b.WriteString(escaped)
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
			b.WriteByte(c)
		default:
			b.WriteString("_" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	if b.Len() <= record.StreamNameBytesMax {
		return b.String()
	}
	h := sha256.Sum256([]byte(name))
	return b.String()[:escapedBegin] + escapedCut + hex.EncodeToString(h[:hashBytesKept])
}

// theirName is the name that was escaped; whole is false when only its document knows it.
func theirName(ours string) (name string, whole bool) {
	text, is := strings.CutPrefix(ours, escaped)
	if !is {
		return ours, true
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '_' {
			b.WriteByte(text[i])
			continue
		}
		if i+3 > len(text) {
			return ours, false
		}
		c, err := hex.DecodeString(text[i+1 : i+3])
		if err != nil {
			return ours, false
		}
		b.Write(c)
		i += 2
	}
	return b.String(), true
}
