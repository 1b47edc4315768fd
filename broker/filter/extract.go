package filter

import (
	"strings"

	"leat/broker/record"
)

// Limits of an Extract.
const (
	ExtractFieldsMax     = 1 << 14 // fields that it knows; beyond it begins to learn anew
	ExtractPredicatesMax = 1 << 16
	FlatValuesMax        = 1 << 12 // values of one field FromDataFlat that are looked at
)

// Extract reads the fields of one event for any number of predicates, each field once. It learns which fields there are from the
// predicates that come by, so that after the first event the data is walked once for all of them. It is for one goroutine at a time.
type Extract struct {
	in     *Input
	data   dataState
	fields map[Field]int
	known  map[*Predicate][]int // for each of its fields the number here
	list   []Field
	vals   []Value
	flat   [][]Value
	got    []bool

	exact, dotted pathNode // of the fields of the data
	walker        walker
	err           error // why something is unknown
}

type dataState uint8

const (
	dataUntouched dataState = iota
	dataNone                // it is no JSON object
	dataObject
	dataWalked
)

// pathNode is a name on the way to fields of the data.
type pathNode struct {
	field int // 1 more than its number; 0 is none
	kids  map[string]*pathNode
}

// NewExtract makes one.
func NewExtract() *Extract {
	x := &Extract{}
	x.Forget()
	return x
}

// Forget has it learn anew which fields there are: of predicates that come by no more, none are read.
func (x *Extract) Forget() {
	x.fields, x.known = map[Field]int{}, map[*Predicate][]int{}
	x.list, x.vals, x.flat, x.got = nil, nil, nil, nil
	x.exact, x.dotted = pathNode{}, pathNode{}
}

// Reset goes on to another event. The Input and its event must not change until the next call.
func (x *Extract) Reset(in *Input) {
	x.in, x.data = in, dataUntouched
	clear(x.got)
}

// use gives the numbers of a predicate's fields.
func (x *Extract) use(p *Predicate) []int {
	if at, ok := x.known[p]; ok {
		return at
	}
	if len(x.list)+len(p.fields) > ExtractFieldsMax || len(x.known) >= ExtractPredicatesMax {
		x.Forget()
		x.data = dataUntouched
	}
	at := make([]int, len(p.fields))
	for i, f := range p.fields {
		n, ok := x.fields[f]
		if !ok {
			n = len(x.list)
			x.fields[f] = n
			x.list = append(x.list, f)
			x.vals, x.flat, x.got = append(x.vals, Value{}), append(x.flat, nil), append(x.got, false)
			x.addPath(f, n)
		}
		at[i] = n
	}
	x.known[p] = at
	return at
}

func (x *Extract) addPath(f Field, n int) {
	var node *pathNode
	var names []string
	switch f.From {
	case FromData:
		node, names = &x.exact, strings.Split(f.Name, "\x00")
	case FromDataFlat:
		node, names = &x.dotted, strings.Split(f.Name, ".")
	default:
		return
	}
	for _, name := range names {
		if node.kids == nil {
			node.kids = map[string]*pathNode{}
		}
		next := node.kids[name]
		if next == nil {
			next = &pathNode{}
			node.kids[name] = next
		}
		node = next
	}
	node.field = n + 1
	if x.data == dataWalked {
		x.data = dataObject // this one was not looked for
	}
}

// value reads field n.
func (x *Extract) value(n int) Value {
	f := &x.list[n]
	if f.From >= FromData {
		x.walkData()
		return x.vals[n]
	}
	if !x.got[n] {
		x.got[n] = true
		switch {
		case f.From == FromAttribute:
			x.vals[n] = x.in.attribute(f.Name)
		case f.Decode != nil:
			x.vals[n] = f.Decode.Value(x.in.Event, f.Name)
		default:
			x.vals[n] = HeaderText(x.in.Event, f.Name)
		}
	}
	return x.vals[n]
}

// values reads all values of field n: several where it is FromDataFlat, or where a header's value is an array.
func (x *Extract) values(n int) []Value {
	if x.list[n].From == FromDataFlat {
		x.walkData()
		return x.flat[n]
	}
	v := x.value(n)
	x.flat[n] = x.flat[n][:0]
	switch {
	case v.Kind == JSON && v.text[0] == '[':
		x.walker = walker{x: x, p: []byte(v.text)}
		x.walker.flatten(&pathNode{field: n + 1})
	case v.Kind != Missing && v.Kind != JSON:
		x.flat[n] = append(x.flat[n], v)
	}
	return x.flat[n]
}

// isObject reports whether the data is a JSON object, whatever its content type says: so policies take it.
func (x *Extract) isObject() bool {
	if x.data == dataUntouched {
		x.data = dataNone
		e := x.in.Event
		if p := e.Data; e.HasData() && record.ValidJSON(p) {
			for len(p) > 0 && p[0] <= ' ' {
				p = p[1:]
			}
			if p[0] == '{' {
				x.data = dataObject
			}
		}
	}
	return x.data != dataNone
}

// walkData reads all fields of the data in one walk, two where both kinds of paths are in use.
func (x *Extract) walkData() {
	if x.data == dataWalked {
		return
	}
	for n := range x.list {
		if f := x.list[n].From; f >= FromData {
			x.vals[n], x.flat[n] = Value{}, x.flat[n][:0]
		}
	}
	if !x.isObject() {
		return
	}
	x.data = dataWalked
	if x.exact.kids != nil && x.in.Event.DataForm() == record.DataJSON { // as CEL sees data
		x.walker = walker{x: x, p: x.in.Event.Data}
		x.walker.exact(&x.exact)
	}
	if x.dotted.kids != nil {
		x.walker = walker{x: x, p: x.in.Event.Data}
		x.walker.flatten(&x.dotted)
	}
}

// unknown notes why something could not be judged; the first reason is kept.
func (x *Extract) unknown(err error) truth {
	if x.err == nil {
		x.err = err
	}
	return unknown
}
