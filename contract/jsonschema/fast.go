package jsonschema

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/contract/jsontree"
)

// fast is a schema of the usual keywords as a program for one pass over the bytes, which builds nothing. It says yes, or "look closer": what it does
// not know for certain (an escape in a text whose letters matter, a number of too many digits, a name that is there twice) is left to the compiled
// schema, and so is every refusal, which has to say why. So it can be slow but not wrong.
type fast struct{ root *rule }

// Types as bits.
const (
	isNull = 1 << iota
	isBool
	isObject
	isArray
	isNumber
	isInteger
	isString
	isAny = isNull | isBool | isObject | isArray | isNumber | isString
)

// rule is what one schema asks for.
type rule struct {
	types   uint8
	all     []*rule // besides
	any     []*rule // one of them, if there are some
	texts   []string
	enum    bool // texts are the only ones
	enumNil bool // and null

	props    []member
	required uint64
	closed   bool
	more     *rule

	items              *rule
	itemsMin, itemsMax int

	lenMin, lenMax int
	re             *regexp.Regexp
	format         func([]byte) bool

	least, most               *float64
	leastBeyond, mostBeyond   bool
	lengths, bounded, content bool
}

type member struct {
	name string
	rule *rule
}

const (
	fastPropsMax  = 64 // bits of a word
	exactDigits   = 15 // decimals of so many digits are different where their floats are
	fastDepthMax  = 64
	fastStepsMax  = 4096 // rules of one program
	unlimited     = math.MaxInt
	dateTimeBytes = len("2006-01-02T15:04:05Z")
)

type fastBuilder struct {
	b    *builder
	made map[*jsontree.Value]*rule
}

// newFast is nil where the schema has keywords that need more than one look.
func newFast(s *Schema) *fast {
	f := &fastBuilder{b: &builder{docs: s.docs, modern: s.docs.modern}, made: map[*jsontree.Value]*rule{}}
	root, ok := f.rule(s.tree)
	if !ok {
		return nil
	}
	return &fast{root}
}

func (f *fastBuilder) rule(v *jsontree.Value) (*rule, bool) {
	if v = f.b.follow(v); v == nil {
		return nil, false
	}
	if r := f.made[v]; r != nil {
		return r, true
	}
	if len(f.made) > fastStepsMax {
		return nil, false
	}
	r := &rule{types: isAny, itemsMax: unlimited, lenMax: unlimited}
	f.made[v] = r
	switch {
	case v.Kind == jsontree.Bool:
		return r, v.Text == "true"
	case v.Kind != jsontree.Object || v.Get("$ref") != nil:
		return nil, false
	}
	for i := range v.Members {
		if !f.keyword(r, v.Members[i].Name, v.Members[i].Value) {
			return nil, false
		}
	}
	if !f.require(r, v) {
		return nil, false
	}
	r.content = r.lengths || r.re != nil || r.format != nil || r.enum
	r.bounded = r.least != nil || r.most != nil
	return r, true
}

