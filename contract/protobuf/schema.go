package protobuf

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"leat/contract"
)

// Format is PROTOBUF.
type Format struct{}

// Name is PROTOBUF.
func (Format) Name() string { return "PROTOBUF" }

// Schema is a parsed file.
type Schema struct {
	file  protoreflect.FileDescriptor
	proto *descriptorpb.FileDescriptorProto
	loose aside // options that nothing declares

	once                  sync.Once
	canonical, normalized string
}

const fileName = "default.proto"

// Parse reads a file.
func (Format) Parse(text string, refs []contract.Named) (s contract.Schema, err error) {
	defer func() {
		if p := recover(); p != nil { // texts of strangers go through a compiler that is not ours
			s, err = nil, contract.Bad("", "the compiler cannot take the text: %v", p)
		}
	}()
	return parse(text, refs)
}

func parse(text string, refs []contract.Named) (contract.Schema, error) {
	if len(text) > contract.TextBytesMax {
		return nil, contract.ErrTooLarge
	}
	if strings.TrimSpace(text) == "" {
		return nil, contract.Bad("", "the text is empty")
	}
	in := &input{texts: maps.Clone(confluentFiles), given: map[string]*descriptorpb.FileDescriptorProto{}}
	for _, r := range refs {
		in.take(r.Name, r.Text)
	}
	in.take(fileName, text)
	f, err := in.compile()
	if err == nil && in.given[fileName] != nil {
		// The options of a descriptor are known by their numbers only until its imports are.
		if in.know(f, text) {
			f, err = in.compile()
		}
	}
	var loose aside
	if err != nil {
		if loose = in.loosen(); loose == nil {
			return nil, err
		}
		if f, _ = in.compile(); f == nil {
			return nil, err // as it was about the text itself
		}
	}
	return &Schema{file: f, proto: protodesc.ToFileDescriptorProto(f), loose: loose}, nil
}

// input are the files that one is compiled from: as text, or as a descriptor.
type input struct {
	texts map[string]string
	given map[string]*descriptorpb.FileDescriptorProto
}

func (in *input) compile() (linker.File, error) {
	var bad error
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(protocompile.ResolverFunc(in.find)),
		MaxParallelism: 1,
		Reporter: reporter.NewReporter(func(e reporter.ErrorWithPos) error {
			if bad == nil {
				pos := e.GetPosition()
				bad = contract.Bad("", "%s:%d:%d: %s", pos.Filename, pos.Line, pos.Col, e.Unwrap())
			}
			return e
		}, nil),
	}
	files, err := compiler.Compile(context.Background(), fileName)
	switch {
	case bad != nil:
		return nil, bad
	case err != nil:
		return nil, contract.Bad("", "%s", err)
	case len(files) != 1:
		return nil, contract.Bad("", "the text is no file of Protobuf")
	}
	return files[0], nil
}

// find is a file that is given.
func (in *input) find(path string) (protocompile.SearchResult, error) {
	if p := in.given[path]; p != nil {
		return protocompile.SearchResult{Proto: p}, nil
	}
	if t, ok := in.texts[path]; ok {
		return protocompile.SearchResult{Source: strings.NewReader(t)}, nil
	}
	return protocompile.SearchResult{}, errors.New("it is no reference of the schema")
}

// take notes a file as text, or as the descriptor that its base64 holds.
func (in *input) take(name, text string) {
	if b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
		p := &descriptorpb.FileDescriptorProto{}
		if proto.Unmarshal(b, p) == nil && saysSomething(p) {
			p.Name = &name
			nameJSON(p.MessageType)
			in.given[name] = p
			return
		}
	}
	in.texts[name] = text
}

// saysSomething tells a descriptor from a text that happens to be base64. A file that only imports others is one, too.
func saysSomething(p *descriptorpb.FileDescriptorProto) bool {
	return len(p.MessageType)+len(p.EnumType)+len(p.Service)+len(p.Extension)+len(p.Dependency) > 0 || p.GetSyntax() != ""
}

// nameJSON gives fields the names in JSON that descriptors of clients leave out.
func nameJSON(all []*descriptorpb.DescriptorProto) {
	for _, m := range all {
		for _, f := range m.Field {
			if f.JsonName == nil {
				name := camel(f.GetName())
				f.JsonName = &name
			}
		}
		nameJSON(m.NestedType)
	}
}

