package broker

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/contract"
	"leat/contract/registry"
)

// What is appended is checked against contracts here, on the caller's goroutine, before it is resolved: each record of a batch, whatever protocol it
// came by. Where no contract is bound to anything, that costs one load of a number.

// checks are what is bound in one namespace, by stream, as far as it was asked for. They hold while the registry's revision is theirs.
type checks struct {
	at    atomic.Pointer[boundSet]
	stats sync.Map // name of a contract → *ContractStats
}

type boundSet struct {
	revision uint64
	bindings []*registry.Binding
	streams  sync.Map // name → *streamBound
}

// streamBound is what counts for one stream. nil members: nothing.
type streamBound struct {
	all  []*boundBy // of the stream, whatever is in a record
	some []*boundBy // of types, and of addresses in the stream
}

// boundBy is a contract as it is applied: versions of the subject by id and GUID, parsed.
type boundBy struct {
	*registry.Binding
	stats      *ContractStats
	value, key *promise
}

// promise is a subject whose schemas count.
type promise struct {
	subject string
	byID    map[int]*promised
	byGUID  map[string]*promised
	latest  *promised
	broken  string // why nothing can be checked
}

type promised struct {
	version *registry.Version
	schema  contract.Schema
	indexed bool // message indexes follow the frame
}

// ContractStats is what one contract has seen since the start.
type ContractStats struct {
	Checked, Broken, Quarantined atomic.Int64
	toldMS                       atomic.Int64
}

// ContractSeen are the numbers of a contract since the start: records that were checked, of those such as broke it, and of those again such as were put
// into quarantine for it.
type ContractSeen struct{ Checked, Broken, Quarantined int64 }

// ContractStats are the numbers of a contract.
func (b *Broker) ContractStats(namespace, name string) ContractSeen {
	if s, ok := b.contracts.room(namespaceOr(namespace)).checks.stats.Load(name); ok {
		return s.(*ContractStats).seen()
	}
	return ContractSeen{}
}

func (s *ContractStats) seen() ContractSeen {
	return ContractSeen{s.Checked.Load(), s.Broken.Load(), s.Quarantined.Load()}
}

func namespaceOr(s string) string {
	if s == "" {
		return DefaultNamespace
	}
	return s
}

// ContractBreak says which record broke which contract; it is the Detail of a fault of kind ContractBroken.
type ContractBreak struct {
	Contract string
	Subject  string // whose schema it does not keep to
	Version  int    // of that; 0 where the payload names one that is none of the subject's
	Index    int    // of the record in its batch, or of the event in its request
	Field    string // "" for the payload as a whole
	Text     string

	stats *ContractStats
}

// boundTo is what counts for a stream; nil: nothing.
func (b *Broker) boundTo(c *Caller, n *named) *streamBound {
	if b.contracts.bound.Load() == 0 || c.platform {
		return nil
	}
	b.contracts.mu.RLock()
	room := b.contracts.all[n.namespace]
	b.contracts.mu.RUnlock()
	if room == nil {
		return nil
	}
	set := room.checks.at.Load()
	if rev := room.registry.Revision(); set == nil || set.revision != rev {
		set = &boundSet{revision: rev, bindings: slices.DeleteFunc(room.registry.Bindings(), func(x *registry.Binding) bool { return x.Enforce == registry.Off })}
		room.checks.at.Store(set)
	}
	if len(set.bindings) == 0 {
		return nil
	}
	if s, ok := set.streams.Load(n.name); ok {
		return s.(*streamBound)
	}
	s := room.bind(set, n.name)
	set.streams.Store(n.name, s)
	return s
}

func (r *contractRoom) bind(set *boundSet, name string) *streamBound {
	var out *streamBound
	for _, x := range set.bindings {
		ofStream := x.Stream != "" && fits(x.Stream, name)
		if !ofStream && x.Type == "" {
			continue
		}
		stats, _ := r.checks.stats.LoadOrStore(x.Name, &ContractStats{})
		y := &boundBy{Binding: x, stats: stats.(*ContractStats), value: r.promise(x.Subject), key: r.promise(x.Key)}
		if out == nil {
			out = &streamBound{}
		}
		if ofStream && x.Address == "" {
			out.all = append(out.all, y)
		} else {
			out.some = append(out.some, y)
		}
	}
	return out
}

