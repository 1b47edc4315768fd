package protobuf

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"leat/contract"
)

func must(t testing.TB, text string, refs ...contract.Named) *Schema {
	t.Helper()
	s, err := Format{}.Parse(text, refs)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.(*Schema)
}

func file(s string) string { return "syntax = \"proto3\";\n" + s }

// What is said here was compared with what Confluent's registry says.
func TestReads(t *testing.T) {
	proto2 := func(s string) string { return "syntax = \"proto2\";\n" + s }
	for _, c := range []struct{ old, new, want string }{
		{file(`message M { string a = 1; }`), file(`message M { string a = 1; int32 b = 2; }`), ""},
		{file(`message M { string a = 1; int32 b = 2; }`), file(`message M { string a = 1; }`), ""},
		{file(`message M { string a = 1; }`), file(`message M { string z = 1; }`), ""},
		{file(`message M { string a = 1; }`), file(`message M { bytes a = 1; }`), ""},
		{file(`message M { int32 a = 1; }`), file(`message M { uint64 a = 1; }`), ""},
		{file(`message M { int32 a = 1; }`), file(`message M { sint32 a = 1; }`), "FIELD_SCALAR_KIND_CHANGED #/M/1"},
		{file(`message M { int32 a = 1; }`), file(`message M { string a = 1; }`), "FIELD_SCALAR_KIND_CHANGED #/M/1"},
		{file(`message M { int32 a = 1; }`), file(`message M { N a = 1; message N {} }`), "FIELD_KIND_CHANGED #/M/1"},
		{file(`message M { map<string, int32> a = 1; }`), file(`message M { map<string, string> a = 1; }`), "FIELD_SCALAR_KIND_CHANGED #/M/1"},
		{file(`message M { E a = 1; } enum E { X = 0; }`), file(`message M { int32 a = 1; }`), ""},
		{file(`package a; message M {}`), file(`package b; message M {}`), "PACKAGE_CHANGED #/"},
		{file(`message M {} message N {}`), file(`message M {}`), "MESSAGE_REMOVED #/N"},
		{file(`message M { message N {} }`), file(`message M {}`), "MESSAGE_REMOVED #/M/N"},
		{file(`message M { N a = 1; } message N {} message O {}`), file(`message M { O a = 1; } message N {} message O {}`), "FIELD_NAMED_TYPE_CHANGED #/M/1"},
		{file(`message M { optional int32 a = 1; }`), file(`message M { repeated int32 a = 1; }`), "FIELD_NUMERIC_LABEL_CHANGED #/M/1"},
		{file(`message M { optional string a = 1; }`), file(`message M { repeated string a = 1; }`), ""},
		{proto2(`message M { optional string a = 1; }`), proto2(`message M { optional string a = 1; required string b = 2; }`), "REQUIRED_FIELD_ADDED #/M/2"},
		{proto2(`message M { required string a = 1; }`), proto2(`message M { }`), "REQUIRED_FIELD_REMOVED #/M/1"},
		{file(`message M { oneof o { string a = 1; string b = 2; } }`), file(`message M { oneof o { string a = 1; } }`), "ONEOF_FIELD_REMOVED #/M/o/2"},
		{file(`message M { oneof o { string a = 1; string b = 2; } }`), file(`message M { string a = 1; string b = 2; }`), ""},
		{file(`message M { string a = 1; string b = 2; }`), file(`message M { oneof o { string a = 1; string b = 2; } }`), "MULTIPLE_FIELDS_MOVED_TO_ONEOF #/M/o"},
		{file(`message M { string a = 1; oneof o { string b = 2; } }`), file(`message M { oneof o { string a = 1; string b = 2; } }`), "FIELD_MOVED_TO_EXISTING_ONEOF #/M/o"},
		{file(`message M { M next = 1; int32 a = 2; }`), file(`message M { M next = 1; string a = 2; }`), "FIELD_SCALAR_KIND_CHANGED #/M/2"},
	} {
		var got []string
		for _, d := range must(t, c.new).Reads(must(t, c.old), "") {
			got = append(got, d.Kind+" "+d.Path)
			if s := d.Message("new", "old"); strings.Contains(s, "$") || d.Hint == "" {
				t.Error(s)
			}
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s to %s: %q, want %q", c.old, c.new, s, c.want)
		}
	}
}

