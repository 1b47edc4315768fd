package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ruleOp is what a rule of a policy does.
type ruleOp uint8

const (
	ruleIs ruleOp = iota // one of values
	rulePrefix
	ruleSuffix
	ruleFold
	ruleWildcard
	ruleNumeric
	ruleCIDR
	ruleExists
	ruleAbsent
	ruleNoneOf
)

// rule is one rule of a field.
type rule struct {
	op     ruleOp
	but    bool // holds where it would not
	values []Value
	glob   glob
	low    bound
	high   bound
	net    netip.Prefix
	none   []rule
}

// bound is one end of a range.
type bound struct {
	set, open bool // open: the value itself is outside
	value     Value
}

// ruleNode holds when one of its rules does for one of the field's values.
type ruleNode struct {
	field int
	name  string
	rules []rule
}

func (n *ruleNode) judge(x *Extract, at []int) truth {
	vs := x.values(at[n.field])
	for i := range n.rules {
		r := &n.rules[i]
		switch r.op {
		case ruleAbsent:
			if len(vs) == 0 {
				return yes
			}
			continue
		case ruleExists:
			if len(vs) > 0 {
				return yes
			}
			continue
		}
		for j := range vs {
			if r.holds(&vs[j]) {
				return yes
			}
		}
	}
	return no
}

func (n *ruleNode) kids() []node   { return nil }
func (n *ruleNode) String() string { return n.name }

func (n *ruleNode) found(x *Extract, at []int) string {
	vs := x.values(at[n.field])
	if len(vs) == 0 {
		return "there is none"
	}
	const most = 4
	var b strings.Builder
	for i, v := range vs[:min(len(vs), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(v.String())
	}
	if len(vs) > most {
		fmt.Fprintf(&b, " and %d more", len(vs)-most)
	}
	return b.String()
}

func (r *rule) holds(v *Value) bool { return r.met(v) != r.but }

func (r *rule) met(v *Value) bool {
	switch r.op {
	case ruleIs:
		return slices.ContainsFunc(r.values, v.same)
	case ruleNumeric:
		return r.inRange(v)
	case ruleNoneOf:
		for i := range r.none {
			if r.none[i].met(v) {
				return false
			}
		}
		return true
	}
	if v.Kind != Text {
		return false
	}
	switch r.op {
	case rulePrefix:
		return strings.HasPrefix(v.text, r.values[0].text)
	case ruleSuffix:
		return strings.HasSuffix(v.text, r.values[0].text)
	case ruleFold:
		return strings.EqualFold(v.text, r.values[0].text)
	case ruleWildcard:
		return r.glob.match(v.text)
	case ruleCIDR:
		a, err := netip.ParseAddr(v.text)
		return err == nil && a.Zone() == "" && r.net.Contains(a.Unmap())
	}
	return false
}

func (r *rule) inRange(v *Value) bool {
	if !v.number() {
		return false
	}
	if r.low.set {
		if c, _ := v.compare(r.low.value); c < 0 || c == 0 && r.low.open {
			return false
		}
	}
	if r.high.set {
		if c, _ := v.compare(r.high.value); c > 0 || c == 0 && r.high.open {
			return false
		}
	}
	return true
}

// numberMost is the largest number, either way, that a policy may compare with.
const numberMost = 1e9

// numericRule reads ["=", 5], [">", 5] and [">=", 5, "<", 9].
func numericRule(v any, path string) (rule, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return rule{}, badPolicy(path, "Invalid member in numeric match: ]")
	}
	op, ok := list[0].(string)
	if !ok {
		return rule{}, badPolicy(path, "Invalid member in numeric match: %v", list[0])
	}
	r := rule{op: ruleNumeric}
	n, err := operand(list, 1, op, path)
	switch op {
	case "=":
		r.low, r.high = bound{set: true, value: n}, bound{set: true, value: n}
	case "<", "<=":
		r.high = bound{set: true, open: op == "<", value: n}
	case ">", ">=":
		r.low = bound{set: true, open: op == ">", value: n}
	default:
		return rule{}, badPolicy(path, "Unrecognized numeric range operator: %s", clip(op))
	}
	if err != nil || len(list) == 2 {
		return r, err
	}
	if !r.low.set || r.high.set {
		return rule{}, badPolicy(path, "Too many elements in numeric expression")
	}
	op2, ok := list[2].(string)
	switch {
	case !ok:
		return rule{}, badPolicy(path, "Bad value in numeric range: %v", list[2])
	case op2 != "<" && op2 != "<=":
		return rule{}, badPolicy(path, "Bad numeric range operator: %s", clip(op2))
	}
	m, err := operand(list, 3, op2, path)
	if err != nil {
		return rule{}, err
	}
	r.high = bound{set: true, open: op2 == "<", value: m}
	switch c, _ := n.compare(m); {
	case c >= 0:
		return rule{}, badPolicy(path, "Bottom must be less than top")
	case len(list) > 4:
		return rule{}, badPolicy(path, "Too many terms in numeric range expression")
	}
	return r, nil
}

