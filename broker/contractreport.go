package broker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"leat/broker/fault"
	"leat/contract"
	"leat/contract/coupling"
	"leat/contract/lint"
	"leat/contract/registry"
)

// What is made of contracts and the catalogue together: how services are coupled, who breaks when a schema changes, advice about schemas, and fields that
// have tags. Nothing here is on the way of an event.

// registryFault is a refusal of the registry in the words of everybody else.
func registryFault(err error, op, subject string) error {
	var p *registry.Problem
	if !errors.As(err, &p) {
		return err
	}
	kind := fault.Invalid
	switch p.Code / 100 {
	case 404:
		kind = fault.NotFound
	case 409:
		kind = fault.Conflict
	}
	return fault.New(kind, op, subject, "%s", p.Text)
}

// CouplingReport says how services hang together.
type CouplingReport = coupling.Report

// CouplingQuietDefault is after which time somebody counts as gone.
const CouplingQuietDefault = 7 * 24 * time.Hour

// Coupling is how those hang together whom the catalogue knows.
func (b *Broker) Coupling(c *Caller, quiet time.Duration) CouplingReport {
	all := b.Catalogue(c, CatalogueQuery{}).Sightings
	uses := make([]coupling.Use, 0, len(all))
	for i := range all {
		s := &all[i]
		uses = append(uses, coupling.Use{
			Type: s.Type, Stream: s.Stream, Service: s.Service, Produces: s.Role == "produces", Contract: s.Contract, Version: s.Version, Latest: s.Latest,
			LastSeen: s.LastSeen, Records: s.Records,
		})
	}
	return coupling.Of(uses, coupling.Options{Now: b.opt.Clock.Now(), Quiet: cmp.Or(quiet, CouplingQuietDefault)})
}

// DeclaredReads is what a consumer declares that it reads of a type of event.
type DeclaredReads = registry.Reads

// readsSubject is what a grant names that lets somebody declare what a service reads.
func readsSubject(service string) string { return "reads:" + service }

// DeclareReads keeps a declaration, in place of the one of that service and type. It takes the right to alter the contract "reads:" and the service.
func (b *Broker) DeclareReads(ctx context.Context, c *Caller, d DeclaredReads) (DeclaredReads, error) {
	d.By, d.TimeMS = c.Principal, b.nowMS()
	err := b.ChangeContracts(ctx, c, ActionAlter, readsSubject(d.Service), func(r *registry.Registry) (registry.Change, error) { return r.PutReads(d) })
	return d, registryFault(err, "put", "reads")
}

// UndeclareReads takes a declaration away.
func (b *Broker) UndeclareReads(ctx context.Context, c *Caller, service, kind string) error {
	err := b.ChangeContracts(ctx, c, ActionAlter, readsSubject(service), func(r *registry.Registry) (registry.Change, error) { return r.DeleteReads(service, kind) })
	return registryFault(err, "delete", "reads")
}

// AllReads are the declarations that the caller may describe.
func (b *Broker) AllReads(c *Caller) []*DeclaredReads {
	may := b.allowed(c, ActionDescribe, KindContract)
	return slices.DeleteFunc(b.Contracts(c.namespace()).AllReads(), func(d *registry.Reads) bool { return !may(readsSubject(d.Service)) })
}

// SchemaDraft is a schema that might become the next version of a subject.
type SchemaDraft struct {
	Type       string               `json:"schemaType"`
	Text       string               `json:"schema"`
	References []registry.Reference `json:"references"`
}

// Verdicts about somebody whom a change of a schema may concern.
const (
	Breaks  = "breaks"
	Fine    = "fine"
	Unknown = "unknown: no declaration"
)

// Affected is somebody who reads what a schema is about.
type Affected struct {
	Service  string                `json:"service"`
	Type     string                `json:"type"`
	Verdict  string                `json:"verdict"`
	Breaks   []contract.FieldBreak `json:"breaks,omitempty"`
	Reads    []string              `json:"reads,omitempty"` // as declared
	LastSeen *time.Time            `json:"last_seen,omitempty"`
}