func fits(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func (r *contractRoom) promise(subject string) *promise {
	if subject == "" {
		return nil
	}
	p := &promise{subject: subject, byID: map[int]*promised{}, byGUID: map[string]*promised{}}
	all, err := r.registry.Versions(subject, registry.Live)
	if err != nil {
		p.broken = err.Error()
		return p
	}
	for _, v := range all {
		s, err := r.registry.Parse(v)
		if err != nil {
			p.broken = fmt.Sprintf("version %d of %s cannot be read: %s", v.Version, subject, err)
			return p
		}
		k := &promised{v, s, v.Type == "PROTOBUF"}
		p.byID[v.ID], p.byGUID[v.GUID()], p.latest = k, k, k
	}
	return p
}

// keepsBatch checks the records of a batch: the first that breaks a contract refuses all of it. Those that are for quarantine are returned, by Index.
func (b *Broker) keepsBatch(c *Caller, n *named, batch []byte) (apart []*ContractBreak, err error) {
	s := b.boundTo(c, n)
	if s == nil {
		return nil, nil
	}
	if err := b.owned(c, n, s.all); err != nil {
		return nil, err
	}
	return apart, record.EachRecord(batch, record.DefaultInflateLimits(), func(i int, r *record.Record) error {
		d, err := b.keeps(c, n, s, i, r)
		if d != nil && err == nil {
			switch _, expects := r.Header(HeaderExpectVersion); {
			case expects:
				err = d.refusal(n)
			case len(apart) >= QuarantinedAtOnceMax:
				err = d.tooMuch(n)
			}
			apart = append(apart, d)
		}
		return ofBatch(i, err)
	})
}

// ofBatch says which record of a batch broke its contract.
func ofBatch(i int, err error) error {
	if !fault.Is(err, fault.ContractBroken) {
		return err
	}
	f := *fault.As(err)
	f.Text = fmt.Sprintf("record %d of the batch: %s", i, f.Text)
	return &f
}

// keepsEvent checks one event of a request. One that is for quarantine is returned.
func (b *Broker) keepsEvent(c *Caller, n *named, i int, r *record.Record) (*ContractBreak, error) {
	s := b.boundTo(c, n)
	if s == nil {
		return nil, nil
	}
	if err := b.owned(c, n, s.all); err != nil {
		return nil, err
	}
	return b.keeps(c, n, s, i, r)
}

// owned refuses those who do not own what they publish. While there are no users nobody is anybody.
func (b *Broker) owned(c *Caller, n *named, all []*boundBy) error {
	for _, x := range all {
		if len(x.Owner) > 0 && b.UsersExist() && !slices.Contains(x.Owner, c.Principal) {
			what := "the stream " + n.name
			switch {
			case x.Type != "":
				what = "events of the type " + x.Type
			case x.Address != "":
				what = "to " + x.Address + " in " + what
			}
			return fault.New(fault.Denied, "append", n.name, "only %s may publish %s: the contract %s says who owns it", strings.Join(x.Owner, ", "), what, x.Name)
		}
	}
	return nil
}

// keeps holds a record against all contracts that count for it. It is refused where one of them says so; else apart is the first that wants it put into
// quarantine.
func (b *Broker) keeps(c *Caller, n *named, s *streamBound, i int, r *record.Record) (apart *ContractBreak, err error) {
	e := outline{data: r.Value}
	if len(s.some) > 0 || structured(r) {
		e = outlineOf(r)
	}
	for _, x := range s.all {
		if err := b.check(c, n, x, i, r, e.data, &apart); err != nil {
			return nil, err
		}
	}
	for _, x := range s.some {
		if !e.under(x) {
			continue
		}
		if err := b.owned(c, n, []*boundBy{x}); err != nil {
			return nil, err
		}
		if err := b.check(c, n, x, i, r, e.data, &apart); err != nil {
			return nil, err
		}
	}
	return apart, nil
}

const (
	typeHeader        = "ce_type"
	contentTypeHeader = "content-type"
	structuredType    = "application/cloudevents+json"
)

func structured(r *record.Record) bool {
	for i := range r.Headers {
		if r.Headers[i].Key == contentTypeHeader {
			return bytes.HasPrefix(r.Headers[i].Value, []byte(structuredType))
		}
	}
	return false
}

// outline is what contracts go by: type and subject, where there are any, and data. A structured event has them inside; a subject beside it, by which it
// goes to a queue, counts too.
type outline struct{ kind, subject, inside, data []byte }

func outlineOf(r *record.Record) outline {
	out := outline{data: r.Value}
	for i := range r.Headers {
		switch r.Headers[i].Key {
		case typeHeader:
			out.kind = r.Headers[i].Value
		case headerSubject:
			out.subject = r.Headers[i].Value
		}
	}
	if structured(r) {
		var e record.Event
		if record.ParseEventJSON(r.Value, &e) == nil {
			out.kind, out.inside, out.data = []byte(e.Type), []byte(e.Subject), e.Data
		}
	}
	if len(out.subject)+len(out.inside) == 0 { // as address filters read it
		out.subject = r.Key
	}
	return out
}

// under says whether a contract of a type or an address counts.
func (e *outline) under(x *boundBy) bool {
	if x.Address != "" {
		return fits(x.Address, string(e.subject)) || len(e.inside) > 0 && fits(x.Address, string(e.inside))
	}
	return len(e.kind) > 0 && fits(x.Type, string(e.kind))
}

// check applies one contract to one record.
func (b *Broker) check(c *Caller, n *named, x *boundBy, i int, r *record.Record, payload []byte, apart **ContractBreak) error {
	x.stats.Checked.Add(1)
	p := x.value
	by, err := p.keeps(r, payload, contract.HeaderValue, x.Framed)
	if err == nil && x.key != nil {
		p = x.key
		by, err = p.keeps(r, r.Key, contract.HeaderKey, x.Framed)
	}
	if err == nil {
		return nil
	}
	x.stats.Broken.Add(1)
	d := &ContractBreak{Contract: x.Name, Subject: p.subject, Index: i, Text: err.Error(), stats: x.stats}
	if by != nil {
		d.Version = by.version.Version
	}
	if v, ok := err.(*contract.Violation); ok { //nolint:errorlint // as it was made
		d.Field = v.Path
	}
	b.tellBroken(c, n, x, d)
	switch x.Enforce {
	case registry.Warn:
		return nil
	case registry.Quarantine:
		if *apart == nil {
			*apart = d
		}
		return nil
	case registry.Off, registry.Reject:
	}
	return d.refusal(n)
}

// refusal is the fault of a record that is not taken because of d.
func (d *ContractBreak) refusal(n *named) error {
	f := fault.New(fault.ContractBroken, "append", n.name, "the contract %s of %s is broken: %s", d.Contract, n.name, d.Text)
	f.Detail = d
	return f
}

const brokenToldEvery = 60_000 // ms between two events about one contract

// tellBroken tells of a contract that is broken, once a minute with how often it was since the start.
func (b *Broker) tellBroken(c *Caller, n *named, x *boundBy, d *ContractBreak) {
	now, last := b.nowMS(), x.stats.toldMS.Load()
	if last != 0 && now-last < brokenToldEvery || !x.stats.toldMS.CompareAndSwap(last, now) {
		return
	}
	b.System(SystemEvent{Type: TypeContractBroken, Subject: x.Name, Caller: c, Data: map[string]any{
		"namespace": n.namespace, "stream": n.name, "enforce": string(x.Enforce), "index": d.Index, "field": d.Field, "text": d.Text,
		"checked": x.stats.Checked.Load(), "broken": x.stats.Broken.Load(), "quarantined": x.stats.Quarantined.Load(),
	}})
}

// keeps checks a payload. Nothing (a tombstone) keeps every promise. by is what it was held against, as far as that could be told.
func (p *promise) keeps(r *record.Record, payload []byte, header string, mustSay bool) (by *promised, err error) {
	if p == nil || payload == nil {
		return nil, nil
	}
	if p.broken != "" {
		return nil, contract.Breaks("", "%s", p.broken)
	}
	k, rest, index, err := p.find(r, payload, header, mustSay)
	if err != nil {
		return nil, err
	}
	return k, k.schema.Validate(rest, index)
}

// find says which schema a payload was written with: as its header says, as its frame says, or the newest.
func (p *promise) find(r *record.Record, payload []byte, header string, mustSay bool) (k *promised, rest []byte, index []int, err error) {
	for i := range r.Headers {
		if r.Headers[i].Key != header {
			continue
		}
		f, more, err := contract.FrameOfHeader(r.Headers[i].Value)
		if err != nil {
			return nil, nil, nil, contract.Breaks("", "%s", err)
		}
		if k = p.named(f); k == nil {
			return nil, nil, nil, p.unknown(f)
		}
		if k.indexed {
			index, _, err = contract.Indexes(more)
		}
		if err != nil {
			return nil, nil, nil, contract.Breaks("", "%s", err)
		}
		return k, payload, index, nil
	}
	f, rest, err := contract.Unframe(payload)
	switch {
	case err == nil && f.Named() && p.byID[f.ID] != nil:
		k = p.byID[f.ID]
		if k.indexed {
			if index, rest, err = contract.Indexes(rest); err != nil {
				return nil, nil, nil, contract.Breaks("", "%s", err)
			}
		}
		return k, rest, index, nil
	case mustSay && f.Named():
		return nil, nil, nil, p.unknown(f)
	case mustSay:
		return nil, nil, nil, contract.Breaks("", "the payload does not say which schema it was written with: its first bytes must be 0 and the id of a schema, or the header %s must name one", header)
	case f.Named() && p.latest.version.Type != "AVRO": // no JSON and no Protobuf begins with 0
		return nil, nil, nil, p.unknown(f)
	}
	return p.latest, payload, nil, nil
}

func (p *promise) named(f contract.Frame) *promised {
	if f.GUID != "" {
		return p.byGUID[f.GUID]
	}
	return p.byID[f.ID]
}

func (p *promise) unknown(f contract.Frame) error {
	if f.GUID != "" {
		return contract.Breaks("", "the payload says it was written with schema %s, which is no version of %s", f.GUID, p.subject)
	}
	return contract.Breaks("", "the payload says it was written with schema %d, which is no version of %s", f.ID, p.subject)
}
