package record

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leat/broker/fault"
)

// fuzzLimits are small, so that a bomb would show.
var fuzzLimits = InflateLimits{BytesMax: 1 << 20, RatioMax: 100}

// FuzzBatch feeds batches of a real client's encoder, bent, to every decoder of batches.
func FuzzBatch(f *testing.F) {
	for _, c := range allCodecs {
		f.Add(foreignBatch(f, sampleRecords(), c))
		f.Add(mustBuild(f, sampleRecords()[:1], c))
	}
	f.Add(xerialBatch(f, sampleRecords()))
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = PeekBatchHeader(p)
		h, err := ParseBatchHeader(p)
		if err != nil {
			return
		}
		_, _ = CheckStored(p, h.BaseOffset, h.LeaderEpoch)
		if section, release, err := Inflated(p, fuzzLimits); err == nil {
			if len(section) > 1<<20 && h.Codec() != None {
				t.Fatalf("inflated to %d", len(section))
			}
			release()
		}
		find := func(Offset) bool { return true }
		if h.Codec() == None {
			find = fuzzParts(t, p, &h)
		}
		var rs []Record
		err = EachRecord(p, fuzzLimits, func(_ int, r *Record) error { rs = append(rs, r.Clone()); return nil })
		if err != nil {
			var fe *fault.Error
			if !errors.As(err, &fe) {
				t.Fatalf("not a fault: %v", err)
			}
			return
		}
		for i := range rs {
			if !find(rs[i].Offset) {
				t.Fatalf("offset %d is in no part", rs[i].Offset)
			}
		}
		if len(rs) == 0 {
			return
		}
		again := collect(t, mustBuild(t, rs, None)) // what was read can be written and read again
		for i := range again {
			again[i].Offset = rs[i].Offset
		}
		if d := diff(rs, again); d != "" {
			t.Fatal(d)
		}
	})
}

// fuzzParts cuts an uncompressed batch, and returns what finds a record in the parts; they lie back to back.
func fuzzParts(t *testing.T, p []byte, h *BatchHeader) (find func(o Offset) bool) {
	type part struct{ from, to int }
	var parts []part
	var firsts []int32
	end := BatchHeaderBytes
	err := EachPart(p, h, 40, func(from, to int, first int32) {
		if from != end || to <= from || to > h.Bytes || len(firsts) > 0 && first < firsts[len(firsts)-1] {
			t.Fatalf("a part from %d to %d, of %d on, behind %d", from, to, first, end)
		}
		parts, firsts, end = append(parts, part{from, to}), append(firsts, first), to
	})
	if err == nil && end != h.Bytes {
		t.Fatalf("parts end at %d of %d", end, h.Bytes)
	}
	return func(o Offset) bool {
		i, same := slices.BinarySearch(firsts, int32(o-h.BaseOffset))
		if !same {
			i--
		}
		if err != nil || i < 0 {
			return false
		}
		r, ok, err := OneRecordOf(h, p[parts[i].from:parts[i].to], o)
		return err == nil && ok && r.Offset == o
	}
}

// FuzzFilter takes records out of the same batches: what is left are those records as they were, in a batch that passes every check.
func FuzzFilter(f *testing.F) {
	for i, c := range allCodecs {
		f.Add(foreignBatch(f, sampleRecords(), c), uint64(0xa>>i))
		f.Add(mustBuild(f, sampleRecords()[:1], c), uint64(i))
	}
	f.Add(xerialBatch(f, sampleRecords()), uint64(6))
	f.Fuzz(func(t *testing.T, p []byte, mask uint64) {
		before := bytes.Clone(p)
		keep := func(i int, _ *Record) bool { return mask>>(i%64)&1 == 1 }
		out, kept, err := filter(p, fuzzLimits, keep)
		if !bytes.Equal(p, before) {
			t.Fatal("the batch was changed")
		}
		if err != nil {
			var fe *fault.Error
			if !errors.As(err, &fe) {
				t.Fatalf("not a fault: %v", err)
			}
			return
		}
		checkFiltered(t, p, out, kept, keep)
	})
}

func jsonSeeds(f *testing.F) {
	f.Add([]byte(benchEvent))
	for _, n := range []string{"binary.json", "xml.json", "object.json", "number.json", "jsonstring.json", "nodata.json", "batch.json"} {
		f.Add(example(f, n))
	}
	for _, s := range []string{`[1,-0.5e+3,"\ud83c\udf0a\u00e9",{"a":null,"a":true}]`, `"12345678\u"`, "\"1234567\xc3\xa9\"", `{"a" : [ ] , "b":{}}`, `-`, `01`, `1.`, `[1,]`, `"\ud800\ud800"`} {
		f.Add([]byte(s))
	}
}

