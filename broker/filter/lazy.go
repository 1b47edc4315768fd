package filter

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"leat/broker/record"
)

// lazyObject is a JSON object whose members are read where an expression touches them: a filter looks at one or two fields, and
// decoding all of them costs ten times the expression. Each member is decoded once; whatever needs the whole (size, a loop, a
// comparison) decodes it once and goes on with that.
type lazyObject struct {
	raw  []byte // valid JSON
	got  []member
	full traits.Mapper
}

type member struct {
	name  string
	value ref.Val // nil: it is not there
}

// valueOfJSON gives valid JSON as CEL sees it.
func valueOfJSON(raw []byte) ref.Val {
	if len(raw) > 0 && raw[0] == '{' {
		return &lazyObject{raw: raw}
	}
	v, ok := record.JSONValue(raw)
	if !ok {
		return types.NewErr("a number in the data is out of range")
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// find reads one member, as cheaply as what is known by now allows.
func (o *lazyObject) find(name string) ref.Val {
	for i := range o.got {
		if o.got[i].name == name {
			return o.got[i].value
		}
	}
	var v ref.Val
	if raw, ok := record.JSONMember(o.raw, name); ok {
		v = valueOfJSON(raw)
	}
	if len(o.got) < ExprDepthMax { // names that an expression computes could be many
		o.got = append(o.got, member{name, v})
	}
	return v
}

// whole decodes everything.
func (o *lazyObject) whole() traits.Mapper {
	if o.full == nil {
		v, _ := record.JSONValue(o.raw)
		m, ok := v.(map[string]any)
		if !ok {
			m = map[string]any{} // a number out of range somewhere: nothing of it can be compared
		}
		o.full = types.NewStringInterfaceMap(types.DefaultTypeAdapter, m)
	}
	return o.full
}

func (o *lazyObject) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v := o.find(string(name))
	return v, v != nil
}

func (o *lazyObject) Get(key ref.Val) ref.Val {
	if v, ok := o.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key.Value())
}

func (o *lazyObject) Contains(key ref.Val) ref.Val {
	_, ok := o.Find(key)
	return types.Bool(ok)
}

func (o *lazyObject) Size() ref.Val               { return o.whole().Size() }
func (o *lazyObject) Iterator() traits.Iterator   { return o.whole().Iterator() }
func (o *lazyObject) Equal(other ref.Val) ref.Val { return o.whole().Equal(other) }
func (o *lazyObject) Type() ref.Type              { return types.MapType }
func (o *lazyObject) Value() any                  { return o.whole().Value() }

func (o *lazyObject) ConvertToNative(t reflect.Type) (any, error) {
	return o.whole().ConvertToNative(t)
}
func (o *lazyObject) ConvertToType(t ref.Type) ref.Val { return o.whole().ConvertToType(t) }

var _ traits.Mapper = (*lazyObject)(nil)
