package filter

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"leat/broker/record"
)

func TestPredicate_Failing(t *testing.T) {
	x := NewExtract()
	x.Reset(input())
	sql := func(s string) (*Predicate, error) { return CompileSelector(s, SelectorOptions{}) }
	policy := func(s string) (*Predicate, error) { return CompilePolicy([]byte(s), PolicyScope{Data: true}) }
	for _, c := range []struct {
		compile           func(string) (*Predicate, error)
		text, clause, why string
	}{
		{CompileCEL, `type == "order.created"`, "", ""},
		{CompileCEL, `type == "x"`, `type == "x"`, ""},
		{CompileCEL, `type == "order.created" && (data.n == 4 || data.name == "a && b") && data.n == 5`, `(data.n == 4 || data.name == "a && b")`, ""},
		{CompileCEL, `data.n == 3 && size(data.name)==4`, `size(data.name)==4`, ""},
		{CompileCEL, `data.n == 3 && data.nope  == 4`, `data.nope  == 4`, "no such key: data.nope"},
		{CompileCEL, `data.n == 3 && (type == "order.created" && data.n == 7)`, `data.n == 7`, ""}, // brackets are cut open by the tree
		{CompileCEL, `data.n == 3 && (type == "order.created" && !(data.n == 3))`, `data.n == 3 && (type == "order.created" && !(data.n == 3))`, ""},
		{CompileCEL, `data.n == 4 || data.n == 5`, `data.n == 4 || data.n == 5`, ""},
		{sql, `region = 'eu-west' AND n IS NULL`, "", ""},
		{sql, `region = 'eu-west' and  (region LIKE 'x%' OR region = 'b') AND region <> 'c'`, `(region LIKE 'x%' OR region = 'b')`, ""},
		{sql, `region BETWEEN 1 AND 2 AND region = 'x'`, `region BETWEEN 1 AND 2`, ""},
		{sql, `(region = 'eu-west' AND region = 'b') AND region = 'c'`, `(region = 'eu-west' AND region = 'b')`, ""},
		{sql, `region = 'eu-west' AND NOT (region = 'eu-west' AND region <> 'b')`, `NOT (region = 'eu-west' AND region <> 'b')`, ""},
		{sql, `region = 'eu-west' AND nope > 3`, `nope > 3`, ""},
		{sql, `region = 'x' OR region = 'y' AND region = 'z'`, `region = 'x' OR region = 'y' AND region = 'z'`, ""},
		{sql, `region = 'x' AND region = 'y' OR region = 'z'`, `region = 'x' AND region = 'y' OR region = 'z'`, ""},
		{policy, `{"name":["Ann"],"n":[4]}`, `n`, ""},
	} {
		p, err := c.compile(c.text)
		if err != nil {
			t.Fatal(c.text, err)
		}
		if clause, why := p.Failing(x); clause != c.clause || why != c.why {
			t.Errorf("%s: %q, %q", c.text, clause, why)
		}
		if ok, _ := p.Match(x); ok != (c.clause == "") {
			t.Errorf("%s: matches: %v", c.text, ok)
		}
	}
}

// Expressions by chance, of events by chance, mean the same as a tree and as CEL.
func TestCompileCEL_ByChance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	field := func() string {
		return pick("type", "subject", "key", "id", "partition", "offset", "data.a", "data.b", "data.a.b", `data["a"]`, "data", "headers.h", `headers["x-y"]`, "headers.i")
	}
	constant := func() string {
		return pick(`"a"`, `"b"`, `""`, `"ab"`, "0", "1", "-1", "1.5", "1.0", "2u", "9007199254740993", "true", "false", "null", `b"a"`, "[1]", `{"b": 1}`)
	}
	var expr func(depth int) string
	expr = func(depth int) string {
		if depth == 0 || r.IntN(4) == 0 {
			switch r.IntN(9) {
			case 0:
				return field() + " " + pick("==", "!=", "<", "<=", ">", ">=") + " " + constant()
			case 1:
				return constant() + " " + pick("==", "!=", "<", ">=") + " " + field()
			case 2:
				return field() + " in [" + constant() + ", " + constant() + "]"
			case 3:
				return field() + "." + pick("startsWith", "endsWith", "contains") + `("a")`
			case 4:
				return "has(" + pick("headers.h", "headers.nope", "data.a", "data.a.b", "data.nope") + ")"
			case 5:
				return field()
			case 6:
				return "size(" + field() + ") > 0"
			case 7:
				return field() + " == " + field()
			default:
				return pick("true", "false", "data.l.exists(i, i == 1)", "data.l.all(i, i > 1)")
			}
		}
		switch r.IntN(5) {
		case 0, 1:
			return expr(depth-1) + " && " + expr(depth-1)
		case 2:
			return expr(depth-1) + " || " + expr(depth-1)
		case 3:
			return "!(" + expr(depth-1) + ")"
		}
		return "(" + expr(depth-1) + ")"
	}
	value := func() string {
		return pick(`"a"`, `"ab"`, `""`, "1", "1.5", "-1", "0", "true", "false", "null", "9007199254740993", "1e400", `{"b":1}`, `{"b":"a"}`, "[1]", "[]")
	}
	event := func() *Input {
		e := &record.Event{ID: "a", Type: pick("a", "b", ""), Subject: pick("", "ab"), Key: []byte(pick("", "a", "\xff")), Time: "2026-11-21T09:30:00Z"}
		for _, h := range []string{"h", "i", "x-y"} {
			if r.IntN(2) == 0 {
				e.Headers = append(e.Headers, record.Header{Key: h, Value: []byte(pick("", "a", "1", "true", "\xff"))})
			}
		}
		var members []string
		for _, name := range []string{"a", "b", "l", "a"} {
			if r.IntN(3) > 0 {
				members = append(members, fmt.Sprintf("%q:%s", name, value()))
			}
		}
		switch e.Data = []byte("{" + strings.Join(members, ",") + "}"); r.IntN(8) {
		case 0:
			e.Data = []byte(value())
		case 1:
			e.Data = nil
		case 2:
			e.DataContentType = "text/plain"
		}
		return &Input{Event: e, Stream: "s", Partition: record.PartitionID(r.IntN(2)), Offset: record.Offset(r.IntN(3))}
	}
	x, n := NewExtract(), 0
	for range 20_000 {
		text := expr(3)
		f, err := compile(text)
		p, err2 := compileCEL(text)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%s: %v, %v", text, err, err2)
		}
		if err != nil {
			continue
		}
		if n++; n > 3000 {
			break
		}
		for range 5 {
			in := event()
			want, wantErr := f.Match(in)
			x.Reset(in)
			got, gotErr := p.Match(x)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%s of %+v, %s: got %v %v, want %v %v", text, in.Event, in.Event.Data, got, gotErr, want, wantErr)
			}
			if clause, _ := p.Failing(x); (clause == "") != got {
				t.Fatalf("%s of %s: fails by %q, matches: %v", text, in.Event.Data, clause, got)
			}
		}
	}
	if n < 1000 {
		t.Fatalf("only %d expressions could be compiled", n)
	}
}
