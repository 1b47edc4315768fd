package hooks

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// members returns two text members of a JSON object, as far as they are there. An empty name asks for nothing. Only what is signed
// is read so; it may be JSON of any kind, or none. Of a member that is there twice the first counts.
func members(body []byte, first, second string) (a, b string) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", ""
	}
	var seenA, seenB bool
	for d.More() {
		t, err := d.Token()
		if err != nil {
			break
		}
		name, _ := t.(string)
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break
		}
		switch {
		case name == "":
		case name == first && !seenA:
			a, seenA = text(value), true
		case name == second && !seenB:
			b, seenB = text(value), true
		}
		if (first == "" || seenA) && (second == "" || seenB) {
			break
		}
	}
	return a, b
}

func text(v json.RawMessage) string {
	var s string
	if len(v) == 0 || v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return ""
	}
	return clean(s)
}

// clean returns a name that can stand in an attribute, or nothing.
func clean(s string) string {
	if len(s) > IDBytesMax || !utf8.ValidString(s) {
		return ""
	}
	for _, c := range s {
		if c < 0x20 || c >= 0x7f && c <= 0x9f {
			return ""
		}
	}
	return s
}
