package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSON_RefusesWhatIsNotJSON(t *testing.T) {
	const q = `"QueueUrl":"u","MessageBody":`
	for _, c := range []struct{ body, want string }{
		{`{` + q + `1}`, "NUMBER_VALUE can not be converted to String"},
		{`{` + q + `true}`, "TRUE_VALUE can not be converted to String"},
		{`{` + q + `{}}`, "START_OBJECT can not be converted to String"},
		{`{` + q + `["a"]}`, "START_ARRAY can not be converted to String"},
		{`{` + q + `"a","DelaySeconds":"5"}`, "STRING_VALUE can not be converted to Integer"},
		{`{` + q + `"a","DelaySeconds":5.5}`, "5.5 can not be converted to Integer"},
		{`{` + q + `"a","DelaySeconds":99999999999999999999}`, "99999999999999999999 can not be converted to Integer"},
		{`{` + q + `"a","DelaySeconds":05}`, "unexpected character at byte 50: want a comma or the end"},
		{`{` + q + `"a",}`, "unexpected character at byte 34: want an element"},
		{`{` + q + `"a"`, "unexpected end of the JSON document: want a comma or the end"},
		{`{` + q + `"a`, "unexpected end of the JSON document: want the end of a string"},
		{`{` + q + `"a\`, "unexpected end of the JSON document: want the end of a string"},
		{`{` + q + `"a` + "\n" + `"}`, "unexpected character at byte 32: want no control characters in a string"},
		{`{` + q + `"\x41"}`, "unexpected character at byte 31: want an escape"},
		{`{` + q + `"\u12g4"}`, "unexpected character at byte 37: want a character in \\u escapes"},
		{`{` + q + `"\ud800"}`, "unexpected character at byte 37: want a character in \\u escapes"},
		{`{` + q + `"\ud800\u0041"}`, "unexpected character at byte 43: want a character in \\u escapes"},
		{`{` + q + "\"\xff\"}", "the request is not UTF-8"},
		{`{` + q + `"a"} {}`, "unexpected text behind the JSON document"},
		{`[]`, "START_ARRAY can not be converted to an object"},
		{`nothing`, "unexpected character at byte 0: want an object"},
		{`{"x":` + strings.Repeat("[", DepthMax) + strings.Repeat("]", DepthMax) + `}`, "the JSON document is nested too deeply"},
		{`{` + q + `"a","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"?"}}}`, "a binary value is not base64"},
	} {
		var in SendMessageInput
		err := SendMessage.Decode(asJSON(t, "SendMessage", c.body), &in)
		if err == nil || err.Code != MalformedRequest || err.Message != c.want {
			t.Errorf("%s: %v, want %s", c.body, err, c.want)
		}
	}
}

func TestJSON_PassesOverWhatIsNotOfTheShape(t *testing.T) {
	var in SendMessageInput
	err := SendMessage.Decode(asJSON(t, "SendMessage", ` { "New" : [1, -2.5e+3, {"a":[true,false,null]}, "x\"y"] , "DelaySeconds":null, "MessageBody" : "b", "QueueUrl":"u",
		"MessageAttributes":{"n":{"StringValue":"1","DataType":"Number","StringListValues":[],"BinaryListValues":[]}},"More":{}} `), &in)
	if err != nil {
		t.Fatal(err)
	}
	want := SendMessageInput{QueueURL: "u", Message: Message{Body: "b", Attributes: Attributes{{Name: "n", DataType: "Number", String: Some("1")}}}}
	if d := cmp.Diff(want, in); d != "" {
		t.Error(d)
	}
}

// Every text that JSON can carry is read as encoding/json reads it, and written so that it is read again.
func TestJSON_TextsAreThoseOfEncodingJSON(t *testing.T) {
	var texts []string
	for n := range 40 { // every place within and beside eight bytes
		texts = append(texts, strings.Repeat("x", n)+"\""+strings.Repeat("y", n), strings.Repeat("é", n)+"\\\x1f\x7f", strings.Repeat("z", n))
	}
	texts = append(texts, odd, "", "\x00\b\f\n\r\t", "\u2028\u2029", "\U0010FFFF", "a\xffb")
	for _, s := range texts {
		quoted := AppendQuoted(nil, s)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") {
			t.Errorf("%q is written as %s, read as %q, %v", s, quoted, back, err)
		}
		std, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range [][]byte{quoted, std} {
			r := readDocument(bytes.Clone(doc))
			if got := r.text(); got != back || r.finish() != nil {
				t.Errorf("%s is read as %q, %v", doc, got, r.err)
			}
		}
	}
}

func TestValidText(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "plain text, longer than eight bytes": true, "tab\tline\nreturn\r": true, "é😀": true, "\"\\": true, "12345678é\t\"": true,
		"\x00": false, "12345678\x01": false, "1234567890\x1f": false, "\uFFFE": false, "a\uFFFF": false, "\uFFFD": true, "\uE000": true, "\xff": false, "\xed\xa0\x80": false,
		"\x7f": true,
	} {
		if got := ValidText(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// Binary values are decoded where they stand, which encoding/base64 does not promise but does.
func TestJSON_BinaryValuesOfEveryLength(t *testing.T) {
	for n := range 200 {
		want := make([]byte, n+1)
		for i := range want {
			want[i] = byte(i*7 + n)
		}
		in := SendMessageInput{QueueURL: "u", Message: Message{Body: "b", Attributes: Attributes{{Name: "a", DataType: "Binary", Binary: want}}}}
		var got SendMessageInput
		if err := SendMessage.Decode(asJSON(t, "SendMessage", string(SendMessage.AppendRequest(nil, JSON, &in))), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(in, got); d != "" {
			t.Fatal(d)
		}
	}
}
