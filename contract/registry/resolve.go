package registry

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"leat/contract"
)

// parsedCache remembers schemas by what they were parsed from.
type parsedCache struct {
	mu    sync.Mutex
	byKey map[parsedKey]contract.Schema
}

type parsedKey struct {
	context string
	hash    [32]byte
	refs    string // versions of references that are the latest
	strict  bool
}

const parsedMax = 4096

func (p *parsedCache) init() { p.byKey = map[parsedKey]contract.Schema{} }

func (p *parsedCache) get(k parsedKey) contract.Schema {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[k]
}

func (p *parsedCache) put(k parsedKey, s contract.Schema) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byKey) >= parsedMax {
		for old := range p.byKey { // any: what is used often is soon back
			delete(p.byKey, old)
			break
		}
	}
	p.byKey[k] = s
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
	r.parsed.put(k, s)
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
