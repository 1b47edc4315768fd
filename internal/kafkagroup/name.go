package kafkagroup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"leat/broker/record"
)

// Group ids are any text, names of subscriptions 249 of few letters. An id that fits is taken as it is. Any other has this written for it:
//
//	kafka.esc. and the id        letters, digits, "." and "-" as they are, every other byte as _ and two digits: "my group" is kafka.esc.my_20group
//	kafka.esc. and its begin     _- and 32 digits of its SHA-256, where that would be too long
//
// The document of the subscription has the id as it is. Ids that look like those are written so, too, and such as begin with leat., which are the
// platform's.
const (
	escaped       = "kafka.esc."
	escapedCut    = "_-"
	escapedBegin  = 150 // bytes of the escaped text before escapedCut
	hashBytesKept = 16
)

// Name is the name of the subscription that stands for a group.
func Name(id string) string {
	if record.CheckStreamName(id) == nil && !strings.HasPrefix(id, escaped) && !strings.HasPrefix(id, "leat.") {
		return id
	}
	var b strings.Builder
	b.WriteString(escaped)
	for i := 0; i < len(id) && b.Len() <= record.StreamNameBytesMax; i++ {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
			b.WriteByte(c)
		default:
			b.WriteString("_" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	if b.Len() <= record.StreamNameBytesMax {
		return b.String()
	}
	h := sha256.Sum256([]byte(id))
	return b.String()[:escapedBegin] + escapedCut + hex.EncodeToString(h[:hashBytesKept])
}

// Unname is the group id, or its beginning, that Name has written so; what was cut stays as it is.
func Unname(name string) string {
	text, ok := strings.CutPrefix(name, escaped)
	if !ok || strings.Contains(text, escapedCut) {
		return name
	}
	var id []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '_' {
			id = append(id, text[i])
			continue
		}
		if i+3 > len(text) {
			return name
		}
		c, err := hex.DecodeString(text[i+1 : i+3])
		if err != nil {
			return name
		}
		id, i = append(id, c...), i+2
	}
	return string(id)
}

// DocumentKey marks the subscriptions that are groups: it is the key of their document.
const DocumentKey = "kafka.group"

type document struct {
	ID string `json:"id"`
}

// Document is what a group's subscription says of it.
func Document(id string) string {
	p, err := json.Marshal(document{id})
	if err != nil {
		panic(err) // a string
	}
	return string(p)
}

// ID reads what Document has written; false: it is no such document.
func ID(text string) (string, bool) {
	var d document
	if json.Unmarshal([]byte(text), &d) != nil || d.ID == "" {
		return "", false
	}
	return d.ID, true
}