// know reads the descriptor again, with the extensions of its imports.
func (in *input) know(f linker.File, text string) bool {
	files := linker.Files{f}
	for i := range f.Imports().Len() {
		if im := f.FindImportByPath(f.Imports().Get(i).Path()); im != nil {
			files = append(files, im)
		}
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return false
	}
	p, name := &descriptorpb.FileDescriptorProto{}, fileName
	if (proto.UnmarshalOptions{Resolver: files.AsResolver()}).Unmarshal(b, p) != nil {
		return false
	}
	p.Name = &name
	nameJSON(p.MessageType)
	in.given[fileName] = p
	return true
}

// Canonical is the file as text, without comments.
func (s *Schema) Canonical() string { s.write(); return s.canonical }

// Normalized has imports, options and fields in one order, and full names.
func (s *Schema) Normalized() string { s.write(); return s.normalized }

func (s *Schema) write() {
	s.once.Do(func() {
		s.canonical = write(s.file, s.loose, false)
		s.normalized = write(s.file, s.loose, true)
	})
}

// Serialized is the descriptor in base64, as clients ask for it.
func (s *Schema) Serialized() string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.proto)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}

// Name is the full name of the first message.
func (s *Schema) Name() string {
	if s.file.Messages().Len() == 0 {
		return ""
	}
	return string(s.file.Messages().Get(0).FullName())
}

// metaNumber is that of Confluent's options, which hold tags and a description.
const metaNumber = 1088

// annotate adds what a field's options and its enum say.
func annotate(to *contract.Field, f protoreflect.FieldDescriptor) {
	if e := f.Enum(); e != nil {
		to.Open = !e.IsClosed()
		for i := range e.Values().Len() {
			to.Enum = append(to.Enum, string(e.Values().Get(i).Name()))
		}
	}
	if f.Options() == nil || !f.Options().ProtoReflect().IsValid() {
		return
	}
	f.Options().ProtoReflect().Range(func(x protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if x.Number() != metaNumber || !x.IsExtension() || x.Message() == nil || x.IsList() || x.IsMap() {
			return true
		}
		meta := v.Message()
		if d := meta.Descriptor().Fields().ByName("doc"); d != nil && d.Kind() == protoreflect.StringKind && !d.IsList() {
			to.Doc = meta.Get(d).String()
		}
		if d := meta.Descriptor().Fields().ByName("tags"); d != nil && d.IsList() && d.Kind() == protoreflect.StringKind {
			for i := range meta.Get(d).List().Len() {
				to.Tags = append(to.Tags, meta.Get(d).List().Get(i).String())
			}
		}
		return true
	})
}

const fieldsMax = 10_000 // paths told of one schema

// Fields are those of the first message.
func (s *Schema) Fields() (out []contract.Field) {
	if s.file.Messages().Len() == 0 {
		return nil
	}
	var walk func(m protoreflect.MessageDescriptor, path string, open map[protoreflect.FullName]bool)
	walk = func(m protoreflect.MessageDescriptor, path string, open map[protoreflect.FullName]bool) {
		if open[m.FullName()] || len(out) >= fieldsMax {
			return
		}
		open[m.FullName()] = true
		defer delete(open, m.FullName())
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			at := string(f.Name())
			if path != "" {
				at = path + "." + at
			}
			kind := f.Kind().String()
			if f.Message() != nil {
				kind = string(f.Message().FullName())
			}
			out = append(out, contract.Field{Path: at, Type: kind, Required: f.Cardinality() == protoreflect.Required, Nullable: f.HasOptionalKeyword()})
			annotate(&out[len(out)-1], f)
			switch {
			case f.IsMap():
				if v := f.MapValue().Message(); v != nil {
					walk(v, at+"{}", open)
				}
			case f.Message() != nil && f.IsList():
				walk(f.Message(), at+"[]", open)
			case f.Message() != nil:
				walk(f.Message(), at, open)
			}
		}
	}
	walk(s.file.Messages().Get(0), "", map[protoreflect.FullName]bool{})
	return out
}
