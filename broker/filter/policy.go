package filter

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"leat/broker/fault"
	"leat/broker/record"
)

// Limits of a policy. The first four are the published ones of its dialect.
const (
	PolicyBytesMax        = 256 << 10
	PolicyKeysMax         = 5   // keys that have rules; repeated ones count once
	PolicyCombinationsMax = 150 // product over the keys of rules times nesting level; the branches of an "or" are added
	PolicyWildcardsMax    = 3   // of one pattern
	PolicyPointsMax       = 100 // wildcard complexity, where there are wildcards
	PolicyDepthMax        = 64
)

// PolicyScope is what the keys of a policy name.
type PolicyScope struct {
	Data   bool     // members of JSON data, nested as in the policy; without it headers
	Decode *Decoder // of headers; nil is as text
}

// CompilePolicy reads a filter policy as subscription services have them: a JSON object whose keys name fields, each with an array of
// rules of which one must hold. All keys must hold; "$or" over two objects or more asks for one of them.
//
//	{"store": ["example"], "price": [{"numeric": [">=", 100, "<", 200]}], "$or": [{"event": [{"prefix": "order-"}]}, {"vip": [true]}]}
//
// Rules are a value itself (text, number, true, false, null) or one of prefix, suffix, equals-ignore-case, wildcard, anything-but (of
// values, prefix, suffix, equals-ignore-case, wildcard), numeric, exists and cidr. A field with several values (an array, in the data also arrays on the way to it)
// is met when a rule holds for one of them. A field that is not there meets {"exists": false} only. Values are of their types: 5 is
// not "5". Data that is no JSON object, whatever its content type, meets no policy.
//
// What is wrong is Invalid with the path as Subject (such as price[0].numeric), in the words of the dialect.
func CompilePolicy(text []byte, scope PolicyScope) (*Predicate, error) {
	if len(text) > PolicyBytesMax {
		return nil, badPolicy("", "Filter policy is too large: it has %d bytes of at most %d", len(text), PolicyBytesMax)
	}
	v, ok := record.JSONValue(text)
	top, isObject := v.(map[string]any)
	if !ok || !isObject {
		return nil, badPolicy("", "failed to parse JSON: a filter policy is one JSON object")
	}
	c := policyCompiler{scope: scope, keys: map[string]bool{}}
	root, combinations, err := c.object(top, nil, "", 1)
	if err != nil {
		return nil, err
	}
	switch {
	case len(c.keys) > PolicyKeysMax:
		return nil, badPolicy("", "Filter policy can not have more than %d keys", PolicyKeysMax)
	case combinations > PolicyCombinationsMax:
		return nil, badPolicy("", "Filter policy is too complex: %d combinations of at most %d", combinations, PolicyCombinationsMax)
	case c.wild && c.points > PolicyPointsMax:
		return nil, badPolicy("", "Filter policy is too complex: %d wildcard points of at most %d", c.points, PolicyPointsMax)
	}
	if scope.Data && len(top) > 0 {
		root = append(all{objectData{}}, root...)
	}
	return &Predicate{root: root, text: string(text), fields: c.fields}, nil
}

func badPolicy(path, format string, args ...any) error {
	return fault.New(fault.Invalid, "policy", path, format, args...)
}

type policyCompiler struct {
	scope  PolicyScope
	fields fieldSet
	keys   map[string]bool
	points int  // of wildcards
	wild   bool // there are wildcards
}

// satAdd and satMul keep counts that a hostile policy drives up from going around.
const countMax = 1 << 30

func satMul(a, b int) int {
	if b != 0 && a > countMax/b {
		return countMax
	}
	return a * b
}

// object compiles the keys of one object. names lead to it, path says the same for people.
func (c *policyCompiler) object(o map[string]any, names []string, path string, depth int) (all, int, error) {
	if depth > PolicyDepthMax {
		return nil, 0, badPolicy(path, "it nests deeper than %d", PolicyDepthMax)
	}
	out, combinations := make(all, 0, len(o)), 1
	for _, key := range slices.Sorted(maps.Keys(o)) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		var n node
		var count int
		var err error
		switch v := o[key].(type) {
		case []any:
			if branches, isOr := orBranches(key, v); isOr {
				n, count, err = c.or(branches, names, at, depth)
				break
			}
			n, count, err = c.leaf(v, append(slices.Clone(names), key), at)
		case map[string]any:
			if len(v) == 0 {
				err = badPolicy(at, "Empty objects are not allowed")
				break
			}
			if n, count, err = c.object(v, append(slices.Clone(names), key), at, depth+1); err == nil && !c.scope.Data { // what is wrong inside is said first
				err = badPolicy(at, "Filter policy scope MessageAttributes does not support nested filter policy")
			}
		default:
			err = badPolicy(at, "%q must be an object or an array", key)
		}
		if err != nil {
			return nil, 0, err
		}
		out, combinations = append(out, n), satMul(combinations, count)
	}
	return out, combinations, nil
}

// reservedNames are names that no field inside an "$or" may have: with them the "$or" is a field of that name.
var reservedNames = []string{"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr", "=", "<", "<=", ">", ">="}

func orBranches(key string, v []any) ([]map[string]any, bool) {
	if key != "$or" || len(v) < 2 {
		return nil, false
	}
	branches := make([]map[string]any, len(v))
	for i := range v {
		o, ok := v[i].(map[string]any)
		if !ok || len(o) == 0 {
			return nil, false
		}
		for name := range o {
			if slices.Contains(reservedNames, name) {
				return nil, false
			}
		}
		branches[i] = o
	}
	return branches, true
}

