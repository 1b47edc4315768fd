package broker

import (
	"cmp"
	"path"
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
	schemas   map[string]*explained
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
	return &explainer{b, namespace, r, r.Bindings(), map[string]*explained{}}
}

func (x *explainer) sighting(u *usage.Use) Sighting {
	s := Sighting{
		Type: u.Type, Stream: u.Stream, Role: u.Role.String(), Service: cmp.Or(u.Service(), "("+u.Protocol+")"), Principal: u.Principal, Protocol: u.Protocol, Client: u.Client, Via: u.Via,
		SchemaID: int(u.Schema), FirstSeen: time.UnixMilli(u.FirstMS).UTC(), LastSeen: time.UnixMilli(u.LastMS).UTC(), Records: u.Records, Bytes: u.Bytes,
	}
	var v *registry.Version
	switch {
	case u.GUID != "":
		v = x.best(x.r.ByGUID(u.GUID), u)
	case u.Schema != 0:
		v = x.best(x.r.ByID(int(u.Schema), ""), u)
	}
	if v != nil {
		s.Says = "payload"
	}
	if bound := x.bound(u.Stream, u.Type); bound != nil {
		s.Contract = bound.Name
		if v == nil && bound.Subject != "" && bound.Enforce != registry.Off {
			if v, _ = x.r.Version(bound.Subject, registry.Latest, false); v != nil { // a subject that is gone says nothing
				s.Says = "contract"
			}
		}
	}
	if v != nil {
		e := x.explain(v)
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
func (x *explainer) best(all []*registry.Version, u *usage.Use) *registry.Version {
	var out *registry.Version
	for _, v := range all {
		_, name := registry.Split(v.Subject)
		own := name == u.Stream || strings.HasPrefix(name, u.Stream+"-")
		if out == nil || own {
			out = v
		}
		if own {
			break
		}
	}
	return out
}

// bound is the contract that an event of a stream is under: one of its type comes before one of the stream.
func (x *explainer) bound(stream, kind string) (found *registry.Binding) {
	for _, y := range x.bindings {
		if y.Type != "" && kind != "" && fits(y.Type, kind) {
			return y
		}
		if found == nil && y.Stream != "" && fits(y.Stream, stream) {
			found = y
		}
	}
	return found
}

func (x *explainer) explain(v *registry.Version) *explained {
	key := path.Join(v.GUID(), v.Subject)
	if e := x.schemas[key]; e != nil {
		return e
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
	x.schemas[key] = e
	return e
}
