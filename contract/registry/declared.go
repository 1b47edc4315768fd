package registry

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"leat/contract"
)

// Reads is what a consumer declares: which fields of a type of event it reads. Who changes the schema is told whom it breaks.
type Reads struct {
	Service string   `json:"service"` // a service, subscription or group, as the catalogue calls it
	Type    string   `json:"type"`    // of events, as the catalogue calls it, or a subject
	Fields  []string `json:"fields"`  // paths; one stands for what is below it too; * for all
	By      string   `json:"by,omitempty"`
	TimeMS  int64    `json:"ts,omitempty"`
}

// Limits of declarations.
const (
	ReadsMax       = 10_000 // of one namespace
	ReadsFieldsMax = 1000   // of one
)

const kindReads = "r:"

func readsName(service, kind string) string {
	return kindReads + url.QueryEscape(service) + ":" + url.QueryEscape(kind)
}

// PutReads makes a declaration or replaces it.
func (r *Registry) PutReads(d Reads) (Change, error) {
	fail := func(format string, a ...any) (Change, error) { return Change{}, refuse(InvalidReads, format, a...) }
	for what, s := range map[string]string{"service": d.Service, "type": d.Type} {
		if strings.TrimSpace(s) == "" || len(s) > SubjectBytesMax {
			return fail("a declaration names a %s of at most %d bytes", what, SubjectBytesMax)
		}
	}
	if len(d.Fields) == 0 || len(d.Fields) > ReadsFieldsMax {
		return fail("a declaration names 1 to %d fields, or * for all", ReadsFieldsMax)
	}
	fields := []string{}
	for _, f := range d.Fields {
		if f = strings.TrimSpace(f); f == "" || len(f) > SubjectBytesMax {
			return fail("the field %q is no path; one is like order.lines.sku", clip(f))
		}
		fields = append(fields, f)
	}
	slices.Sort(fields)
	d.Fields = slices.Compact(fields)
	r.mu.RLock()
	full := len(r.reads) >= ReadsMax && r.reads[readsName(d.Service, d.Type)] == nil
	r.mu.RUnlock()
	if full {
		return Change{}, refuse(RegistryFull, "a namespace keeps %d declarations", ReadsMax)
	}
	var c Change
	c.put(readsName(d.Service, d.Type), d)
	return c, nil
}

// DeleteReads takes a declaration away.
func (r *Registry) DeleteReads(service, kind string) (Change, error) {
	name := readsName(service, kind)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.reads[name] == nil {
		return Change{}, refuse(ReadsNotFound, "%q has declared nothing of %q", clip(service), clip(kind))
	}
	return Change{Delete: []string{name}}, nil
}

// AllReads are all declarations, by service and type.
func (r *Registry) AllReads() []*Reads {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.reads), func(a, b *Reads) int { return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Type, b.Type)) })
}

// Preview reads a text as the next version of a subject, changing nothing, and returns the newest version beside it; nil: there is none.
func (r *Registry) Preview(subject string, in Content) (next contract.Schema, last *Version, old contract.Schema, err error) {
	if in.Type == "" {
		in.Type = "AVRO"
	}
	if next, err = r.parse(subject, &in, true); err != nil {
		return nil, nil, nil, err
	}
	if last = r.whole(r.version(r.places(subject)[0], Latest, false)); last == nil {
		return next, nil, nil, nil
	}
	old, err = r.Parse(last)
	return next, last, old, err
}