func operand(list []any, i int, op, path string) (Value, error) {
	if i < len(list) {
		if v, err := constant(list[i], path); err == nil && v.number() {
			c, _ := v.compare(FloatValue(numberMost))
			d, _ := v.compare(FloatValue(-numberMost))
			if c > 0 || d < 0 {
				return Value{}, badPolicy(path, "Value of %s must be from -10^9 to 10^9", equalsOf(op))
			}
			return v, nil
		}
	}
	return Value{}, badPolicy(path, "Value of %s must be numeric", equalsOf(op))
}

func equalsOf(op string) string {
	if op == "=" {
		return "equals"
	}
	return op
}

func cidrRule(v any, path string) (rule, error) {
	s, ok := v.(string)
	if !ok {
		return rule{}, badPolicy(path, "prefix match pattern must be a string")
	}
	ip, bits, ok := strings.Cut(s, "/")
	if !ok || strings.Contains(bits, "/") {
		return rule{}, badPolicy(path, "Malformed CIDR, one '/' required")
	}
	if bits == "" || strings.Trim(bits, "0123456789") != "" {
		return rule{}, badPolicy(path, "Malformed CIDR, mask bits must be an integer")
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return rule{}, badPolicy(path, "Nonstandard IP address: %s", clip(ip))
	}
	return rule{op: ruleCIDR, net: p.Masked()}, nil
}

// glob is text with gaps: the parts stand in their order, the first at the beginning and the last at the end.
type glob []string

var (
	errStars  = fmt.Errorf("at most %d wildcards are allowed in a pattern", PolicyWildcardsMax)
	errDouble = errors.New("consecutive wildcard characters are not allowed")
	errEscape = errors.New("a backslash stands before something else than * and \\")
)

// parseWildcard reads a pattern in which * is any text and \* and \\ are themselves.
func parseWildcard(s string) (g glob, stars int, err error) {
	var part strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i++; i == len(s) || s[i] != '*' && s[i] != '\\' {
				return nil, 0, errEscape
			}
			part.WriteByte(s[i])
		case '*':
			if i+1 < len(s) && s[i+1] == '*' {
				return nil, 0, errDouble
			}
			if stars++; stars > PolicyWildcardsMax {
				return nil, 0, errStars
			}
			g = append(g, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(g, part.String()), stars, nil
}

// match looks for each part behind the one before, as early as it stands: if there is a way, this is one.
func (g glob) match(s string) bool {
	if len(g) == 1 {
		return s == g[0]
	}
	first, last := g[0], g[len(g)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range g[1 : len(g)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// objectData holds when the data is a JSON object.
type objectData struct{}

func (objectData) judge(x *Extract, _ []int) truth { return truthOf(x.isObject()) }
func (objectData) kids() []node                    { return nil }
func (objectData) String() string                  { return "the data is a JSON object" }

func (objectData) found(x *Extract, _ []int) string {
	if x.isObject() {
		return ""
	}
	return "it is something else"
}
