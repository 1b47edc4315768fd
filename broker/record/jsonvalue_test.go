package record

import (
	"encoding/json"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestJSONValue_Numbers(t *testing.T) {
	for in, want := range map[string]any{"1": 1.0, "-2.5e1": -25.0, "9007199254740993": int64(9007199254740993), "-9223372036854775808": int64(-9223372036854775808),
		"9223372036854775808": 9223372036854775808.0, "1e300": 1e300} {
		if got, ok := JSONValue([]byte(in)); !ok || got != want {
			t.Errorf("%s: %T %v %v", in, got, got, ok)
		}
	}
	if v, ok := JSONValue([]byte("1e999")); ok {
		t.Error(v)
	}
}

// FuzzJSONValue compares with the standard library, on what is strictly JSON.
func FuzzJSONValue(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		got, ok := JSONValue(p)
		var want any
		if err := json.Unmarshal(p, &want); (err == nil && jsontext.Value(p).IsValid()) != ok {
			if ok && jsontext.Value(p).IsValid(jsontext.AllowDuplicateNames(true)) {
				return // names repeat
			}
			t.Fatalf("%q: %v here, %v there", p, ok, err)
		}
		if !ok {
			return
		}
		if d := diff(want, got, cmp.FilterValues(func(a, b any) bool {
			_, x := a.(int64)
			_, y := b.(int64)
			return x || y
		}, cmp.Ignore())); d != "" {
			t.Fatal(d)
		}
	})
}

func BenchmarkJSONValue(b *testing.B) {
	p := []byte(`{"order":1234567,"customer":"c-99","total":129.90,"currency":"EUR","lines":[{"sku":"a","qty":3}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := JSONValue(p); !ok {
			b.Fatal("no")
		}
	}
}