// AffectedBy says whom it concerns when a schema becomes the next version of a subject: those who have declared what they read, and those who were seen
// reading and have declared nothing.
func (b *Broker) AffectedBy(c *Caller, subject string, draft SchemaDraft) ([]Affected, error) {
	if err := b.MayContract(c, ActionDescribe, subject); err != nil {
		return nil, err
	}
	r := b.Contracts(c.namespace())
	next, _, old, err := r.Preview(subject, registry.Content{Type: draft.Type, Text: draft.Text, References: draft.References})
	if err != nil {
		return nil, registryFault(err, "check", subject)
	}
	of := b.meansSubject(c, subject, next, old)
	out, declared := []Affected{}, map[string]bool{}
	seen := map[string]time.Time{}
	all := b.Catalogue(c, CatalogueQuery{Role: "consumes"}).Sightings
	for i := range all {
		if s := &all[i]; s.Subject == subject || of(s.Type) {
			for _, name := range []string{s.Service, s.Via} {
				if s.LastSeen.After(seen[name]) {
					seen[name] = s.LastSeen
				}
			}
		}
	}
	for _, d := range r.AllReads() {
		if !of(d.Type) {
			continue
		}
		declared[d.Service] = true
		a := Affected{Service: d.Service, Type: d.Type, Verdict: Fine, Reads: d.Fields}
		if old != nil {
			a.Breaks = contract.BreaksReads(old, next, d.Fields)
		}
		if len(a.Breaks) > 0 {
			a.Verdict = Breaks
		}
		if t, ok := seen[d.Service]; ok {
			a.LastSeen = &t
		}
		out = append(out, a)
	}
	for i := range all {
		s := &all[i]
		if s.Subject != subject && !of(s.Type) || declared[s.Service] || s.Via != "" && declared[s.Via] {
			continue
		}
		declared[s.Service] = true // told once
		t := seen[s.Service]
		out = append(out, Affected{Service: s.Service, Type: s.Type, Verdict: Unknown, LastSeen: &t})
	}
	rank := map[string]int{Breaks: 0, Unknown: 1, Fine: 2}
	slices.SortStableFunc(out, func(x, y Affected) int {
		return cmp.Or(cmp.Compare(rank[x.Verdict], rank[y.Verdict]), cmp.Compare(x.Service, y.Service), cmp.Compare(x.Type, y.Type))
	})
	return out, nil
}

// meansSubject reports which types of events a subject's schemas are about: as its events say, as it and its schemas are called, and as contracts bind it.
func (b *Broker) meansSubject(c *Caller, subject string, schemas ...contract.Schema) func(kind string) bool {
	names := map[string]bool{subject: true}
	for _, s := range schemas {
		if t, ok := s.(contract.Titled); ok && t.Name() != "" {
			names[t.Name()] = true
		}
	}
	all := b.Catalogue(c, CatalogueQuery{}).Sightings
	for i := range all {
		if all[i].Subject == subject {
			names[all[i].Type] = true
		}
	}
	var types, streams []string
	for _, x := range b.Contracts(c.namespace()).Bindings() {
		if x.Subject == subject && x.Type != "" {
			types = append(types, x.Type)
		}
		if x.Subject == subject && x.Stream != "" {
			streams = append(streams, x.Stream)
		}
	}
	return func(kind string) bool {
		stream, untyped := strings.CutPrefix(kind, UntypedPrefix)
		return names[kind] || slices.ContainsFunc(types, func(p string) bool { return fits(p, kind) }) ||
			untyped && slices.ContainsFunc(streams, func(p string) bool { return fits(p, stream) })
	}
}

// SchemaAdvice is what lint says of a version.
type SchemaAdvice struct {
	Subject string `json:"subject"`
	Version int    `json:"version,omitempty"`
	Type    string `json:"schemaType"`
	Name    string `json:"name,omitempty"`
	lint.Report
}

// LintRules are the rules there are.
func LintRules() []lint.Rule { return lint.Rules() }

// LintSubjectsMax is how many subjects one call looks at.
const LintSubjectsMax = 1000

// Lint looks at the newest version of a subject, or of the subject of a contract; "": of all that the caller may describe.
func (b *Broker) Lint(c *Caller, name string) ([]SchemaAdvice, error) {
	r, out := b.Contracts(c.namespace()), []SchemaAdvice{}
	subjects := []string{name}
	if name == "" {
		may := b.allowed(c, ActionDescribe, KindContract)
		subjects = slices.DeleteFunc(r.Subjects("", registry.Live), func(s string) bool { return !may(s) })
		subjects = subjects[:min(len(subjects), LintSubjectsMax)]
	} else if x, err := r.Binding(name); err == nil && x.Subject != "" && !r.Has(name, false) {
		subjects[0] = x.Subject
	}
	for _, s := range subjects {
		v, schema, err := b.schemaOf(c, s)
		if err != nil && name == "" {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b.advise(c, v, schema))
	}
	return out, nil
}

// schemaOf is the newest version of a subject, parsed.
func (b *Broker) schemaOf(c *Caller, subject string) (*registry.Version, contract.Schema, error) {
	if err := b.MayContract(c, ActionDescribe, subject); err != nil {
		return nil, nil, err
	}
	r := b.Contracts(c.namespace())
	v, err := r.Version(subject, registry.Latest, false)
	if err != nil {
		return nil, nil, registryFault(err, "describe", subject)
	}
	s, err := r.Parse(v)
	return v, s, registryFault(err, "describe", subject)
}

