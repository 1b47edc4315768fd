package jsontree

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, plain, sorted string }{
		{` { "b" : 1.50 , "a" : [ true , null , "é\n" ] } `, `{"b":1.50,"a":[true,null,"é\n"]}`, `{"a":[true,null,"é\n"],"b":1.50}`},
		{`{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`, `{"a":3,"b":2}`},
		{`[]`, `[]`, `[]`},
	} {
		v, err := Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if p, s := string(v.Append(nil, false)), string(v.Append(nil, true)); p != c.plain || s != c.sorted {
			t.Errorf("%s: %s and %s", c.in, p, s)
		}
	}
	for _, bad := range []string{``, `{`, `[1,]`, `{} {}`, `nul`, "\"\x01\"", strings.Repeat("[", DepthMax+2) + strings.Repeat("]", DepthMax+2), "[" + strings.Repeat("1,", NodesMax) + "1]"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%.40s is taken", bad)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[2]}`, `{"b":[2.0],"a":1e0}`, true}, {`{"a":1}`, `{"a":1,"b":2}`, false}, {`[1,2]`, `[2,1]`, false},
		{`"1"`, `1`, false}, {`null`, `null`, true}, {`true`, `false`, false},
	} {
		a, _ := Parse(c.a)
		b, _ := Parse(c.b)
		if Equal(a, b) != c.want {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}
