package protobuf

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"leat/contract"
)

// Confluent's registry takes options that nothing declares, and imports that are not given where nothing but options needs them: a file that says
// [(validate.rules).string.min_len = 1] can be registered alone. A compiler takes neither. So where it refuses a file, those are taken out, and what is
// left has to stand:
//
//	text → parsed → its unknown options put aside, by the name of what they are of → compiled → written with them
//
// What is put aside means nothing to whoever validates or compares.

// aside are the options that were taken out, as they are written, by the full name of what has them; a file's are under its package.
type aside map[protoreflect.FullName][]string

// loosen takes out of all texts what nothing declares. It answers nil where there is nothing of the kind, or a text cannot be parsed.
func (in *input) loosen() aside {
	files := maps.Clone(in.given)
	for name, text := range in.texts {
		handler := reporter.NewHandler(nil)
		ast, err := parser.Parse(name, strings.NewReader(text), handler)
		if err != nil {
			return nil
		}
		parsed, err := parser.ResultFromAST(ast, true, handler)
		if err != nil {
			return nil
		}
		files[name] = parsed.FileDescriptorProto()
	}
	l := loosener{known: map[string]bool{}}
	for _, f := range files {
		if !l.declared(f.GetPackage(), f.Extension, f.MessageType, 0) {
			return nil
		}
	}
	out, changed := aside{}, false
	standard := protocompile.WithStandardImports(protocompile.ResolverFunc(in.find))
	for name, f := range files {
		if in.given[name] != nil {
			continue
		}
		if _, ours := confluentFiles[name]; ours && in.texts[name] == confluentFiles[name] {
			continue
		}
		l.out = aside{}
		l.file(f)
		for _, path := range f.Dependency {
			if _, err := standard.FindFileByPath(path); err != nil {
				in.texts[path], changed = "syntax = \"proto3\";", true
			}
		}
		if len(l.out) > 0 {
			in.given[name], changed = f, true
		}
		if name == fileName {
			out = l.out
		}
	}
	if !changed {
		return nil
	}
	return out
}

type loosener struct {
	known map[string]bool // full names of extensions
	out   aside
}

// declared notes extensions; false: the messages nest too deep.
func (l *loosener) declared(scope string, extensions []*descriptorpb.FieldDescriptorProto, messages []*descriptorpb.DescriptorProto, depth int) bool {
	if depth > contract.DepthMax {
		return false
	}
	for _, x := range extensions {
		l.known[under(scope, x.GetName())] = true
	}
	for _, m := range messages {
		if !l.declared(under(scope, m.GetName()), m.Extension, m.NestedType, depth+1) {
			return false
		}
	}
	return true
}

func under(scope, name string) string {
	if scope == "" {
		return name
	}
	return scope + "." + name
}

func (l *loosener) file(f *descriptorpb.FileDescriptorProto) {
	scope := f.GetPackage()
	l.take(f.Options, scope, scope)
	l.messages(scope, f.MessageType)
	l.enums(scope, f.EnumType)
	l.fields(scope, f.Extension)
	for _, s := range f.Service {
		name := under(scope, s.GetName())
		l.take(s.Options, name, name)
		for _, m := range s.Method {
			l.take(m.Options, name, under(name, m.GetName()))
		}
	}
}

func (l *loosener) messages(scope string, all []*descriptorpb.DescriptorProto) {
	for _, m := range all {
		name := under(scope, m.GetName())
		l.take(m.Options, name, name)
		l.fields(name, m.Field)
		l.fields(name, m.Extension)
		for _, o := range m.OneofDecl {
			l.take(o.Options, name, under(name, o.GetName()))
		}
		for _, r := range m.ExtensionRange {
			l.take(r.Options, name, under(name, "extensions")) // they are not written
		}
		l.enums(name, m.EnumType)
		l.messages(name, m.NestedType)
	}
}

func (l *loosener) fields(scope string, all []*descriptorpb.FieldDescriptorProto) {
	for _, f := range all {
		l.take(f.Options, scope, under(scope, f.GetName()))
	}
}

func (l *loosener) enums(scope string, all []*descriptorpb.EnumDescriptorProto) {
	for _, e := range all {
		l.take(e.Options, under(scope, e.GetName()), under(scope, e.GetName()))
		for _, v := range e.Value {
			l.take(v.Options, under(scope, e.GetName()), under(scope, v.GetName())) // a value stands beside its enum
		}
	}
}

// take takes unknown options out of those of one thing.
func (l *loosener) take(options proto.Message, scope, of string) {
	m := options.ProtoReflect()
	if !m.IsValid() {
		return
	}
	at := m.Descriptor().Fields().ByName("uninterpreted_option")
	list := m.Get(at).List()
	var kept []protoreflect.Value
	for i := range list.Len() {
		o, ok := list.Get(i).Message().Interface().(*descriptorpb.UninterpretedOption)
		if !ok || !l.unknown(scope, o) {
			kept = append(kept, list.Get(i))
			continue
		}
		l.out[protoreflect.FullName(of)] = append(l.out[protoreflect.FullName(of)], written(o))
	}
	if len(kept) == list.Len() {
		return
	}
	m.Clear(at)
	for _, v := range kept {
		m.Mutable(at).List().Append(v)
	}
}

// unknown reports whether an option is an extension that no scope from the inside out declares.
func (l *loosener) unknown(scope string, o *descriptorpb.UninterpretedOption) bool {
	return slices.ContainsFunc(o.Name, func(p *descriptorpb.UninterpretedOption_NamePart) bool {
		if !p.GetIsExtension() {
			return false
		}
		if name, full := strings.CutPrefix(p.GetNamePart(), "."); full {
			return !l.known[name]
		}
		for s := scope; ; s = s[:max(strings.LastIndexByte(s, '.'), 0)] {
			if l.known[under(s, p.GetNamePart())] {
				return false
			}
			if s == "" {
				return true
			}
		}
	})
}

// written is an option as text.
func written(o *descriptorpb.UninterpretedOption) string {
	var parts []string
	for _, p := range o.Name {
		if p.GetIsExtension() {
			parts = append(parts, "("+p.GetNamePart()+")")
		} else {
			parts = append(parts, p.GetNamePart())
		}
	}
	var v string
	switch {
	case o.IdentifierValue != nil:
		v = o.GetIdentifierValue()
	case o.PositiveIntValue != nil:
		v = strconv.FormatUint(o.GetPositiveIntValue(), 10)
	case o.NegativeIntValue != nil:
		v = strconv.FormatInt(o.GetNegativeIntValue(), 10)
	case o.DoubleValue != nil:
		v = strconv.FormatFloat(o.GetDoubleValue(), 'g', -1, 64)
	case o.StringValue != nil:
		v = quote(string(o.GetStringValue()))
	default:
		v = "{ " + strings.TrimSpace(o.GetAggregateValue()) + " }"
	}
	return strings.Join(parts, ".") + " = " + v
}
