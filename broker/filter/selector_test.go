package filter

import (
	"strings"
	"testing"
	"unicode/utf8"

	"leat/broker/fault"
	"leat/broker/record"
)

// properties makes an event whose headers are typed values, and the way to read them.
func properties(vs map[string]Value) (*Input, SelectorOptions) {
	d := &Decoder{Name: "test", Value: func(_ *record.Event, name string) Value { return vs[name] }}
	return &Input{Event: &record.Event{}}, SelectorOptions{Field: func(name string) (Field, error) {
		return Field{From: FromHeader, Name: name, Decode: d}, nil
	}}
}

// The selectors and the message of ActiveMQ's own selector tests, as facts.
func TestSelector_AsPublished(t *testing.T) {
	in, o := properties(map[string]Value{
		"name": TextValue("James"), "location": TextValue("London"), "byteProp": IntValue(123), "byteProp2": IntValue(33), "shortProp": IntValue(123),
		"intProp": IntValue(123), "longProp": IntValue(123), "floatProp": FloatValue(123), "doubleProp": FloatValue(123), "rank": IntValue(123),
		"version": IntValue(2), "quote": TextValue("'In God We Trust'"), "foo": TextValue("_foo"), "punctuation": TextValue("!#$&()*+,-./:;<=>?@[\\]^`{|}~"),
		"trueProp": BoolValue(true), "falseProp": BoolValue(false), "JMSType": TextValue("selector-test"), "JMSMessageID": TextValue("id:test:1:1:1:1"),
		"modelClassId": TextValue("com.whatever.something.foo.bar"), "modelInstanceId": TextValue("170"), "modelRequestError": TextValue("abc"),
		"modelCorrelatedClientId": TextValue("whatever"), "SessionserverId": IntValue(1870414179), "Command": TextValue("MirrorLobbyReply"), "nullProp": NullValue(),
	})
	for _, c := range []struct {
		want      bool
		selectors []string
	}{
		{true, []string{"(trueProp OR falseProp) AND trueProp", "trueProp", "JMSType = 'selector-test'", "JMSMessageID = 'id:test:1:1:1:1'",
			"JMSType='1001' OR JMSType='selector-test'", "name = 'James'", "rank > 100", "rank >= 123", "byteProp = 123", "byteProp2 = 33", "shortProp = 123",
			"intProp = 123", "longProp = 123", "floatProp = 123", "doubleProp = 123", "name = 'James' and rank < 200", "name = 'James' or rank < 200",
			"name = 'James' or rank > 200", "name = 'Foo' or rank < 200", "rank + 2 = 125", "(rank + 2) = 125", "125 = (rank + 2)", "rank + version = 125",
			"name + '!' = 'James!'", "rank - 2 = 121", "rank - version = 121", "rank * 2 = 246", "rank * version = 246", "rank / version = 61.5", "version / 2 = 1",
			"rank between 100 and 150", "name in ('James', 'Bob', 'Gromit')", "name in ('Bob', 'James', 'Gromit')", "name not in ('Gromit', 'Bob', 'Cheddar')",
			"dummy is null", "name is not null", "SessionserverId=1870414179",
			"modelClassId LIKE 'com.whatever.something.%' AND modelInstanceId = '170' AND (modelRequestError IS NULL OR modelCorrelatedClientId = 'whatever')",
			"1.0 < 1.1", "-1.1 < 1.0", "1.0E1 < 1.1E1", "-1.1E1 < 1.0E1", "1. < 1.1", "-1.1 < 1.", "1.E1 < 1.1E1", ".1 < .5", "-.5 < .1", ".1E1 < .5E1",
			"4E10 < 5E10", "5E8 < 5E10", "-4E10 < 2E10", "-5E8 < 2E2", "4E+10 < 5E+10", "4E-10 < 5E-10", "quote = '''In God We Trust'''",
			"quote LIKE '''In G_d We Trust'''", "quote NOT LIKE '''In Gd_ We Trust'''", "foo LIKE '%oo'", "foo NOT LIKE '%ar'", "foo LIKE '!_%' ESCAPE '!'",
			"quote NOT LIKE '!_%' ESCAPE '!'", "punctuation LIKE '!#$&()*+,-./:;<=>?@[\\]^`{|}~'", "not(falseProp)"}},
		{false, []string{"(trueProp OR falseProp) AND falseProp", "JMSType = 'crap'", "JMSMessageID = 'id:not-test:1:1:1:1'", "rank >= 124", "byteProp = 10",
			"doubleProp = 10", "name = 'James' and rank > 200", "name = 'Foo' and rank < 200", "unknown = 'Foo' and anotherUnknown < 200", "name = 'Foo' or rank > 200",
			"unknown = 'Foo' or anotherUnknown < 200", "rank + 2 < 124", "rank - 2 > 122", "rank * 2 < 130", "rank / 3 > 100.0", "rank / 3 > 100",
			"rank between 10 and 120", "name in ('Gromit', 'Bob', 'Cheddar')", "dummy is not null", "name is null", "Sessionserver=1870414179",
			"Command NOT IN ('MirrorLobbyRequest', 'MirrorLobbyReply')", "noCommand NOT IN ('MirrorLobbyRequest', 'MirrorLobbyReply')",
			"quote LIKE '''In Gd_ We Trust'''", "quote NOT LIKE '''In G_d We Trust'''", "foo LIKE '%ar'", "foo NOT LIKE '%oo'", "quote LIKE '!_%' ESCAPE '!'",
			"foo NOT LIKE '!_%' ESCAPE '!'", "not(trueProp)", "not(unknownProp)"}},
	} {
		for _, s := range c.selectors {
			p, err := CompileSelector(s, o)
			if err != nil {
				t.Errorf("%s: %v", s, err)
				continue
			}
			if got, err := judged(p, in); got != c.want || err != nil {
				t.Errorf("%s: %v %v", s, got, err)
			}
		}
	}
	// And its tables of three-valued logic: a condition is true, false or unknown, seen from it and from its NOT.
	for want, selectors := range map[truth][]string{
		yes: {"trueProp AND trueProp", "trueProp OR trueProp", "trueProp OR falseProp", "falseProp OR trueProp", "trueProp OR unknownProp", "unknownProp OR trueProp",
			"unknownProp IS NULL", "nullProp IS NULL", "trueProp IS NOT NULL"},
		no: {"trueProp AND falseProp", "falseProp AND trueProp", "falseProp AND falseProp", "falseProp AND unknownProp", "unknownProp AND falseProp",
			"falseProp OR falseProp", "trueProp IS NULL", "unknownProp IS NOT NULL", "nullProp IS NOT NULL"},
		unknown: {"trueProp AND unknownProp", "unknownProp AND trueProp", "unknownProp AND unknownProp", "falseProp OR unknownProp", "unknownProp OR falseProp",
			"unknownProp OR unknownProp", "-unknownProp = 0", "+unknownProp = 0", "unknownProp * 2 = 0", "unknownProp / 2 = 0", "unknownProp + 2 = 0", "unknownProp - 2 = 0"},
	} {
		if want == unknown {
			for _, name := range []string{"unknownProp", "nullProp"} {
				for _, rest := range []string{"= 0", "> 0", ">= 0", "< 0", "<= 0", "<> 0", "LIKE 'zero'", "NOT LIKE 'zero'", "IN ('zero')", "NOT IN ('zero')", "BETWEEN 1 AND 2", "NOT BETWEEN 1 AND 2"} {
					selectors = append(selectors, name+" "+rest)
				}
			}
		}
		for _, s := range selectors {
			p, err := CompileSelector(s, o)
			q, err2 := CompileSelector("not("+s+")", o)
			if err != nil || err2 != nil {
				t.Errorf("%s: %v %v", s, err, err2)
				continue
			}
			got, _ := judged(p, in)
			inverse, _ := judged(q, in)
			if got != (want == yes) || inverse != (want == no) {
				t.Errorf("%s: %v, its NOT %v, want %s", s, got, inverse, want)
			}
		}
	}
}

