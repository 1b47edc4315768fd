package broker

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"leat/contract"
	"leat/contract/registry"
	"leat/contract/usage"
)

// Sighting is what one party was seen to do with one type of event of one stream.
type Sighting struct {
	Type      string    `json:"type"` // as the event says; else the name in its schema; else the stream's default; else UntypedPrefix and the stream
	Stream    string    `json:"stream"`
	Role      string    `json:"role"` // produces, consumes
	Service   string    `json:"service"`
	Principal string    `json:"principal,omitempty"`
	Protocol  string    `json:"protocol"`
	Client    string    `json:"client,omitempty"`
	Via       string    `json:"via,omitempty"` // subscription or group
	Contract  string    `json:"contract,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Version   int       `json:"version,omitempty"` // 0: nothing says which
	Latest    int       `json:"latest_version,omitempty"`
	SchemaID  int       `json:"schema_id,omitempty"`
	Says      string    `json:"version_from,omitempty"` // payload: it says so itself; contract: it was checked against the newest
	Tags      []string  `json:"tags,omitempty"`         // of fields of the schema: a consumer is handed them
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Records   int64     `json:"records"`
	Bytes     int64     `json:"bytes"`

	typed bool // the event says its type
}

// UntypedPrefix begins the type of events that say none, nor does their schema or stream.
const UntypedPrefix = "stream:"

// CatalogueQuery narrows the catalogue. A pattern has * for anything but a slash; "" is all.
type CatalogueQuery struct {
	Type    string
	Stream  string
	Service string
	Role    string        // produces, consumes
	Within  time.Duration // seen at most so long ago; 0: whenever
}

// Catalogue is who was seen to produce and consume what, in the caller's namespace, of streams that he may describe.
type Catalogue struct {
	Sightings []Sighting `json:"sightings"`
	Forgotten int64      `json:"forgotten"` // that made room for others since the start, in all namespaces
}

// Catalogue tells of the caller's namespace.
func (b *Broker) Catalogue(c *Caller, q CatalogueQuery) Catalogue {
	may, now := b.allowed(c, ActionDescribe, KindStream), b.opt.Clock.Now()
	out := Catalogue{Sightings: []Sighting{}, Forgotten: b.catalogue.ledger.Forgotten()}
	x := b.explainer(c.namespace())
	for _, u := range b.catalogue.ledger.Uses(c.namespace()) {
		if !may(u.Stream) || q.Within > 0 && now.Sub(time.UnixMilli(u.LastMS)) > q.Within {
			continue
		}
		s := x.sighting(&u)
		if wanted(q.Type, s.Type) && wanted(q.Stream, s.Stream) && wanted(q.Service, s.Service) && wanted(q.Role, s.Role) {
			out.Sightings = append(out.Sightings, s)
		}
	}
	out.Sightings = joined(out.Sightings)
	return out
}

func wanted(pattern, s string) bool { return pattern == "" || pattern == s || fits(pattern, s) }

// joined makes one of those that differ in nothing that is told.
func joined(all []Sighting) []Sighting {
	order := func(a, b *Sighting) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Stream, b.Stream), cmp.Compare(b.Role, a.Role), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Principal, b.Principal),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Via, b.Via), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.SchemaID, b.SchemaID))
	}
	slices.SortFunc(all, func(a, b Sighting) int { return order(&a, &b) })
	out := all[:0]
	for i := range all {
		if n := len(out); n > 0 && order(&out[n-1], &all[i]) == 0 {
			s := &out[n-1]
			s.Records, s.Bytes = s.Records+all[i].Records, s.Bytes+all[i].Bytes
			if all[i].FirstSeen.Before(s.FirstSeen) {
				s.FirstSeen = all[i].FirstSeen
			}
			if all[i].LastSeen.After(s.LastSeen) {
				s.LastSeen = all[i].LastSeen
			}
			continue
		}
		out = append(out, all[i])
	}
	return out
}

// explainer says what was counted means: which type, subject and version. What it has looked up it remembers; it is for one answer.
type explainer struct {
	b         *Broker
	namespace string
	r         *registry.Registry
	bindings  []*registry.Binding
	schemas   map[registry.Place]*explained
	newest    map[string]*explained // by subject; nil: it has none
}

// explained is one version of a schema.
type explained struct {
	subject string
	version int
	latest  int
	name    string
	tags    []string
}

func (b *Broker) explainer(namespace string) *explainer {
	r := b.Contracts(namespace)
	return &explainer{b, namespace, r, r.Bindings(), map[registry.Place]*explained{}, map[string]*explained{}}
}

func (x *explainer) sighting(u *usage.Use) Sighting {
	s := Sighting{
		Type: u.Type, Stream: u.Stream, Role: u.Role.String(), Service: cmp.Or(u.Service(), "("+u.Protocol+")"), Principal: u.Principal, Protocol: u.Protocol, Client: u.Client, Via: u.Via,
		SchemaID: int(u.Schema), FirstSeen: time.UnixMilli(u.FirstMS).UTC(), LastSeen: time.UnixMilli(u.LastMS).UTC(), typed: u.Type != "", Records: u.Records, Bytes: u.Bytes,
	}
	if s.Type == DefaultEventType {
		s.Type = "" // it stands for none: events of many streams have it, which have nothing to do with each other
	}
	var e *explained
	switch {
	case u.GUID != "":
		e = x.best(x.r.PlacesOfGUID(u.GUID), u)
	case u.Schema != 0:
		e = x.best(x.r.PlacesOfID(int(u.Schema), ""), u)
	}
	if e != nil {
		s.Says = "payload"
	}
	if bound := x.bound(u.Stream, u.Type); bound != nil {
		s.Contract = bound.Name
		if e == nil && bound.Subject != "" && bound.Enforce != registry.Off {
			if e = x.latest(bound.Subject); e != nil {
				s.Says = "contract"
			}
		}
	}
	if e != nil {
		s.Subject, s.Version, s.Latest, s.Tags = e.subject, e.version, e.latest, e.tags
		if s.Says == "payload" {
			s.Type = cmp.Or(s.Type, e.name)
		}
	}
	if s.Type == "" {
		s.Type = UntypedPrefix + u.Stream
		if n := x.b.names.get(x.namespace, u.Stream); n != nil && n.config.DefaultType != "" {
			s.Type = n.config.DefaultType
		}
	}
	return s
}

// best is the version that is meant of several of one content: the one of the stream's own subject, where there is such a one.
func (x *explainer) best(all []registry.Place, u *usage.Use) *explained {
	if len(all) == 0 {
		return nil
	}
	best := all[0]
	for _, p := range all {
		if _, name := registry.Split(p.Subject); name == u.Stream || strings.HasPrefix(name, u.Stream+"-") {
			best = p
			break
		}
	}
	if e, ok := x.schemas[best]; ok {
		return e
	}
	x.schemas[best] = x.explain(x.r.At(best))
	return x.schemas[best]
}

// latest is the newest version of a subject.
func (x *explainer) latest(subject string) *explained {
	e, ok := x.newest[subject]
	if !ok {
		if v, err := x.r.Version(subject, registry.Latest, false); err == nil { // a subject that is gone says nothing
			e = x.explain(v)
		}
		x.newest[subject] = e
	}
	return e
}

// bound is the contract that an event of a stream is under: one of its type comes before one of the stream. Those of addresses are left out, which are not
// counted.
func (x *explainer) bound(stream, kind string) (found *registry.Binding) {
	for _, y := range x.bindings {
		if y.Type != "" && kind != "" && fits(y.Type, kind) {
			return y
		}
		if found == nil && y.Stream != "" && y.Address == "" && fits(y.Stream, stream) {
			found = y
		}
	}
	return found
}

func (x *explainer) explain(v *registry.Version) *explained {
	if v == nil { // it has gone meanwhile
		return nil
	}
	e := &explained{subject: v.Subject, version: v.Version, name: v.Subject}
	if last, err := x.r.Version(v.Subject, registry.Latest, false); err == nil {
		e.latest = last.Version
	}
	if s, err := x.r.Parse(v); err == nil {
		if n, ok := s.(contract.Titled); ok && n.Name() != "" {
			e.name = n.Name()
		}
		for _, f := range v.Tagged(s) {
			e.tags = append(e.tags, f.Tags...)
		}
		slices.Sort(e.tags)
		e.tags = slices.Compact(e.tags)
	}
	return e
}
