package broker

import (
	"cmp"
	"maps"
	"slices"

	"leat/contract/asyncapi"
	"leat/contract/registry"
)

// DocumentServer is a listener, for the document.
type DocumentServer = asyncapi.Server

// DocumentOptions are what only the door knows.
type DocumentOptions struct {
	Servers  []DocumentServer
	Registry string // address of the schema registry; "" where there is none
}

// AsyncAPI is what is known of streams, types of events and who uses them, as an AsyncAPI 3.0 document: of what the caller may describe.
func (b *Broker) AsyncAPI(c *Caller, o DocumentOptions) ([]byte, error) {
	in := &asyncapi.Input{
		Title: "Events of " + c.namespace(), Version: "1.0.0", ID: b.opt.Cluster + ":" + c.namespace(), Users: b.UsersExist(), Registry: o.Registry,
		Description: "Streams, the types of events in them, and who was seen to produce and consume them. Written by Leat from its contracts and its traffic.",
		Servers:     slices.DeleteFunc(slices.Clone(o.Servers), func(s asyncapi.Server) bool { return !asyncapi.Carries(s.Protocol) }),
	}
	d := documenting{b: b, c: c, x: b.explainer(c.namespace()), in: in, messages: map[string]*asyncapi.Message{}, types: map[string]map[string]bool{}, operations: map[doing]int{}, addresses: map[string][]asyncapi.Channel{}}
	all := b.Catalogue(c, CatalogueQuery{}).Sightings
	for i := range all {
		d.sighting(&all[i])
	}
	d.bound()
	d.channels()
	return asyncapi.Document(in)
}

type documenting struct {
	b        *Broker
	c        *Caller
	x        *explainer
	in       *asyncapi.Input
	messages map[string]*asyncapi.Message
	types    map[string]map[string]bool // by stream

	operations map[doing]int                 // place in the input's
	addresses  map[string][]asyncapi.Channel // that contracts are bound to, by stream
}

// doing is what makes one operation.
type doing struct{ service, role, stream, protocol, via string }

// message is the message of a type, which the newest version of a subject describes.
func (d *documenting) message(kind string) *asyncapi.Message {
	if d.messages[kind] == nil {
		d.messages[kind] = &asyncapi.Message{Type: kind}
	}
	return d.messages[kind]
}

func (d *documenting) sighting(s *Sighting) {
	m := d.message(s.Type)
	d.put(s.Stream, s.Type)
	m.Framed = m.Framed || s.Says == "payload"
	m.Contract = cmp.Or(m.Contract, s.Contract)
	if s.Subject != "" {
		d.describe(m, s.Subject)
	}
	k := doing{s.Service, s.Role, s.Stream, s.Protocol, s.Via}
	n, known := d.operations[k]
	if !known {
		n = len(d.in.Operations)
		d.operations[k] = n
		d.in.Operations = append(d.in.Operations, asyncapi.Operation{Service: s.Service, Produces: s.Role == "produces", Channel: s.Stream, Protocol: s.Protocol, Via: s.Via})
	}
	if o := &d.in.Operations[n]; !slices.Contains(o.Types, s.Type) {
		o.Types = append(o.Types, s.Type)
	}
}

func (d *documenting) put(stream, kind string) {
	if d.types[stream] == nil {
		d.types[stream] = map[string]bool{}
	}
	d.types[stream][kind] = true
}

// describe gives a message the newest version of a subject.
func (d *documenting) describe(m *asyncapi.Message, subject string) {
	if m.Subject != "" || d.b.MayContract(d.c, ActionDescribe, subject) != nil {
		return
	}
	v, err := d.x.r.Version(subject, registry.Latest, false)
	if err != nil {
		return // it is gone
	}
	m.Format, m.Schema, m.Subject, m.Version, m.References = v.Type, v.Text, v.Subject, v.Version, len(v.References) > 0
	if e := d.x.explain(v); e != nil {
		m.Tags = e.tags
	}
}

// bound adds what contracts promise that was not seen yet.
func (d *documenting) bound() {
	may := d.b.allowed(d.c, ActionDescribe, KindContract)
	for _, x := range d.x.bindings {
		if !may(x.Name) {
			continue
		}
		plain := !asyncapi.Pattern(x.Type + x.Stream)
		for kind, m := range d.messages {
			if m.Contract == x.Name || x.Type != "" && fits(x.Type, kind) {
				m.Contract, m.Owner = cmp.Or(m.Contract, x.Name), x.Owner
			}
		}
		if !plain || x.Subject == "" {
			continue
		}
		kind := x.Type
		switch {
		case x.Address != "":
			kind = UntypedPrefix + x.Stream + "#" + x.Address
			d.addresses[x.Stream] = append(d.addresses[x.Stream], asyncapi.Channel{Name: x.Stream, Address: x.Address, Types: []string{kind}})
		case x.Stream != "":
			if len(d.types[x.Stream]) > 0 {
				continue // its events say what they are
			}
			if kind = UntypedPrefix + x.Stream; d.b.names.get(d.x.namespace, x.Stream) != nil {
				d.put(x.Stream, kind)
			}
		}
		m := d.message(kind)
		m.Contract, m.Owner = cmp.Or(m.Contract, x.Name), x.Owner
		d.describe(m, x.Subject)
	}
	for _, kind := range slices.Sorted(maps.Keys(d.messages)) {
		d.in.Messages = append(d.in.Messages, *d.messages[kind])
	}
}

func (d *documenting) channels() {
	may := d.b.allowed(d.c, ActionDescribe, KindStream)
	d.b.names.mu.RLock()
	defer d.b.names.mu.RUnlock()
	for k, n := range d.b.names.streams {
		if k.namespace == d.x.namespace && !internalName(k.name) && may(k.name) {
			d.in.Channels = append(d.in.Channels, asyncapi.Channel{Name: k.name, Partitions: n.config.Partitions, Types: slices.Sorted(maps.Keys(d.types[k.name]))})
			for _, a := range d.addresses[k.name] {
				a.Partitions = n.config.Partitions
				d.in.Channels = append(d.in.Channels, a)
			}
		}
	}
	slices.SortFunc(d.in.Channels, func(a, b asyncapi.Channel) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
}
