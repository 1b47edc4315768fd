package filter

import (
	"strings"
	"testing"

	"leat/broker/fault"
	"leat/broker/record"
)

// typed reads headers as a gateway with typed attributes does: "n:" before numbers, "a:" before arrays.
var typed = &Decoder{Name: "typed", Value: func(e *record.Event, name string) Value {
	v := HeaderText(e, name)
	switch {
	case strings.HasPrefix(v.text, "n:"):
		return numberOf(v.text[2:])
	case strings.HasPrefix(v.text, "a:"):
		return JSONValue(v.text[2:])
	}
	return v
}}

func attributes(pairs ...string) *Input {
	e := &record.Event{}
	for i := 0; i < len(pairs); i += 2 {
		e.Headers = append(e.Headers, record.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return &Input{Event: e}
}

// What Amazon's documentation of filter policies says of each operator, as facts.
func TestPolicy_HeadersAsDocumented(t *testing.T) {
	for _, c := range []struct {
		policy      string
		match, miss [][]string
	}{
		{`{"customer_interests": ["rugby", "tennis"]}`,
			[][]string{{"customer_interests", "rugby"}, {"customer_interests", "tennis"}, {"customer_interests", `a:["rugby","tennis"]`}},
			[][]string{{"customer_interests", "baseball"}, {"customer_interests", `a:["baseball"]`}, {}, {"customer_interests", "Rugby"}}},
		{`{"customer_interests": [{"anything-but": ["rugby", "tennis"]}]}`,
			[][]string{{"customer_interests", "baseball"}, {"customer_interests", "football"}, {"customer_interests", `a:["rugby","baseball"]`}},
			[][]string{{"customer_interests", "rugby"}, {"customer_interests", `a:["rugby"]`}, {}}},
		{`{"event": [{"anything-but": {"prefix": "order-"}}]}`, [][]string{{"event", "data-entry"}, {"event", "order_number"}}, [][]string{{"event", "order-cancelled"}}},
		{`{"customer_interests": [{"anything-but": {"suffix": "ball"}}]}`, [][]string{{"customer_interests", "surfing"}}, [][]string{{"customer_interests", "baseball"}}},
		{`{"customer_interests": [{"anything-but": {"wildcard": "*ball"}}]}`, [][]string{{"customer_interests", "hockey"}}, [][]string{{"customer_interests", "rugby ball"}}},
		{`{"customer_interests": [{"equals-ignore-case": "tennis"}]}`, [][]string{{"customer_interests", "TENNIS"}, {"customer_interests", "Tennis"}}, [][]string{{"customer_interests", "rugby"}}},
		{`{"source_ip": [{"cidr": "10.0.0.0/24"}]}`, [][]string{{"source_ip", "10.0.0.0"}, {"source_ip", "10.0.0.255"}}, [][]string{{"source_ip", "10.1.1.0"}, {"source_ip", "x"}, {"source_ip", ""}}},
		{`{"source_ip": [{"cidr": "2001:db8::/32"}]}`, [][]string{{"source_ip", "2001:db8:1::1"}}, [][]string{{"source_ip", "2001:db9::1"}, {"source_ip", "2001:db8::1%eth0"}}},
		{`{"customer_interests": [{"prefix": "bas"}]}`, [][]string{{"customer_interests", "baseball"}, {"customer_interests", "basketball"}}, [][]string{{"customer_interests", "rugby"}}},
		{`{"customer_interests": [{"suffix": "ball"}]}`, [][]string{{"customer_interests", "baseball"}}, [][]string{{"customer_interests", "rugby"}, {"customer_interests", "ball "}}},
		{`{"customer_interests": [{"wildcard": "*ball"}]}`, [][]string{{"customer_interests", "baseball"}}, [][]string{{"customer_interests", "balls"}}},
		{`{"path": [{"wildcard": "a*b*c"}]}`, [][]string{{"path", "abc"}, {"path", "aXbYbZc"}}, [][]string{{"path", "acb"}, {"path", "abcd"}}},
		{`{"path": [{"wildcard": "a\\*b\\\\c"}]}`, [][]string{{"path", `a*b\c`}}, [][]string{{"path", `aXb\c`}}},
		{`{"path": [{"wildcard": "aba*aba"}]}`, [][]string{{"path", "abaaba"}}, [][]string{{"path", "ababa"}}},
		{`{"price_usd": [{"numeric": ["=", 301.5]}]}`, [][]string{{"price_usd", "n:301.5"}, {"price_usd", "n:3.015e2"}}, [][]string{{"price_usd", "n:301"}, {"price_usd", "301.5"}}},
		{`{"price": [{"anything-but": [100, 500]}]}`, [][]string{{"price", "n:101"}, {"price", "n:100.1"}, {"price", "a:[100, 50]"}}, [][]string{{"price", "n:100"}, {"price", "n:100.0"}}},
		{`{"price_usd": [{"numeric": [">", 0, "<=", 150]}]}`, [][]string{{"price_usd", "n:150"}, {"price_usd", "n:0.00001"}}, [][]string{{"price_usd", "n:0"}, {"price_usd", "n:150.00001"}}},
		{`{"price_usd": [{"numeric": ["<", 0]}]}`, [][]string{{"price_usd", "n:-1"}}, [][]string{{"price_usd", "n:0"}}},
		{`{"price_usd": [5, {"numeric": [">=", 1e9]}]}`, [][]string{{"price_usd", "n:5"}, {"price_usd", "n:5.0"}, {"price_usd", "n:1000000000"}}, [][]string{{"price_usd", "5"}, {"price_usd", "n:6"}}},
		{`{"store": [{"exists": true}]}`, [][]string{{"store", "fans"}, {"store", ""}}, [][]string{{}, {"stores", "fans"}}},
		{`{"store": [{"exists": false}]}`, [][]string{{}, {"stores", "fans"}}, [][]string{{"store", "fans"}}},
		{`{"store": ["a", {"exists": false}], "x": ["1"]}`, [][]string{{"x", "1"}, {"x", "1", "store", "a"}}, [][]string{{"x", "1", "store", "b"}, {"store", "a"}}},
		{`{"source": ["aws.cloudwatch"], "$or": [{"metricName": ["CPUUtilization"]}, {"namespace": ["AWS/EC2", "AWS/ES"]}]}`,
			[][]string{{"source", "aws.cloudwatch", "metricName", "CPUUtilization"}, {"source", "aws.cloudwatch", "namespace", "AWS/ES"}},
			[][]string{{"source", "aws.cloudwatch"}, {"metricName", "CPUUtilization"}, {"source", "aws.cloudwatch", "metricName", "ReadLatency"}}},
		{`{"$or": ["a", "b"]}`, [][]string{{"$or", "a"}}, [][]string{{"x", "a"}}}, // fewer than two objects: a field of that name
		{`{"$or": [{"prefix": "a"}, {"prefix": "b"}]}`, [][]string{{"$or", "ax"}, {"$or", "bx"}}, [][]string{{"prefix", "a"}}},
		{`{"key": [null, true]}`, [][]string{{"key", "a:[null]"}, {"key", "a:[1, true]"}}, [][]string{{}, {"key", "null"}, {"key", "a:[false]"}, {"key", "a:[]"}}},
		{`{}`, [][]string{{}, {"a", "b"}}, nil},
	} {
		p, err := CompilePolicy([]byte(c.policy), PolicyScope{Decode: typed})
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		for i, set := range [][][]string{c.miss, c.match} {
			for _, a := range set {
				if got, err := judged(p, attributes(a...)); got != (i == 1) || err != nil {
					t.Errorf("%s of %v: %v %v", c.policy, a, got, err)
				}
			}
		}
	}
}

func TestPolicy_DataAsDocumented(t *testing.T) {
	for _, c := range []struct {
		policy      string
		match, miss []string
	}{
		{`{"store": ["example_corp"], "event": [{"anything-but": "order_cancelled"}], "customer_interests": ["rugby", "football", "baseball"], "price_usd": [{"numeric": [">=", 100]}]}`,
			[]string{`{"store":"example_corp","event":"order_placed","customer_interests":["soccer","rugby","hockey"],"price_usd":210.75}`},
			[]string{`{"store":"example_corp","event":"order_cancelled","customer_interests":["soccer","rugby","hockey"],"price_usd":210.75}`, `[]`, `"x"`, ``, `{`, `null`}},
		{`{"detail": {"state": ["a"], "deep": {"er": [{"exists": true}]}}}`, []string{`{"detail":{"state":"a","deep":{"er":0}}}`, `{"detail":{"state":["b","a"],"deep":[{"er":null}]}}`},
			[]string{`{"state":"a"}`, `{"detail":"a"}`, `{"detail":{"state":"a","deep":{"er":{}}}}`, `{"detail":{"state":"a","deep":{"er":[]}}}`}},
		{`{"Records": {"s3": {"object": {"key": [{"prefix": "auto-"}]}}, "eventName": [{"prefix": "ObjectCreated:"}]}}`,
			[]string{`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"object":{"key":"auto-insurance/1"}}}]}`}, []string{`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"object":{"key":"home/1"}}}]}`, `{"Records":[]}`}},
		{`{"a.b": ["x"]}`, []string{`{"a.b":"x"}`, `{"a":{"b":"x"}}`, `{"a":[[{"b":["y","x"]}]]}`}, []string{`{"a":"x"}`, `{"b":"x"}`}},
		{`{"a": {"b": ["x"]}}`, []string{`{"a.b":"x"}`}, []string{`{"a..b":"x"}`}},
		{`{"k": [null]}`, []string{`{"k":null}`, `{"k":[1,null]}`}, []string{`{}`, `{"k":"null"}`, `{"k":0}`}},
		{`{"k": [{"exists": false}]}`, []string{`{}`, `{"k":[]}`, `{"k":{"x":1}}`}, []string{`{"k":null}`, `{"k":[null]}`}},
		{`{"k": [true, 1.5, "é"]}`, []string{`{"k":true}`, `{"k":15e-1}`, `{"k":"\u00e9"}`, `{"\u006b":true}`}, []string{`{"k":false}`, `{"k":"true"}`, `{"k":"1.5"}`, `{"k":1e999}`}},
		{`{"$or": [{"a": {"b": ["x"]}}, {"c": ["y"], "d": ["z"]}]}`, []string{`{"a":{"b":"x"}}`, `{"c":"y","d":"z"}`}, []string{`{"c":"y"}`, `{"a":"x"}`}},
		{`{"o": {"$or": [{"a": ["x"]}, {"b": ["y"]}]}}`, []string{`{"o":{"a":"x"}}`, `{"o":{"b":"y"}}`}, []string{`{"a":"x"}`, `{"o":{"b":"x"}}`}},
		{`{"k": [{"anything-but": {"prefix": ["a", "b"]}}]}`, []string{`{"k":"c"}`, `{"k":["a","c"]}`}, []string{`{"k":"ax"}`, `{"k":"bx"}`, `{}`}},
		{`{"k": [{"anything-but": {"equals-ignore-case": "a"}}]}`, []string{`{"k":"b"}`}, []string{`{"k":"A"}`}},
	} {
		p, err := CompilePolicy([]byte(c.policy), PolicyScope{Data: true})
		if err != nil {
			t.Errorf("%s: %v", c.policy, err)
			continue
		}
		for i, set := range [][]string{c.miss, c.match} {
			for _, data := range set {
				for _, kind := range []string{"application/json", "text/plain", ""} {
					in := &Input{Event: &record.Event{DataContentType: kind, Data: []byte(data)}}
					if got, err := judged(p, in); got != (i == 1) || err != nil {
						t.Errorf("%s of %s as %q: %v %v", c.policy, data, kind, got, err)
					}
				}
			}
		}
	}
}

func TestPolicy_Refusals(t *testing.T) {
	values := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") }
	wild := func(n int, p string) string {
		return strings.TrimSuffix(strings.Repeat(`{"wildcard":"`+p+`"},`, n), ",")
	}
	for _, c := range []struct {
		policy, path, text string
		data               bool
	}{
		{``, "", "one JSON object", false},
		{`[]`, "", "one JSON object", false},
		{`{"a": "b"}`, "a", `"a" must be an object or an array`, false},
		{`{"a": []}`, "a", "Empty arrays", false},
		{`{"a": {}}`, "a", "Empty objects", true},
		{`{"a": {"b": ["x"]}}`, "a", "does not support nested", false},
		{`{"a": {"b": [{"prefix": 1}]}}`, "a.b[0].prefix", "prefix match pattern must be a string", true},
		{`{"a": [["x"]]}`, "a[0]", "Match value must be String, number, true, false, or null", false},
		{`{"a": ["x", {"regex": "y"}]}`, "a[1].regex", "Unrecognized match type regex", false},
		{`{"a": [{"prefix": "x", "suffix": "y"}]}`, "a[0]", "Only one key allowed", false},
		{`{"a": [{}]}`, "a[0]", "Only one key allowed", false},
		{`{"a": [{"exists": "yes"}]}`, "a[0].exists", "true or false", false},
		{`{"a": [{"anything-but": {"cidr": "x"}}]}`, "a[0].anything-but.cidr", "Unsupported anything-but pattern: cidr", false},
		{`{"a": [{"anything-but": [["x"]]}]}`, "a[0].anything-but[0]", "Match value must be", false},
		{`{"a": [{"anything-but": []}]}`, "a[0].anything-but", "Empty arrays", false},
		{`{"a": [{"numeric": []}]}`, "a[0].numeric", "Invalid member in numeric match: ]", false},
		{`{"a": [{"numeric": [5]}]}`, "a[0].numeric", "Invalid member in numeric match: 5", false},
		{`{"a": [{"numeric": ["~", 5]}]}`, "a[0].numeric", "Unrecognized numeric range operator: ~", false},
		{`{"a": [{"numeric": ["=", "5"]}]}`, "a[0].numeric", "Value of equals must be numeric", false},
		{`{"a": [{"numeric": ["<"]}]}`, "a[0].numeric", "Value of < must be numeric", false},
		{`{"a": [{"numeric": ["<", 5, ">", 3]}]}`, "a[0].numeric", "Too many elements", false},
		{`{"a": [{"numeric": [">", 5, 3]}]}`, "a[0].numeric", "Bad value in numeric range: 3", false},
		{`{"a": [{"numeric": [">", 5, ">", 7]}]}`, "a[0].numeric", "Bad numeric range operator: >", false},
		{`{"a": [{"numeric": [">", 5, "<", 5]}]}`, "a[0].numeric", "Bottom must be less than top", false},
		{`{"a": [{"numeric": [">", 5, "<", 6, "<", 7]}]}`, "a[0].numeric", "Too many terms", false},
		{`{"a": [{"numeric": [">", 1000000001]}]}`, "a[0].numeric", "from -10^9 to 10^9", false},
		{`{"a": [{"cidr": 5}]}`, "a[0].cidr", "must be a string", false},
		{`{"a": [{"cidr": "10.0.0.0"}]}`, "a[0].cidr", "one '/' required", false},
		{`{"a": [{"cidr": "10.0.0.0/x"}]}`, "a[0].cidr", "mask bits must be an integer", false},
		{`{"a": [{"cidr": "10.0.0/8"}]}`, "a[0].cidr", "Nonstandard IP address: 10.0.0", false},
		{`{"a": [{"wildcard": "a*b*c*d*"}]}`, "a[0].wildcard", "at most 3 wildcards", false},
		{`{"a": [{"wildcard": "a**"}]}`, "a[0].wildcard", "consecutive", false},
		{`{"a": [{"wildcard": "a\\b"}]}`, "a[0].wildcard", "backslash", false},
		{`{"$or": [{"a": ["x"]}, {"b": "y"}]}`, "$or[1].b", "must be an object or an array", false},
		{`{"a":["x"],"b":["x"],"c":["x"],"d":["x"],"e":["x"],"f":["x"]}`, "", "more than 5 keys", false},
		{`{"a":["x"],"o":{"b":["x"],"c":["x"],"d":["x"],"e":["x"],"f":["x"]}}`, "", "more than 5 keys", true},
		{`{"a":[` + values(151) + `]}`, "", "too complex: 151 combinations", false},
		{`{"a":[` + values(12) + `],"b":[` + values(13) + `]}`, "", "too complex: 156 combinations", false},
		{`{"a":{"b":{"c":[` + values(51) + `]}}}`, "", "too complex: 153 combinations", true},
		{`{"a":[` + wild(11, "x*") + `]}`, "", "too complex: 121 wildcard points", false},
		{`{"a":[` + wild(34, "a*b*c*") + `]}`, "", "wildcard points", false},
		{strings.Repeat(`{"a":`, PolicyDepthMax+1) + `["x"]` + strings.Repeat(`}`, PolicyDepthMax+1), strings.TrimPrefix(strings.Repeat(".a", PolicyDepthMax), "."), "nests deeper than 64", true},
		{`{"a":["` + strings.Repeat("x", PolicyBytesMax) + `"]}`, "", "too large", false},
	} {
		_, err := CompilePolicy([]byte(c.policy), PolicyScope{Data: c.data})
		f := fault.As(err)
		if f == nil || f.Kind != fault.Invalid || f.Subject != c.path || !strings.Contains(f.Text, c.text) {
			t.Errorf("%.80s: got %v, want %s: %s", c.policy, err, c.path, c.text)
		}
	}
	// At the limits themselves, and the documented counts: 4 x 3 x 3 x 2 = 72, and a branch more of an "or" is added.
	for _, c := range []struct {
		policy string
		data   bool
	}{
		{`{"a":[` + values(150) + `]}`, false}, {`{"a":["x"],"b":["x"],"c":["x"],"d":["x"],"e":["x"]}`, false}, {`{"a":[` + wild(10, "x*") + `]}`, false},
		{`{"key_a":{"key_b":{"key_c":["1","2","3","4"]}},"key_d":{"key_e":["1","2","3"]}}`, true},
		{`{"$or":[{"a":[` + values(75) + `]},{"b":[` + values(75) + `]}]}`, false},
		{`{"a":["x"],"$or":[{"b":["x"],"c":["y"]},{"b":["y"],"c":["x"],"d":["1"],"e":["2"]}]}`, false},
	} {
		if _, err := CompilePolicy([]byte(c.policy), PolicyScope{Data: c.data}); err != nil {
			t.Errorf("%.80s: %v", c.policy, err)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(`{"a":{"b":[{"anything-but":{"prefix":"x"}},{"numeric":[">",1,"<=",5]}]},"$or":[{"c":[null]},{"d":[{"wildcard":"a*\\*b"},{"cidr":"10.0.0.0/8"}]}]}`, `{"a":[{"b":3}],"c":null}`)
	f.Add(`{"a":[{"exists":false},{"equals-ignore-case":"É"},{"suffix":""}]}`, `{"a":"é"}`)
	f.Fuzz(func(t *testing.T, policy, data string) {
		for _, scope := range []PolicyScope{{Data: true}, {Decode: Guess}} {
			p, err := CompilePolicy([]byte(policy), scope)
			if err != nil {
				if !fault.Is(err, fault.Invalid) {
					t.Fatal(err)
				}
				continue
			}
			in := input()
			in.Event.Data, in.Event.Headers = []byte(data), append(in.Event.Headers, record.Header{Key: "a", Value: []byte(data)})
			x := NewExtract()
			x.Reset(in)
			got, err := p.Match(x)
			if again, _ := p.Match(x); again != got || err != nil {
				t.Fatalf("%s of %s: %v, then %v, %v", policy, data, got, again, err)
			}
			if r := p.Explain(x); (r[0].Result == "true") != got {
				t.Fatalf("%s of %s: %v, explained %v", policy, data, got, r)
			}
		}
	})
}