func (c *policyCompiler) or(branches []map[string]any, names []string, path string, depth int) (node, int, error) {
	var out one
	sum := 0
	for i, b := range branches {
		n, count, err := c.object(b, names, path+"["+strconv.Itoa(i)+"]", depth+1)
		if err != nil {
			return nil, 0, err
		}
		out, sum = append(out, n), min(sum+count, countMax)
	}
	return out, sum, nil
}

// leaf compiles the rules of a field.
func (c *policyCompiler) leaf(rules []any, names []string, path string) (node, int, error) {
	if len(rules) == 0 {
		return nil, 0, badPolicy(path, "Empty arrays are not allowed")
	}
	f := Field{From: FromHeader, Name: names[0], Decode: c.scope.Decode}
	if c.scope.Data {
		f = Field{From: FromDataFlat, Name: strings.Join(names, ".")}
	}
	c.keys[strings.Join(names, ".")] = true
	l := &ruleNode{field: c.fields.number(f), name: path}
	points, scored := 0, 0
	for i, r := range rules {
		rule, score, err := c.rule(r, path+"["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, 0, err
		}
		l.rules = append(l.rules, rule)
		if score > 0 {
			points, scored = points+score, scored+1
		}
	}
	c.points = min(c.points+satMul(points, scored), countMax)
	return l, satMul(len(rules), len(names)), nil
}

// rule compiles one member of a field's array, and says how many points of complexity it is.
func (c *policyCompiler) rule(r any, path string) (rule, int, error) {
	o, isObject := r.(map[string]any)
	if !isObject {
		v, err := constant(r, path)
		return rule{op: ruleIs, values: []Value{v}}, 0, err
	}
	if len(o) != 1 {
		return rule{}, 0, badPolicy(path, "Only one key allowed in match expression")
	}
	for op, v := range o {
		at := path + "." + op
		switch op {
		case "prefix", "suffix", "equals-ignore-case", "wildcard":
			return c.text(op, v, at)
		case "anything-but":
			return c.anythingBut(v, at)
		case "exists":
			b, ok := v.(bool)
			if !ok {
				return rule{}, 0, badPolicy(at, "exists match pattern must be either true or false.")
			}
			if b {
				return rule{op: ruleExists}, 0, nil
			}
			return rule{op: ruleAbsent}, 0, nil
		case "numeric":
			out, err := numericRule(v, at)
			return out, 0, err
		case "cidr":
			out, err := cidrRule(v, at)
			return out, 0, err
		default:
			return rule{}, 0, badPolicy(at, "Unrecognized match type %s", clip(op))
		}
	}
	return rule{}, 0, nil // not reached: there is one key
}

func constant(v any, path string) (Value, error) {
	switch v := v.(type) {
	case nil:
		return NullValue(), nil
	case bool:
		return BoolValue(v), nil
	case string:
		return TextValue(v), nil
	case int64:
		return IntValue(v), nil
	case float64:
		return FloatValue(v), nil
	}
	return Value{}, badPolicy(path, "Match value must be String, number, true, false, or null")
}

func (c *policyCompiler) text(op string, v any, path string) (rule, int, error) {
	s, ok := v.(string)
	if !ok {
		return rule{}, 0, badPolicy(path, "%s match pattern must be a string", op)
	}
	r := rule{values: []Value{TextValue(s)}}
	switch op {
	case "prefix":
		r.op = rulePrefix
	case "suffix":
		r.op = ruleSuffix
	case "equals-ignore-case":
		r.op = ruleFold
	case "wildcard":
		g, stars, err := parseWildcard(s)
		if err != nil {
			return rule{}, 0, badPolicy(path, "%s", err)
		}
		c.wild = true
		r.op, r.glob = ruleWildcard, g
		if stars > 1 {
			return r, 3, nil
		}
		return r, 1, nil
	}
	return r, 0, nil
}

func (c *policyCompiler) anythingBut(v any, path string) (rule, int, error) {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return rule{}, 0, badPolicy(path, "Empty arrays are not allowed")
		}
		r := rule{op: ruleIs, but: true}
		for i, m := range v {
			k, err := constant(m, path+"["+strconv.Itoa(i)+"]")
			if err != nil {
				return rule{}, 0, err
			}
			r.values = append(r.values, k)
		}
		return r, 1, nil
	case map[string]any:
		if len(v) != 1 {
			return rule{}, 0, badPolicy(path, "Only one key allowed in match expression")
		}
		for op, w := range v {
			at := path + "." + op
			if !slices.Contains([]string{"prefix", "suffix", "wildcard", "equals-ignore-case"}, op) {
				return rule{}, 0, badPolicy(at, "Unsupported anything-but pattern: %s", clip(op))
			}
			r, err := c.butText(op, w, at)
			return r, 1, err
		}
	}
	k, err := constant(v, path)
	return rule{op: ruleIs, but: true, values: []Value{k}}, 1, err
}

// butText compiles the patterns that may not hold: one, or several in an array.
func (c *policyCompiler) butText(op string, v any, path string) (rule, error) {
	list, several := v.([]any)
	if !several {
		r, _, err := c.text(op, v, path)
		r.but = true
		return r, err
	}
	if len(list) == 0 {
		return rule{}, badPolicy(path, "Empty arrays are not allowed")
	}
	r := rule{op: ruleNoneOf}
	for i, w := range list {
		k, _, err := c.text(op, w, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return rule{}, err
		}
		r.none = append(r.none, k)
	}
	return r, nil
}