// keyword takes one keyword into the rule, or says that it does not know it.
func (f *fastBuilder) keyword(r *rule, name string, v *jsontree.Value) (ok bool) {
	switch name {
	case "type":
		return r.typed(v)
	case "properties":
		for i := range v.Members {
			p, ok := f.rule(v.Members[i].Value)
			if !ok || len(r.props) == fastPropsMax {
				return false
			}
			r.props = append(r.props, member{v.Members[i].Name, p})
		}
		return true
	case "required":
		return true // when the properties are known
	case "additionalProperties":
		if v.Kind == jsontree.Bool {
			r.closed = v.Text == "false"
			return true
		}
		r.more, ok = f.rule(v)
		return ok
	case "items":
		if v.Kind == jsontree.Array {
			return false
		}
		r.items, ok = f.rule(v)
		return ok
	case "minItems":
		return number0(v, &r.itemsMin)
	case "maxItems":
		return number0(v, &r.itemsMax)
	case "minLength":
		r.lengths = true
		return number0(v, &r.lenMin)
	case "maxLength":
		r.lengths = true
		return number0(v, &r.lenMax)
	case "minimum", "exclusiveMinimum":
		r.leastBeyond = name != "minimum"
		return r.least == nil && bound0(v, &r.least)
	case "maximum", "exclusiveMaximum":
		r.mostBeyond = name != "maximum"
		return r.most == nil && bound0(v, &r.most)
	case "pattern":
		re, err := regexp.Compile(v.Text)
		r.re = re
		return err == nil
	case "enum":
		return r.enumOf(v.Items)
	case "const":
		return r.enumOf([]*jsontree.Value{v})
	case "format":
		return f.formatOf(r, v.Text)
	case "allOf":
		r.all, ok = f.rules(v)
		return ok
	case "anyOf":
		r.any, ok = f.rules(v)
		return ok
	case "oneOf":
		r.any, ok = f.rules(v)
		return ok && disjoint(r.any)
	}
	return slices.Contains(annotations, name) && name != "$ref" || strings.HasPrefix(name, "confluent:") || strings.HasPrefix(name, "x-")
}

func (f *fastBuilder) rules(v *jsontree.Value) (out []*rule, ok bool) {
	for _, e := range v.Items {
		r, ok := f.rule(e)
		if !ok {
			return nil, false
		}
		out = append(out, r)
	}
	return out, true
}

// disjoint reports whether no value can be of two of the rules, by their types.
func disjoint(all []*rule) bool {
	seen := uint8(0)
	for _, r := range all {
		t := r.types
		if t&isNumber != 0 {
			t |= isInteger
		}
		if t&isInteger != 0 {
			t |= isNumber
		}
		if t&seen != 0 {
			return false
		}
		seen |= t
	}
	return true
}

func (r *rule) typed(v *jsontree.Value) bool {
	names := map[string]uint8{"null": isNull, "boolean": isBool, "object": isObject, "array": isArray, "number": isNumber, "integer": isInteger, "string": isString}
	if v.Kind == jsontree.String {
		r.types = names[v.Text]
		return r.types != 0
	}
	r.types = 0
	for _, e := range v.Items {
		r.types |= names[e.Text]
	}
	return r.types != 0
}

// require notes what must be there; a property that is required and not named becomes one that may be anything.
func (f *fastBuilder) require(r *rule, v *jsontree.Value) bool {
	list := v.Get("required")
	if list == nil {
		return true
	}
	if list.Kind != jsontree.Array {
		return false
	}
	for _, e := range list.Items {
		i := slices.IndexFunc(r.props, func(m member) bool { return m.name == e.Text })
		if i < 0 {
			return false
		}
		r.required |= 1 << i
	}
	return true
}

func (r *rule) enumOf(all []*jsontree.Value) bool {
	if r.enum {
		return false
	}
	r.enum = true
	for _, v := range all {
		switch v.Kind {
		case jsontree.String:
			r.texts = append(r.texts, v.Text)
		case jsontree.Null:
			r.enumNil = true
		default:
			return false
		}
	}
	return true
}

func number0(v *jsontree.Value, to *int) bool {
	n, err := strconv.Atoi(v.Text)
	*to = n
	return err == nil && n >= 0 && v.Kind == jsontree.Number
}

func bound0(v *jsontree.Value, to **float64) bool {
	x, ok := exact([]byte(v.Text))
	*to = &x
	return ok && v.Kind == jsontree.Number
}

// exact is a number of so few digits that no other has its float.
func exact(b []byte) (float64, bool) {
	if len(b) > exactDigits {
		return 0, false
	}
	for _, c := range b {
		if c == 'e' || c == 'E' {
			return 0, false
		}
	}
	neg, whole, scale := false, int64(0), 0
	point := false
	for i, c := range b {
		switch {
		case c == '-' && i == 0:
			neg = true
		case c == '.':
			point = true
		case c < '0' || c > '9':
			return 0, false
		default:
			whole = 10*whole + int64(c-'0')
			if point {
				scale++
			}
		}
	}
	x := float64(whole) / powers[scale] // both are exact, so the quotient is rounded once, as it must be
	if neg {
		x = -x
	}
	return x, true
}

