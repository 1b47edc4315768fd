package registry

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"leat/contract"
)

// parsedCache remembers schemas by what they were parsed from, as far as they have room: when the young ones fill their half, the old ones go, the
// young ones are old, and one that is asked for is young again.
type parsedCache struct {
	mu         sync.Mutex
	young, old map[parsedKey]parsedSchema
	bytes      int // of the young ones
}

type parsedKey struct {
	context string
	hash    [32]byte
	refs    string // versions of references that are the latest
	strict  bool
}

type parsedSchema struct {
	schema contract.Schema
	bytes  int
}

// parsedBytesMax bounds what all parsed schemas may take: twice 8 MiB. What one takes is taken to be so many times its text, as measured with those of
// some hundred bytes.
const parsedBytesMax = 16 << 20

var parsedTimes = map[string]int{"AVRO": 12, "JSON": 30, "PROTOBUF": 56}

func (p *parsedCache) init() { p.young, p.old = map[parsedKey]parsedSchema{}, nil }

func (p *parsedCache) get(k parsedKey) contract.Schema {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x, ok := p.young[k]; ok {
		return x.schema
	}
	x, ok := p.old[k]
	if !ok {
		return nil
	}
	delete(p.old, k)
	p.add(k, x)
	return x.schema
}

// put remembers a schema that takes about so many bytes.
func (p *parsedCache) put(k parsedKey, s contract.Schema, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[k]; !ok {
		delete(p.old, k)
		p.add(k, parsedSchema{s, bytes})
	}
}

func (p *parsedCache) add(k parsedKey, x parsedSchema) {
	if p.bytes += x.bytes; p.bytes > parsedBytesMax/2 {
		p.old, p.young, p.bytes = p.young, map[parsedKey]parsedSchema{}, x.bytes
	}
	p.young[k] = x
}

// Parse is the schema of a version.
func (r *Registry) Parse(v *Version) (contract.Schema, error) {
	return r.parse(v.Subject, &v.Content, false)
}

// parse reads a content in the context of a subject. strict: it is new, and all of it must be right.
func (r *Registry) parse(subject string, c *Content, strict bool) (contract.Schema, error) {
	f := formats[c.Type]
	if f == nil {
		return nil, refuse(InvalidSchema, "Invalid schema type %s", clip(c.Type))
	}
	if len(c.Text) > contract.TextBytesMax {
		return nil, refuse(SchemaTooLarge, "The schema has %d bytes; the limit is %d", len(c.Text), contract.TextBytesMax)
	}
	res := &resolving{r: r, seen: map[target]bool{}, names: map[string]bool{}}
	if err := res.add(subject, c.References, 0); err != nil {
		return nil, err
	}
	context, _ := Split(subject)
	text := Content{Type: c.Type, Text: c.Text, References: c.References}
	k := parsedKey{context, text.sum(), res.latest.String(), strict}
	if s := r.parsed.get(k); s != nil {
		return s, nil
	}
	parse := f.Parse
	if old, ok := f.(interface {
		ParseOld(text string, refs []contract.Named) (contract.Schema, error)
	}); ok && !strict {
		parse = old.ParseOld
	}
	s, err := parse(c.Text, res.out)
	if err != nil {
		if errors.Is(err, contract.ErrTooLarge) {
			return nil, refuse(SchemaTooLarge, "%s", err)
		}
		return nil, refuse(InvalidSchema, "Invalid schema of type %s, details: %s", c.Type, err)
	}
	size := len(c.Text)
	for i := range res.out {
		size += len(res.out[i].Text)
	}
	r.parsed.put(k, s, size*parsedTimes[c.Type])
	return s, nil
}

type resolving struct {
	r      *Registry
	out    []contract.Named
	seen   map[target]bool
	names  map[string]bool
	open   []target
	latest strings.Builder
}

// add collects what references lead to, what is referred to before what refers.
func (x *resolving) add(parent string, refs []Reference, depth int) error {
	if depth > contract.DepthMax || len(x.out)+len(refs) > contract.ReferencesMax {
		return refuse(InvalidSchema, "the references nest deeper than %d or are more than %d", contract.DepthMax, contract.ReferencesMax)
	}
	for _, ref := range refs {
		if ref.Name == "" || ref.Subject == "" || ref.Version == 0 {
			return refuse(InvalidSchema, "a reference needs a name, a subject and a version; this one is {%s, %s, %d}", clip(ref.Name), clip(ref.Subject), ref.Version)
		}
		subject := within(parent, ref.Subject)
		v := x.r.whole(x.r.version(subject, ref.Version, true))
		if v == nil {
			return refuse(InvalidSchema, "Could not find schema reference %s: there is no version %d of the subject %s", clip(ref.Name), ref.Version, clip(subject))
		}
		t := target{subject, v.Version}
		if slices.Contains(x.open, t) {
			return refuse(InvalidSchema, "the references form a ring: %s leads back to version %d of %s", clip(ref.Name), t.version, clip(subject))
		}
		if ref.Version == Latest {
			x.latest.WriteString(versionName(subject, v.Version))
		}
		if x.seen[t] && x.names[ref.Name] {
			continue
		}
		x.seen[t] = true
		x.open = append(x.open, t)
		if err := x.add(subject, v.References, depth+1); err != nil {
			return err
		}
		x.open = x.open[:len(x.open)-1]
		if !x.names[ref.Name] {
			x.names[ref.Name] = true
			x.out = append(x.out, contract.Named{Name: ref.Name, Text: v.Text})
		}
	}
	return nil
}