func TestSelector_Semantics(t *testing.T) {
	in, o := properties(map[string]Value{"i": IntValue(7), "f": FloatValue(2.5), "s": TextValue("abc"), "n": TextValue("7"), "b": BoolValue(true), "a.b": IntValue(1),
		"big": IntValue(1<<63 - 1), "uni": TextValue("añb"), "odd name": IntValue(3), "O]R": IntValue(4)})
	rules := o
	rules.Dialect, rules.Params = Rules, map[string]Value{"p": IntValue(7), "t": TextValue("a%")}
	for _, c := range []struct {
		o    SelectorOptions
		s    string
		want bool
	}{
		{o, "", true}, {o, "  ", true},
		{o, "n = 7", false}, {o, "n <> 7", false}, {o, "NOT (n = 7)", true}, // not like types: false, and its NOT is true
		{o, "i = 7.0", true}, {o, "i <> 7.5", true}, {o, "b = TRUE", true}, {o, "b <> false", true}, {o, "b > FALSE", false}, {o, "TRUE", true}, {o, "NOT FALSE AND b", true},
		{o, "s > 'abb'", true}, {o, "i IN (1, 7)", true}, {o, "i IN ('7')", false}, {o, "i NOT IN (1, nope)", false}, {o, "i IN (7, nope)", true},
		{o, "a.b = 1", true}, {o, `"odd name" = 3`, true}, {o, "0x1F = 31 AND 5L = 5 AND 1.5f = 1.5d", true}, {o, "i % 4 = 3", true},
		{o, "2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20 AND 10 - 2 - 3 = 5 AND 8 / 2 / 2 = 2", true}, {o, "- i = -7 AND -i * 2 = -14 AND i - -1 = 8", true},
		{o, "big + 1 > 9223372036854775807", true}, {o, "big * 2 > big", true}, {o, "-big - 2 < -big", true},
		{o, "i = 7 OR nope = 1 AND nope = 2", true}, {o, "NOT i = 8 AND s = 'abc'", true}, {o, "i between 8 and 6 or i not between 8 and 9", true},
		{o, "s LIKE '_b_'", true}, {o, "s LIKE '%b%c'", true}, {o, "s LIKE '%_c%_'", false}, {o, "s LIKE 'a'", false}, {o, "uni LIKE 'a_b'", true}, {o, "uni LIKE '%__b'", true},
		{o, "uni LIKE '____%'", false}, {o, "s LIKE ''", false}, {o, "s LIKE '%'", true}, {o, "i LIKE '7'", false}, {o, "i NOT LIKE '7'", true},
		{o, "s LIKE '_%_%_%'", true}, {o, "s LIKE '_%_%_%_'", false},
		{o, "i / 2 = 3.5", true}, {rules, "i / 2 = 3", true}, {rules, "i / 2.0 = 3.5", true}, {rules, "-7 / 2 = -3 AND i % 2 = 1", true},
		{rules, "[odd name] = 3 AND [O]]R] = 4", true}, {rules, "EXISTS(i) AND NOT EXISTS(nope)", true}, {rules, "exists([odd name])", true},
		{rules, "property('odd name') = 3 AND p(i) = @p", true}, {rules, "s LIKE @t", true}, {rules, "i != 8", true}, {rules, "i IN (@p, 1)", true},
	} {
		p, err := CompileSelector(c.s, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.s, err)
			continue
		}
		if got, err := judged(p, in); got != c.want || err != nil {
			t.Errorf("%s: %v %v", c.s, got, err)
		}
	}
	for s, text := range map[string]string{"i / 0 = 1": "division by zero", "s * 2 = 1": "string * int", "-s = 1": "no sign", "f / 0.0 > 1": "division by zero"} {
		p, err := CompileSelector(s, o)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := judged(p, in); got || err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v %v", s, got, err)
		}
		p, _ = CompileSelector(s+" OR i = 7", o)
		if got, err := judged(p, in); !got || err != nil {
			t.Errorf("%s or true: %v %v", s, got, err)
		}
	}
}