var powers = [exactDigits + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// formatOf: formats are checked up to draft 7, and are an annotation since.
func (f *fastBuilder) formatOf(r *rule, name string) bool {
	if f.b.modern {
		return true
	}
	switch name {
	case "date-time":
		r.format = plainDateTime
	case "date":
		r.format = plainDate
	case "uuid":
		r.format = plainUUID
	default:
		return false
	}
	return true
}

func digits(b []byte) (n int) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1 << 20
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// plainDate is a date of which every calendar says that it is one.
func plainDate(b []byte) bool {
	if len(b) != len("2006-01-02") || b[4] != '-' || b[7] != '-' {
		return false
	}
	month, day := digits(b[5:7]), digits(b[8:])
	last := 30
	switch month {
	case 2:
		last = 28
	case 1, 3, 5, 7, 8, 10, 12:
		last = 31
	}
	return digits(b[:4]) >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= last
}

func plainDateTime(b []byte) bool {
	if len(b) < dateTimeBytes || b[10] != 'T' || b[len(b)-1] != 'Z' || b[13] != ':' || b[16] != ':' || !plainDate(b[:10]) {
		return false
	}
	h, m, s := digits(b[11:13]), digits(b[14:16]), digits(b[17:19])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 {
		return false
	}
	rest := b[19 : len(b)-1]
	return len(rest) == 0 || rest[0] == '.' && len(rest) > 1 && len(rest) <= 10 && digits(rest[1:]) >= 0
}

func plainUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, c := range b {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// admits says yes for certain, or does not know.
func (f *fast) admits(payload []byte) bool {
	p := pass{b: payload}
	if !p.value(f.root, 0) {
		return false
	}
	p.space()
	return p.i == len(payload)
}

type pass struct {
	b     []byte
	i     int
	again int // values looked at more than once
}

const againMax = 1000 // alternatives inside alternatives

func (p *pass) space() byte {
	for p.i < len(p.b) {
		switch c := p.b[p.i]; c {
		case ' ', '\n', '\t', '\r':
			p.i++
		default:
			return c
		}
	}
	return 0
}

// value checks what is next. Where it says no, p.i has no meaning.
func (p *pass) value(r *rule, depth int) bool {
	c := p.space()
	if depth > fastDepthMax {
		return false
	}
	if len(r.all)+len(r.any) > 0 && !p.alternatives(r, depth) {
		return false
	}
	switch c {
	case '{':
		return r.types&isObject != 0 && !r.enum && p.object(r, depth)
	case '[':
		return r.types&isArray != 0 && !r.enum && p.array(r, depth)
	case '"':
		return r.types&isString != 0 && p.text(r)
	case 't':
		return r.types&isBool != 0 && !r.enum && p.word("true")
	case 'f':
		return r.types&isBool != 0 && !r.enum && p.word("false")
	case 'n':
		return r.types&isNull != 0 && (!r.enum || r.enumNil) && p.word("null")
	default:
		return r.types&(isNumber|isInteger) != 0 && !r.enum && p.number(r)
	}
}

func (p *pass) alternatives(r *rule, depth int) bool {
	from := p.i
	for _, a := range r.all {
		if p.again++; p.again > againMax || !p.value(a, depth+1) {
			return false
		}
		p.i = from
	}
	for _, a := range r.any {
		if p.again++; p.again > againMax {
			return false
		}
		ok := p.value(a, depth+1)
		p.i = from
		if ok {
			return true
		}
	}
	return len(r.any) == 0
}

func (p *pass) word(w string) bool {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return false
	}
	p.i += len(w)
	return true
}

// str is what stands between the quotes.
func (p *pass) str() (raw []byte, escaped, ok bool) {
	if p.i >= len(p.b) || p.b[p.i] != '"' {
		return nil, false, false
	}
	p.i++
	from := p.i
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return p.b[from : p.i-1], escaped, true
		case c == '\\':
			escaped = true
			if p.i+1 >= len(p.b) || !p.escape() {
				return nil, false, false
			}
		case c < 0x20:
			return nil, false, false
		default:
			p.i++
		}
	}
	return nil, false, false
}

