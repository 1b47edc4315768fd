package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// odd is a text that every form has to escape.
const odd = "a\"b\\c/<d>&e'f\r\n\tg=h;i+j%k é😀\u2028"

// fill sets every field of a struct to something, deeply. No two texts are the same.
func fill(v any) {
	n := 0
	fillValue(reflect.ValueOf(v).Elem(), "", &n)
}

func fillValue(v reflect.Value, name string, n *int) {
	switch v.Kind() {
	case reflect.String:
		*n++
		v.SetString(odd + itoa(*n))
		if strings.HasSuffix(name, "ARN") {
			v.SetString("arn:aws:sns:eu-west-1:000000000000:news:part")
			if name == "SourceARN" || name == "DestinationARN" {
				v.SetString("arn:aws:sqs:eu-west-1:000000000000:orders")
			}
		}
	case reflect.Int64:
		v.SetInt(5)
	case reflect.Bool:
		v.SetBool(name != "Lists")
	case reflect.Slice:
		switch v.Type().Elem().Kind() {
		case reflect.Uint8:
			v.SetBytes([]byte{0, 0xff, 0x10})
		default:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range 2 {
				fillValue(v.Index(i), name, n)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i), v.Type().Field(i).Name, n)
		}
	}
}

// unchecked reads a request without judging it: what fill makes is not plausible, only complete.
func unchecked(t *testing.T, k Key, e entry, p Protocol, body []byte) any {
	t.Helper()
	h := Head{Path: "/"}
	if p == JSON {
		h.Target = sqsTarget + k.Action // whose it is does not matter here
	}
	c, err := ParseCall(&h, body)
	if err != nil {
		t.Fatal(err)
	}
	c.Service = k.Service
	in, err := e.decode(&c)
	if err != nil && err.Code == MalformedRequest {
		t.Fatalf("%s: %v\n%s", k.Action, err, body)
	}
	return in
}

// Every request comes back from both forms as it went in, with all its members.
func TestRequests_ComeBackFromEveryForm(t *testing.T) {
	for k, e := range all(t) {
		want := e.full()
		for _, p := range []Protocol{JSON, Query} {
			body := e.again(p, want)
			got := unchecked(t, k, e, p, bytes.Clone(body))
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s of %s in protocol %d (-want +got):\n%s", k.Action, k.Service, p, d)
			}
			if p == JSON && !json.Valid(body) {
				t.Errorf("%s: %s is not JSON", k.Action, body)
			}
		}
	}
}

// Every answer is well-formed in both forms; in JSON and in XML it has the same texts in the same order.
func TestAnswers_SayTheSameInJSONAndXML(t *testing.T) {
	for k, e := range all(t) {
		asJSON, asXML := e.answer(JSON), e.answer(Query)
		if !json.Valid(asJSON) {
			t.Fatalf("%s: %s", k.Action, asJSON)
		}
		texts, root := textsOfXML(t, asXML)
		if root != k.Action+"Response" || len(texts) == 0 || texts[len(texts)-1] != "id" {
			t.Fatalf("%s: %s %v", k.Action, root, texts)
		}
		texts = texts[:len(texts)-1]
		got := textsOfJSON(t, asJSON)
		slices.Sort(texts)
		slices.Sort(got)
		// Names of attributes are names in JSON and texts in XML; textsOfJSON has them too.
		if !slices.Equal(texts, got) {
			d := cmp.Diff(texts, got)
			t.Errorf("%s of %s (-xml +json):\n%s\n%s\n%s", k.Action, k.Service, d, asXML, asJSON)
		}
	}
}

// textsOfXML returns what stands in the leaves.
func textsOfXML(t *testing.T, doc []byte) (texts []string, root string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(doc))
	text, leaf := "", false
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts, root
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if root == "" {
				root = tok.Name.Local
			}
			text, leaf = "", true
		case xml.CharData:
			text += string(tok)
		case xml.EndElement:
			if leaf && (text != "" || !strings.HasSuffix(tok.Name.Local, "Result")) {
				texts = append(texts, text)
			}
			leaf = false
		}
	}
}

// textsOfJSON returns what stands in the leaves, and the names that are no member's.
func textsOfJSON(t *testing.T, doc []byte) (texts []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, e := range v {
				if strings.HasPrefix(name, odd) {
					texts = append(texts, name)
				}
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case string:
			texts = append(texts, v)
		case json.Number:
			texts = append(texts, v.String())
		case bool:
			texts = append(texts, map[bool]string{true: "true", false: "false"}[v])
		}
	}
	walk(root)
	return texts
}