const everything = `syntax = "proto3";
package a.b;

import "google/protobuf/timestamp.proto";
import "confluent/meta.proto";

option java_package = "x.y";

message Order {
  reserved 9, 20 to 30;
  reserved "gone";

  option deprecated = true;

  string id = 1 [deprecated = true];
  optional int32 n = 2;
  repeated .a.b.Order.Line lines = 3;
  map<string, .google.protobuf.Timestamp> times = 4;
  string email = 5 [(confluent.field_meta) = { tags: ["PII"] }];
  string other = 8 [json_name = "else"];

  oneof pay {
    string card = 6;
    bytes cash = 7;
  }

  message Line {
    string sku = 1 [
      deprecated = true,
      json_name = "unit"
    ];
  }
  message None {}
  enum Kind {
    NONE = 0;
    SOME = 1;
  }
}
enum Other {
  X = 0;
}

service Orders {
  rpc Get (.a.b.Order) returns (stream .a.b.Order);
}
`

// Options that nothing declares, and imports that only they need, are taken as Confluent's registry takes them, and come back.
func TestLoose(t *testing.T) {
	const text = `syntax = "proto3";
package a;

import "buf/validate/validate.proto";

option (my_file) = "f";

message M {
  option (my_message).x = -1;

  string id = 1 [
    deprecated = true,
    (buf.validate.field).string.min_len = 1,
    (buf.validate.field).cel = { id : "x" , message : "a, b" }
  ];

  oneof o {
    option (my_option) = true;

    string a = 2;
  }
}
enum E {
  option (my_enum) = FULL;
  X = 0 [(my_value) = 1.5];
}

service S {
  option (my_service) = "s";
  rpc Get (.a.M) returns (.a.M) {
    option (google.api.http) = { get : "/v1" };
  }
}
`
	s := must(t, text)
	if got := s.Canonical(); got != text {
		t.Errorf("%s", got)
	}
	if again := must(t, s.Normalized()); again.Normalized() != s.Normalized() {
		t.Errorf("the normalized text is not stable: %s", s.Normalized())
	}
	if d := s.Reads(must(t, file(`package a; message M { string id = 1; }`)), ""); len(d) != 0 {
		t.Errorf("%v", d)
	}
	_, err := Format{}.Parse(file(`import "r.proto"; message N { M m = 1; }`), []contract.Named{{Name: "r.proto", Text: file(`message M { string id = 1 [(v.rules).x = 1]; }`)}})
	if err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		`import "gone.proto"; message M { Gone g = 1; }`:                                                   `could not resolve path "gone.proto"`, // as it was about the text
		`message M { string a = 1 [(x) = 1]; Gone g = 2; }`:                                                "unknown",
		`message M { string a = 1 [nonsense = 1]; }`:                                                       "nonsense",
		`import "confluent/meta.proto"; message M { string a = 1 [(confluent.field_meta).nonsense = 1]; }`: "nonsense",
	} {
		if _, err := (Format{}).Parse(file(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestText(t *testing.T) {
	s := must(t, everything)
	if s.Canonical() != everything {
		t.Errorf("%s", s.Canonical())
	}
	loose := strings.NewReplacer("  ", "\t\t", ".a.b.Order.Line lines", "Line /* a comment */ lines", `import "google`, `// says nothing`+"\n"+`import "google`).Replace(everything)
	if got := must(t, loose).Canonical(); got != everything {
		t.Errorf("%s", got)
	}
	if again := must(t, s.Normalized()); again.Normalized() != s.Normalized() {
		t.Error("the normalized text is not stable")
	}
	turned := strings.Replace(strings.Replace(everything, "  optional int32 n = 2;\n", "", 1), "  string id = 1", "  optional int32 n = 2;\n  string id = 1", 1)
	if must(t, turned).Normalized() != s.Normalized() || must(t, turned).Canonical() == everything {
		t.Error("the order of fields counts in the normalized text, or not in the canonical one")
	}
	if got := must(t, s.Serialized()); got.Canonical() != everything {
		t.Errorf("from its descriptor: %s", got.Canonical())
	}
	p2 := "syntax = \"proto2\";\n\nmessage M {\n  required int32 a = 1 [default = 7];\n  optional string s = 2 [default = \"x\\\"y\"];\n\n  extensions 100 to max;\n}\n\nextend .M {\n  optional int32 x = 100;\n}\n"
	if got := must(t, p2).Canonical(); got != p2 {
		t.Errorf("%s", got)
	}
}

func TestParse_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "empty",
		"hello":                            "default.proto:1:1",
		file("message M { string a = 1 }"): "default.proto:2:",
		file("message M { Foo a = 1; }"):   "Foo",
		file("import \"x.proto\"; message M { X x = 1; }"): "no reference",
		file("message M { string a = 1; string b = 1; }"):  "tag",
		strings.Repeat(" ", contract.TextBytesMax+1):       "too large",
	} {
		_, err := Format{}.Parse(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	deep := file(strings.Repeat("message M { ", 1000) + "string a = 1 [(x) = 1];" + strings.Repeat("}", 1000))
	if _, err := (Format{}).Parse(deep, nil); err == nil {
		t.Error("a thousand messages inside each other")
	}
	ref := contract.Named{Name: "x.proto", Text: file("package x; message X { int32 a = 1; }")}
	if s := must(t, file("import \"x.proto\"; message M { x.X x = 1; }"), ref); len(s.Fields()) != 2 {
		t.Errorf("%+v", s.Fields())
	}
}

func TestValidate(t *testing.T) {
	s := must(t, everything)
	m := dynamicpb.NewMessage(s.file.Messages().Get(0))
	f := m.Descriptor().Fields()
	m.Set(f.ByName("id"), m.NewField(f.ByName("id")))
	l := m.Mutable(f.ByName("lines")).List()
	line := l.AppendMutable().Message()
	line.Set(line.Descriptor().Fields().ByName("sku"), line.NewField(line.Descriptor().Fields().ByName("sku")))
	good, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		payload string
		index   []int
		want    string
	}{
		{string(good), nil, ""},
		{"", nil, ""},
		{"\x0a\x03abc", nil, ""},
		{"\x0a\x03ab", nil, "field id: unexpected EOF"},
		{"\x0a\x02\xff\xfe", nil, "field id: the string is not UTF-8"},
		{"\x08\x01", nil, "field id: it is a string, which is written as wire type 2; the payload has wire type 0"},
		{"\x1a\x03\x0a\x02a", nil, "field lines.sku: unexpected EOF"},
		{"\xf2\x07\x01x", nil, ""}, // a field of later
		{"\x00", nil, "a tag cannot be read: invalid field number"},
		{"\x0a\x01a", []int{0, 0}, ""},
		{"\x0a\x01a", []int{0, 9}, "the message index [0 9] leads to no message of the schema"},
		{"{\"id\":1}", nil, "field"},
	} {
		err := s.Validate([]byte(c.payload), c.index)
		var v *contract.Violation
		got := fmt.Sprint(err)
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &v) || !strings.Contains(got, c.want)) && c.payload[0] != '{' {
			t.Errorf("%x: %v, want %q", c.payload, err, c.want)
		}
	}
}