func (p *pass) escape() bool {
	switch p.b[p.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.i += 2
		return true
	case 'u':
		if len(p.b)-p.i < 6 {
			return false
		}
		for _, c := range p.b[p.i+2 : p.i+6] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
		p.i += 6
		return true
	}
	return false
}

func (p *pass) text(r *rule) bool {
	raw, escaped, ok := p.str()
	if !ok || !r.content {
		return ok
	}
	if escaped {
		return false
	}
	if r.enum && !slices.ContainsFunc(r.texts, func(s string) bool { return s == string(raw) }) {
		return false
	}
	if r.lengths {
		if n := utf8.RuneCount(raw); n < r.lenMin || n > r.lenMax {
			return false
		}
	}
	if r.re != nil && !r.re.Match(raw) {
		return false
	}
	return r.format == nil || r.format(raw)
}

func (p *pass) number(r *rule) bool {
	from := p.i
	if p.i < len(p.b) && p.b[p.i] == '-' {
		p.i++
	}
	lead := p.i
	if !p.digits() || p.b[lead] == '0' && p.i > lead+1 {
		return false
	}
	whole := true
	if p.i < len(p.b) && p.b[p.i] == '.' {
		whole = false
		p.i++
		if !p.digits() {
			return false
		}
	}
	if p.i < len(p.b) && (p.b[p.i] == 'e' || p.b[p.i] == 'E') {
		return false
	}
	if r.types&isNumber == 0 && !whole {
		return false // 1.0 is an integer, too
	}
	if !r.bounded {
		return true
	}
	x, ok := exact(p.b[from:p.i])
	switch {
	case !ok:
		return false
	case r.least != nil && (x < *r.least || r.leastBeyond && x == *r.least):
		return false
	}
	return r.most == nil || x < *r.most || !r.mostBeyond && x == *r.most
}

func (p *pass) digits() bool {
	from := p.i
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' {
		p.i++
	}
	return p.i > from
}

var anyRule = &rule{types: isAny, itemsMax: unlimited, lenMax: unlimited}

func (p *pass) object(r *rule, depth int) bool {
	p.i++
	seen, next := uint64(0), 0
	if p.space() == '}' {
		p.i++
		return r.required == 0
	}
	for {
		p.space()
		name, escaped, ok := p.str()
		if !ok || escaped || p.space() != ':' {
			return false
		}
		p.i++
		of := anyRule
		if at := r.find(name, next); at >= 0 {
			if seen&(1<<at) != 0 {
				return false // twice
			}
			seen |= 1 << at
			of, next = r.props[at].rule, at+1
		} else if r.closed {
			return false
		} else if r.more != nil {
			of = r.more
		}
		if !p.value(of, depth+1) {
			return false
		}
		c := p.space()
		p.i++
		switch c {
		case ',':
		case '}':
			return seen&r.required == r.required
		default:
			return false
		}
	}
}

// find looks at the next property first: events mostly have theirs in the order of the schema.
func (r *rule) find(name []byte, next int) int {
	if next < len(r.props) && r.props[next].name == string(name) {
		return next
	}
	for i := range r.props {
		if r.props[i].name == string(name) {
			return i
		}
	}
	return -1
}

func (p *pass) array(r *rule, depth int) bool {
	p.i++
	n, of := 0, r.items
	if of == nil {
		of = anyRule
	}
	if p.space() == ']' {
		p.i++
		return r.itemsMin == 0
	}
	for {
		if n++; !p.value(of, depth+1) {
			return false
		}
		c := p.space()
		p.i++
		switch c {
		case ',':
		case ']':
			return n >= r.itemsMin && n <= r.itemsMax
		default:
			return false
		}
	}
}