func TestSelector_Refusals(t *testing.T) {
	_, o := properties(nil)
	rules := o
	rules.Dialect = Rules
	named := SelectorOptions{Field: func(name string) (Field, error) {
		return Field{}, fault.New(fault.Invalid, "selector", name, "there is no property %s", name)
	}}
	for _, c := range []struct {
		o       SelectorOptions
		s, text string
	}{
		{o, "3+5", "character 1: (3 + 5) is a value where a condition is needed"}, {o, "True AND 3+5", "character 10"}, {o, "=TEST 'test'", "character 1: a name"},
		{o, "a = ", "character 5: a name, a value or a condition was expected, and not the end"}, {o, "a = 'x", "character 5: a text is not closed"},
		{o, "é = 'x' ? 1", `character 9: '?' has no meaning here`}, {o, "a = 1 b", "character 7: the end, AND or OR was expected, and not b"},
		{o, "(a = 1", "closing parenthesis"}, {o, "a IN ()", "character 7"}, {o, "a IN (1", "a comma or a closing"}, {o, "a IN 1", "a list in parentheses"},
		{o, "a BETWEEN 1 OR 2", "AND was expected, and not OR"}, {o, "a LIKE 5", "the pattern of LIKE is a text, and not 5"}, {o, "a LIKE 'x' ESCAPE 'ab'", "one character"},
		{o, "a LIKE 'x!' ESCAPE '!'", "ends with its escape"}, {o, "a LIKE '!x' ESCAPE '!'", "something else"}, {o, "a IS 5", "NULL was expected, and not 5"},
		{o, "a NOT = 5", "BETWEEN, IN or LIKE"}, {o, "a NOT IS NULL", "BETWEEN, IN or LIKE"}, {o, "'x'", "is a value"}, {o, "(a = 1) = 2", "a condition stands where a value"},
		{o, "AND", "AND stands where"}, {o, "exists(a)", "there is no function exists"}, {o, "XPATH 'root/a'", "the end, AND or OR"}, {o, "[a] = 1", "no meaning"}, {o, "@a = 1", "no meaning"},
		{o, "a = 12x", "12x is no number"}, {o, "a = 99999999999999999999", "no number of 64 bits"}, {o, "a = 0xZ", "is no number"}, {o, "a = 1e999", "is no number"},
		{o, "a = 1 = 1", "character 1: a condition stands where a value is needed"}, {o, "NOT", "and not the end"}, {o, "a = \xff", "not UTF-8"},
		{rules, "newid() = a", "something else each time"}, {rules, "len(a) = 1", "there is no function len"}, {rules, "@x = 1", "there is no parameter @x"}, {rules, "a LIKE @x", "@x is none"},
		{rules, "exists('a')", "a name was expected"}, {rules, "@ = 1", "after @"}, {rules, "[a = 1", "a name is not closed"},
		{named, "x = 1 AND yy = 2", "character 1: there is no property x"},
		{o, strings.Repeat("(", SelectorDepthMax) + "a" + strings.Repeat(")", SelectorDepthMax), "nests deeper than 64"}, {o, strings.Repeat("NOT ", 70) + "a", "nests deeper"},
		{o, strings.Repeat("a", SelectorBytesMax+1), "at most 16384"}, {o, "a IN (" + strings.Repeat("1,", SelectorListMax) + "1)", "more than 1024"},
	} {
		_, err := CompileSelector(c.s, c.o)
		if f := fault.As(err); f == nil || f.Kind != fault.Invalid || !strings.Contains(f.Text, c.text) {
			t.Errorf("%.60s: got %v, want %s", c.s, err, c.text)
		}
	}
	long := "a = 1" + strings.Repeat(" OR a = 1", 1500)
	if p, err := CompileSelector(long, o); err != nil || len(p.root.(one)) != 1501 {
		t.Error(err)
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"a = 1 OR NOT (b LIKE 'x!_%' ESCAPE '!') AND c BETWEEN -1 AND 2.5e3", "x IN ('a', 'b''c') AND y IS NOT NULL", "[a]]b] != @p OR EXISTS(x) AND p(\"y z\") % 2 = 1", "region LIKE 'eu%' AND id = 'e-1'"} {
		f.Add(s, "1", false)
		f.Add(s, "x_1", true)
	}
	f.Fuzz(func(t *testing.T, s, value string, rules bool) {
		o := SelectorOptions{Params: map[string]Value{"p": IntValue(1)}}
		if rules {
			o.Dialect = Rules
		}
		p, err := CompileSelector(s, o)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		in := input()
		for _, name := range []string{"a", "b", "c", "x"} {
			in.Event.Headers = append(in.Event.Headers, record.Header{Key: name, Value: []byte(value)})
		}
		x := NewExtract()
		x.Reset(in)
		got, _ := p.Match(x)
		if r := p.Explain(x); (r[0].Result == "true") != got {
			t.Fatalf("%s: %v, explained %v", s, got, r)
		}
		q, err := CompileSelector("NOT ("+s+")", o)
		if err != nil {
			return // deeper than allowed, or empty
		}
		if inverse, _ := q.Match(x); got && inverse {
			t.Fatalf("%s and its NOT hold", s)
		}
	})
}

// LIKE against its definition.
func FuzzLike(f *testing.F) {
	f.Add("a_b%c", "axbyyc", "!")
	f.Fuzz(func(t *testing.T, pattern, s, escape string) {
		if len(pattern) > 12 || len(s) > 24 || !utf8.ValidString(pattern) || !utf8.ValidString(s) || !utf8.ValidString(escape) {
			return
		}
		e := rune(-1)
		for _, r := range escape {
			e = r
		}
		l, ok := parseLike(pattern, e)
		if !ok {
			return
		}
		if got, want := l.match(s), naiveLike([]rune(pattern), []rune(s), e); got != want {
			t.Fatalf("%q LIKE %q ESCAPE %q: %v", s, pattern, e, got)
		}
	})
}

func naiveLike(p, s []rune, escape rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == escape:
		return len(s) > 0 && p[1] == s[0] && naiveLike(p[2:], s[1:], escape)
	case p[0] == '%':
		return naiveLike(p[1:], s, escape) || len(s) > 0 && naiveLike(p, s[1:], escape)
	case p[0] == '_':
		return len(s) > 0 && naiveLike(p[1:], s[1:], escape)
	}
	return len(s) > 0 && p[0] == s[0] && naiveLike(p[1:], s[1:], escape)
}
