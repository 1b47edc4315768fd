package broker

import (
	"crypto/sha256"
	"encoding/json"
	"slices"

	"leat/broker/fault"
	"leat/broker/filter"
	"leat/broker/filter/address"
	"leat/broker/record"
)

// What reaches a subscription is its address filters, each with the frames for whose records it holds, so that adding one and taking one
// away is remembered as just that, however many there are:
//
//	frames           … 10            90              200 …
//	address filter   A (0, …]        B (10, 90]      C (90, …]
//
// Whom a record reaches is decided when it is appended, and kept with it as its route; filters of before are for records that routes say nothing
// of: those from before a subscription, or from before it left a class that it had shared. See pastNeeded.

// AddressPastMax is how many address filters of before are kept for records that still wait.
const AddressPastMax = 2000

// pastAddress is an address filter that held for records of frames after From, and of Until at last.
type pastAddress struct {
	AddressFilter
	From  uint64 `json:"from,omitempty"`
	Until uint64 `json:"until"`
}

// pastWhere is a condition on content that held for records of frames up to Until; an empty one for all.
type pastWhere struct {
	Where    string `json:"where,omitempty"`
	Selector string `json:"selector,omitempty"`
	Until    uint64 `json:"until"`
}

// filterVersion is how documents of before say what held for records of frames after From, up to the next version.
type filterVersion struct {
	From    uint64          `json:"from"`
	Address []AddressFilter `json:"address,omitempty"`
	Where   string          `json:"where,omitempty"`
}

// readDocument reads what a subscription's catalog entry says. It is kept in memory, so slices are as long as what is in them.
func readDocument(p []byte) (d subscriptionDocument, err error) {
	if err = json.Unmarshal(p, &d); err != nil {
		return d, err
	}
	if len(d.Filters) > 0 {
		d.takeVersions()
	}
	d.Streams, d.StreamIDs, d.Address = shorten(d.Streams), shorten(d.StreamIDs), shorten(d.Address)
	return d, nil
}