func TestWellKnown(t *testing.T) {
	for name := range confluentFiles {
		must(t, file("import \""+name+"\"; message M {}"))
	}
	// A descriptor without the names in JSON, as Python's serializer sends it.
	s := must(t, file("message M { string a_b = 1; message N { int32 c = 1; int32 d = 2; } }"))
	p := proto.Clone(s.proto).(*descriptorpb.FileDescriptorProto)
	p.MessageType[0].Field[0].JsonName = nil
	for _, f := range p.MessageType[0].NestedType[0].Field {
		f.JsonName = nil
	}
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := must(t, base64.StdEncoding.EncodeToString(b)); got.Canonical() != s.Canonical() {
		t.Error(got.Canonical())
	}
}

// A file may have nothing of its own, and only hand on what it imports.
func TestParse_DescriptorOfImports(t *testing.T) {
	m := contract.Named{Name: "m.proto", Text: file("message M { string a = 1; }")}
	public := must(t, file(`import public "m.proto";`), m)
	got := must(t, public.Serialized(), m)
	if got.Canonical() != public.Canonical() || !strings.Contains(got.Canonical(), `import public "m.proto";`) {
		t.Error(got.Canonical())
	}
	must(t, file(`import "public.proto"; message N { M m = 1; }`), contract.Named{Name: "public.proto", Text: public.Serialized()}, m)
}

func FuzzParse(f *testing.F) {
	f.Add(everything, []byte("\x0a\x03abc"))
	f.Add(file(`message M { map<string, M> m = 1; }`), []byte("\x0a\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		s, err := Format{}.Parse(text, nil)
		if err != nil {
			return
		}
		_ = s.Validate(payload, nil)
		_ = s.Fields()
		if d := s.Reads(s, ""); len(d) > 0 {
			t.Fatalf("%s does not read itself: %+v", text, d)
		}
	})
}