// LintDraft looks at a schema that is not registered, as the next version of a subject.
func (b *Broker) LintDraft(c *Caller, subject string, draft SchemaDraft) (SchemaAdvice, error) {
	if err := b.MayContract(c, ActionDescribe, subject); err != nil {
		return SchemaAdvice{}, err
	}
	in := registry.Content{Type: cmp.Or(draft.Type, "AVRO"), Text: draft.Text, References: draft.References}
	next, last, _, err := b.Contracts(c.namespace()).Preview(subject, in)
	if err != nil {
		return SchemaAdvice{}, registryFault(err, "lint", subject)
	}
	v := &registry.Version{Subject: subject, Content: in}
	if last != nil {
		v.Metadata = last.Metadata
	}
	return b.advise(c, v, next), nil
}

func (b *Broker) advise(c *Caller, v *registry.Version, s contract.Schema) SchemaAdvice {
	in := lint.Input{Schema: s, Format: v.Type, Fields: v.AllTagged(s)}
	if v.Metadata != nil {
		in.Properties = v.Metadata.Properties
	}
	for _, x := range b.Contracts(c.namespace()).Bindings() {
		if x.Subject == v.Subject && x.Type != "" {
			in.Envelope = true
		}
	}
	streams := map[string]bool{}
	all := b.Catalogue(c, CatalogueQuery{Role: "produces"}).Sightings
	for i := range all {
		if x := &all[i]; x.Subject == v.Subject {
			in.Envelope = in.Envelope || x.typed
			streams[x.Stream] = true
		}
	}
	in.Has = b.extensionsIn(c, slices.Sorted(maps.Keys(streams)))
	out := SchemaAdvice{Subject: v.Subject, Version: v.Version, Type: v.Type, Report: lint.Check(in)}
	if t, ok := s.(contract.Titled); ok {
		out.Name = t.Name()
	}
	return out
}

const (
	lintStreamsMax = 3  // of a subject, that are looked into
	lintEventsMax  = 20 // of each, the newest
)

// extensionsIn are attributes that the newest events of streams have, as far as the caller may read them.
func (b *Broker) extensionsIn(c *Caller, streams []string) []string {
	out := map[string]bool{}
	for _, s := range streams[:min(len(streams), lintStreamsMax)] {
		p, err := b.readPage(context.Background(), c, PageRequest{Streams: []string{s}, From: Start{Kind: StartLatest}, Limit: lintEventsMax, Backward: true})
		if err != nil {
			continue // who may not read is told less
		}
		for _, d := range p.Events {
			for i := range d.Record.Headers {
				if name, ok := strings.CutPrefix(d.Record.Headers[i].Key, "ce_"); ok {
					out[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// TaggedField is a field that has tags, and who is handed it.
type TaggedField struct {
	Subject   string   `json:"subject"`
	Version   int      `json:"version"`
	Field     string   `json:"field"`
	Type      string   `json:"type"`
	Tags      []string `json:"tags"`
	Consumers []string `json:"consumers"` // of events of the subject, as far as they were seen
	Declared  []string `json:"declared"`  // that declare to read it
}

// Tags are the fields that have tags, in the newest versions of subjects; "" is all of them.
func (b *Broker) Tags(c *Caller, subject string) ([]TaggedField, error) {
	r, out := b.Contracts(c.namespace()), []TaggedField{}
	subjects := []string{subject}
	if subject == "" {
		may := b.allowed(c, ActionDescribe, KindContract)
		subjects = slices.DeleteFunc(r.Subjects("", registry.Live), func(s string) bool { return !may(s) })
		subjects = subjects[:min(len(subjects), LintSubjectsMax)]
	}
	consumers := map[string][]string{}
	all := b.Catalogue(c, CatalogueQuery{Role: "consumes"}).Sightings
	for i := range all {
		if s := &all[i]; s.Subject != "" && !slices.Contains(consumers[s.Subject], s.Service) {
			consumers[s.Subject] = append(consumers[s.Subject], s.Service)
		}
	}
	reads := b.AllReads(c)
	for _, name := range subjects {
		v, s, err := b.schemaOf(c, name)
		if err != nil {
			if subject == "" {
				continue
			}
			return nil, err
		}
		of := b.meansSubject(c, v.Subject, s)
		for _, f := range v.Tagged(s) {
			t := TaggedField{Subject: v.Subject, Version: v.Version, Field: f.Path, Type: f.Type, Tags: f.Tags, Consumers: append([]string{}, consumers[v.Subject]...), Declared: []string{}}
			slices.Sort(t.Consumers)
			for _, d := range reads {
				if of(d.Type) && readsField(d.Fields, f.Path) {
					t.Declared = append(t.Declared, d.Service)
				}
			}
			out = append(out, t)
		}
	}
	return out, nil
}

func readsField(fields []string, path string) bool {
	path = contract.PlainPath(path)
	return slices.ContainsFunc(fields, func(f string) bool {
		f = contract.PlainPath(f)
		return f == contract.AllFields || f == path || strings.HasPrefix(path, f+".") || strings.HasPrefix(f, path+".")
	})
}