// FuzzValidJSON compares the tokenizer with jsontext.
func FuzzValidJSON(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if got, want := ValidJSON(p), jsontext.Value(p).IsValid(jsontext.AllowDuplicateNames(true)); got != want {
			t.Fatalf("ValidJSON(%q) = %v, jsontext says %v", p, got, want)
		}
	})
}

// FuzzParseEventJSON compares what is read with what jsontext reads: the same members, the same text, the same data.
func FuzzParseEventJSON(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		before := bytes.Clone(p)
		var e Event
		err := ParseEventJSON(p, &e)
		members, valid := members(p)
		if err != nil {
			var fe *fault.Error
			if !errors.As(err, &fe) || fe.Subject == "" {
				t.Fatalf("not a fault that says where: %v", err)
			}
			return
		}
		if !valid {
			t.Fatalf("%q was read and is not JSON for jsontext", p)
		}
		for name, raw := range members {
			checkMember(t, &e, name, raw)
		}
		if !bytes.Equal(before, p) {
			t.Fatal("the input was changed")
		}
		_ = e.Validate()
		var again Event
		if err := ParseEventJSON(e.AppendJSON(nil, nil), &again); err != nil && e.ID != "" && e.Source != "" && e.Type != "" {
			t.Fatalf("%q was read and its own form is not: %v", p, err)
		} else if err == nil {
			e.Data, again.Data = appendOneLine(nil, e.Data), appendOneLine(nil, again.Data)
			if formOf(e.DataContentType) == DataJSON {
				if d := diff(e, again, cmpopts.EquateEmpty()); d != "" {
					t.Fatal(d)
				}
			}
		}
	})
}

// members are the members of an object as jsontext reads them; names must not repeat at the top.
func members(p []byte) (map[string]jsontext.Value, bool) {
	if !jsontext.Value(p).IsValid(jsontext.AllowDuplicateNames(true)) {
		return nil, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(p), jsontext.AllowDuplicateNames(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, false
	}
	m := map[string]jsontext.Value{}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		name := t.String()
		if _, twice := m[name]; twice {
			return nil, false
		}
		v, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		m[name] = v.Clone()
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	_, err := d.ReadToken()
	return m, errors.Is(err, io.EOF)
}

func checkMember(t *testing.T, e *Event, name string, raw jsontext.Value) {
	t.Helper()
	text := strings.TrimSpace(string(raw))
	isString := raw.Kind() == '"'
	if isString {
		b, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	if raw.Kind() == 'n' && name != "data" {
		text = ""
	}
	var got string
	switch p := e.field(name); {
	case p != nil:
		got = *p
	case name == "data":
		got = string(e.Data)
		if formOf(e.DataContentType) == DataJSON {
			text = string(raw)
		} else if raw.Kind() == 'n' {
			text = ""
		}
	case name == partitionKey:
		got = string(e.Key)
	case name == "data_base64", name == KeyAttribute, name == HeadersAttribute:
		return
	default:
		got, _ = e.Extension(name)
	}
	if got != text {
		t.Fatalf("%s: read %q, jsontext has %q", name, got, text)
	}
}

// FuzzParseEventsJSON: a batch is read as its events are.
func FuzzParseEventsJSON(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		n := 0
		if err := ParseEventsJSON(p, 10, func(i int, _ *Event) error {
			if i != n {
				t.Fatalf("event %d came as %d", n, i)
			}
			n++
			return nil
		}); err == nil && !ValidJSON(p) {
			t.Fatalf("%q is no JSON", p)
		}
	})
}

// FuzzHeadersAttribute: what is read is written in one form, and that form reads the same.
func FuzzHeadersAttribute(f *testing.F) {
	for _, s := range []string{"", "a=b&c&d=", "&", "%00=%FF&a+b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var a, b Event
		if a.setHeaders(s) != nil {
			return
		}
		form := string(AppendHeadersAttribute(nil, a.Headers))
		if err := b.setHeaders(form); err != nil {
			t.Fatal(err)
		}
		if d := diff(a.Headers, b.Headers); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzParseTime: never takes what cannot be written again.
func FuzzParseTime(f *testing.F) {
	f.Add("2018-04-05T17:31:00.5+02:00")
	f.Fuzz(func(t *testing.T, s string) {
		ms, err := ParseTime(s)
		if err != nil {
			return
		}
		if form := string(AppendTime(nil, ms)); form != "" {
			if again, err := ParseTime(form); err != nil || again != ms {
				t.Fatalf("%q is %d, and %s is %d (%v)", s, ms, form, again, err)
			}
		}
	})
}

// FuzzParseRef and FuzzParsePosition: each value has one text.
func FuzzParseRef(f *testing.F) {
	f.Add("orders/0/1234")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRef(s); err == nil && r.String() != s {
			t.Fatalf("%q was read as %q", s, r)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add(Position{Shard: 1, Lineage: 2, Seq: 300, Batch: 4, Record: 5}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePosition(s); err == nil && p.String() != s {
			t.Fatalf("%q was read as %q", s, p)
		}
	})
}