func shorten[T any](s []T) []T {
	if cap(s) == len(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// takeVersions turns versions of all filters into filters that hold from and until. The last version is what is set.
func (d *subscriptionDocument) takeVersions() {
	vs := d.Filters
	d.Filters = nil
	now := subscriptionDocument{SubscriptionConfig: SubscriptionConfig{Address: vs[0].Address, Where: vs[0].Where}}
	for _, v := range vs[1:] {
		was := now
		now.Address, now.Where = v.Address, v.Where
		now.follow(&was, nil)
		now.date(v.From)
	}
	d.Address, d.Where = now.Address, now.Where
	d.Since, d.Past, d.Wheres = now.Since, now.Past, now.Wheres
}

func (f *AddressFilter) equal(g *AddressFilter) bool {
	return f.Stream == g.Stream && f.Subject == g.Subject && f.Key == g.Key && f.Type == g.Type && f.Any == g.Any && slices.Equal(f.Headers, g.Headers)
}

// since is from which frame on an address filter that is set holds: for records of later ones.
func (d *subscriptionDocument) since(i int) uint64 {
	if i < len(d.Since) {
		return d.Since[i]
	}
	return 0
}

// placesOf finds equal address filters: the same texts stand for equal ones. Of few filters no table is made.
func placesOf(fs []AddressFilter) func(f *AddressFilter) int {
	if len(fs) <= 16 {
		return func(f *AddressFilter) int {
			return slices.IndexFunc(fs, func(g AddressFilter) bool { return f.equal(&g) })
		}
	}
	places := make(map[string]int, len(fs))
	for i := range fs {
		places[fs[i].text()] = i
	}
	return func(f *AddressFilter) int {
		if i, there := places[f.text()]; there {
			return i
		}
		return -1
	}
}

func (f *AddressFilter) text() string {
	p, err := json.Marshal(f)
	if err != nil {
		panic(err) // a struct of texts
	}
	return string(p)
}

// follow says from which frame on what is set holds, and what held before; fromNow stands for the frame that is to be. read are streams
// that were read before: filters for others hold for all that is in them. It reports whether what reaches the subscription may be something else than before.
func (d *subscriptionDocument) follow(was *subscriptionDocument, read []string) (changed bool) {
	d.Since, d.Past, d.Wheres = nil, slices.Clone(was.Past), slices.Clone(was.Wheres)
	before, now := placesOf(was.Address), placesOf(d.Address)
	since, some := make([]uint64, len(d.Address)), false
	for i := range d.Address {
		f := &d.Address[i]
		switch k := before(f); {
		case k >= 0:
			since[i] = was.since(k)
		default:
			changed = true
			if read == nil || f.Stream == "" || slices.Contains(read, f.Stream) {
				since[i] = fromNow
			}
		}
		some = some || since[i] != 0
	}
	if some {
		d.Since = since
	}
	for i := range was.Address {
		if f := &was.Address[i]; now(f) < 0 {
			changed = true
			d.Past = append(d.Past, pastAddress{*f, was.since(i), fromNow})
		}
	}
	if d.Where != was.Where || d.Selector != was.Selector {
		d.Wheres = append(d.Wheres, pastWhere{was.Where, was.Selector, fromNow})
	}
	return changed
}

// date puts a frame where fromNow stands.
func (d *subscriptionDocument) date(seq uint64) {
	for i := range d.Since {
		if d.Since[i] == fromNow {
			d.Since[i] = seq
		}
	}
	for i := len(d.Past) - 1; i >= 0 && d.Past[i].Until == fromNow; i-- {
		d.Past[i].Until = seq
	}
	if n := len(d.Wheres); n > 0 && d.Wheres[n-1].Until == fromNow {
		d.Wheres[n-1].Until = seq
	}
}

// checkPast refuses a change that would leave too much to be remembered.
func (d *subscriptionDocument) checkPast(name string) error {
	if n := len(d.Wheres); n >= FilterVersionsMax {
		return fault.New(fault.QuotaSpent, "subscribe", name, "events wait since before the last %d changes of the filters: ack them, or rewind past them, before the next", n)
	}
	if n := len(d.Past); n > AddressPastMax {
		return fault.New(fault.QuotaSpent, "subscribe", name, "events wait since before %d address filters were taken away: ack them, or rewind past them, before the next", n-1)
	}
	return nil
}

// forgetPast leaves out the address filters that no record of a frame from oldest on is held against. Whoever rewinds to before that finds records held
// against what held then.
//
//	past    A (0, 10]      B (10, 90]      set    C (90, …]      D (200, …]
//	              oldest: frame 150        A and B are forgotten; C holds from the first frame on
func (d *subscriptionDocument) forgetPast(oldest uint64) {
	past := d.Past[:0:0]
	for _, p := range d.Past {
		if p.Until >= oldest {
			past = append(past, p)
		}
	}
	if len(past) == len(d.Past) {
		return
	}
	for i := range past {
		if past[i].From < oldest {
			past[i].From = 0
		}
	}
	since, some := slices.Clone(d.Since), false
	for i := range since {
		if since[i] < oldest {
			since[i] = 0
		}
		some = some || since[i] != 0
	}
	if d.Since = nil; some {
		d.Since = since
	}
	d.Past = past
}

func (d *subscriptionDocument) forgetWheres(oldest uint64) {
	for len(d.Wheres) > 0 && d.Wheres[0].Until < oldest {
		d.Wheres = d.Wheres[1:]
	}
}

// likeness stands for what subscriptions of one class have in common: their streams and address filters.
type likeness [16]byte

func (d *subscriptionDocument) like() likeness {
	streams := map[string]record.StreamID{}
	for i, s := range d.Streams {
		streams[s] = d.StreamIDs[i]
	}
	p, err := json.Marshal(struct {
		Streams map[string]record.StreamID
		Address []AddressFilter
	}{streams, d.Address})
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	h := sha256.Sum256(p)
	return likeness(h[:16])
}

// clausesOf calls fn for the clauses of an address filter: one for each stream that it is for.
func (d *subscriptionDocument) clausesOf(f *AddressFilter, fn func(address.Clause) error) error {
	for k, id := range d.StreamIDs {
		if f.Stream != "" && f.Stream != d.Streams[k] {
			continue
		}
		if err := fn(address.Clause{Stream: id, Subject: f.Subject, Key: f.Key, Type: f.Type, Headers: f.Headers, Any: f.Any}); err != nil {
			return err
		}
	}
	return nil
}

// span is for records of which frames an address filter holds: of those after from, up to until.
type span struct{ from, until uint64 }

// clauseIndex is all address filters of a subscription, also those of before. They are numbered as spans is.
type clauseIndex struct {
	index *address.Index
	spans []span
}

// compileClauses makes the index of a document's address filters.
func (d *subscriptionDocument) compileClauses() (*clauseIndex, error) {
	c := &clauseIndex{index: address.New()}
	var failed error
	add := func(f *AddressFilter, s span) {
		id := address.ID(len(c.spans))
		c.spans = append(c.spans, s)
		err := d.clausesOf(f, func(k address.Clause) error {
			next, err := c.index.Add(id, k)
			if err == nil {
				c.index = next
			}
			return err
		})
		if err != nil && !fault.Is(err, fault.Exists) {
			failed = err
		}
	}
	for i := range d.Address {
		add(&d.Address[i], span{d.since(i), fromNow})
	}
	for i := range d.Past {
		add(&d.Past[i].AddressFilter, span{d.Past[i].From, d.Past[i].Until})
	}
	return c, failed
}

// clauses is the index of the address filters. It is made when somebody asks: records whose routes are known need none.
func (x *subscribed) clauses() *clauseIndex {
	if c := x.lazy.Load(); c != nil {
		return c
	}
	c, _ := x.doc.compileClauses() // what could not be read was told of when the subscription was taken in
	x.lazy.CompareAndSwap(nil, c)
	return x.lazy.Load()
}

// reaches reports whether an address filter of a subscription holds for the record that was set up in k.rec, of a frame.
func (k *matching) reaches(x *subscribed, seq uint64) bool {
	c := x.clauses()
	if !k.m.Match(c.index, &k.rec) {
		return false
	}
	return slices.ContainsFunc(k.m.IDs(), func(id address.ID) bool { s := c.spans[id]; return s.from < seq && seq <= s.until })
}

// compiledWhere is a condition on content, for records of frames up to until.
type compiledWhere struct {
	until uint64
	parts []*filter.Predicate // all must hold; none: any content
	none  bool                // it could not be read: no content
}

// compileWheres makes filters of what a document says of content. One that cannot be read lets nothing pass, and is returned as an error.
func (d *subscriptionDocument) compileWheres() (out []compiledWhere, failed error) {
	if d.Where == "" && d.Selector == "" && len(d.Wheres) == 0 {
		return nil, nil
	}
	for _, w := range append(slices.Clip(d.Wheres), pastWhere{d.Where, d.Selector, fromNow}) {
		c := compiledWhere{until: w.Until}
		if err := c.add(w.Where, filter.CompileCEL); err != nil {
			failed = err
		}
		if err := c.add(w.Selector, compileSelector); err != nil {
			failed = err
		}
		out = append(out, c)
	}
	return out, failed
}

// add compiles a condition, if there is one.
func (c *compiledWhere) add(text string, compile func(string) (*filter.Predicate, error)) error {
	if text == "" {
		return nil
	}
	p, err := compile(text)
	if c.none = c.none || err != nil; err == nil {
		c.parts = append(c.parts, p)
	}
	return err
}

// matches says whether all of it holds; an error is no match, and is counted where it came up.
func (c *compiledWhere) matches(x *filter.Extract) bool {
	for _, p := range c.parts {
		if ok, _ := p.Match(x); !ok {
			return false
		}
	}
	return true
}

// failing says which clause an event does not meet, and why where that could not be told; "": it meets them all.
func (c *compiledWhere) failing(x *filter.Extract) (clause, why string) {
	for _, p := range c.parts {
		if clause, why = p.Failing(x); clause != "" {
			return clause, why
		}
	}
	return "", ""
}

// whereAt is the condition on the content of records of a frame; nil: any.
func (x *subscribed) whereAt(seq uint64) *compiledWhere {
	for i := range x.wheres {
		if w := &x.wheres[i]; seq <= w.until {
			if len(w.parts) == 0 && !w.none {
				return nil
			}
			return w
		}
	}
	return nil
}

// checkFilters refuses filters that cannot be, and those that would make each append to their stream too costly. Those that were there before
// are not looked at again. index is that of the shard.
func (d *subscriptionDocument) checkFilters(old *subscribed, index *address.Index) error {
	before := func(*AddressFilter) int { return -1 }
	if old != nil {
		before = placesOf(old.doc.Address)
	}
	for i := range d.Address {
		f := &d.Address[i]
		if before(f) >= 0 {
			continue
		}
		if f.Stream != "" && !slices.Contains(d.Streams, f.Stream) {
			return fault.New(fault.Invalid, "subscribe", "address", "the subscription does not read stream %q", f.Stream)
		}
		err := d.clausesOf(f, func(c address.Clause) error {
			next, err := index.Add(0, c) // to see what would be
			if fault.Is(err, fault.Exists) {
				return nil
			}
			if err != nil {
				return err
			}
			if n := next.Wild(c.Stream); n > address.WildMax && n > index.Wild(c.Stream) {
				return fault.New(fault.QuotaSpent, "subscribe", "address",
					"the patterns for one stream have %d places where words follow a wildcard, which each append walks through; the limit is %d", n, address.WildMax)
			}
			index = next
			return nil
		})
		if err != nil {
			return err
		}
	}
	if d.Where != "" && (old == nil || old.doc.Where != d.Where) {
		if _, err := filter.CompileCEL(d.Where); err != nil {
			return err
		}
	}
	if d.Selector != "" && (old == nil || old.doc.Selector != d.Selector) {
		if _, err := compileSelector(d.Selector); err != nil {
			return err
		}
	}
	return nil
}
