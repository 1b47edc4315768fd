package broker

import (
	"slices"

	"leat/broker/fault"
	"leat/broker/filter"
	"leat/broker/record"
	"leat/broker/subscription"
)

// Limits of the policies of a subscription. All of them and those that records still wait from are in one document, whose size is bounded too.
const (
	PoliciesMax     = 200 // streams with a policy
	PolicyWaitsMax  = 100 // policies of before that records wait from
	policyFieldsMax = 128 // bytes of a prefix
)

// StreamPolicy is a condition on the content of the events of one stream, in the language of filter policies; see filter.CompilePolicy. Events for
// which it does not hold are passed over, as with Where. It holds for what is appended from the change on that sets it, each stream for itself.
type StreamPolicy struct {
	Stream  string `json:"stream"`            // one of the subscription's
	Policy  string `json:"policy,omitempty"`  // JSON; "" lets every event pass
	Nothing bool   `json:"nothing,omitempty"` // no event of the stream is for the subscription; Policy is empty
	Data    bool   `json:"data,omitempty"`    // the policy speaks of members of the data; else of headers
	Values  string `json:"values,omitempty"`  // prefix of the names of headers with values, with
	Types   string `json:"types,omitempty"`   // that of headers with their types; see filter.Typed. Without both, headers are text

	DelayMS int64 `json:"delay_ms,omitempty"` // events of the stream wait so long after their append

	From uint64 `json:"from,omitempty"` // the frame that set it: the broker says
}

// policyVersion is a policy that held for records of frames after From, and of Until at last.
type policyVersion struct {
	StreamPolicy
	Until uint64 `json:"until"`
}

// compiledPolicy is what holds for some frames of a stream.
type compiledPolicy struct {
	from, until uint64
	predicate   *filter.Predicate // nil: nothing matches, or
	all         bool              // everything does
	delayMS     int64
}

func (p *StreamPolicy) same(q *StreamPolicy) bool {
	a, b := *p, *q
	a.From, b.From = 0, 0
	return a == b
}

func (p *StreamPolicy) compile() (*filter.Predicate, error) {
	if p.Nothing || p.Policy == "" {
		return nil, nil
	}
	scope := filter.PolicyScope{Data: p.Data}
	if p.Values != "" {
		scope.Decode = filter.Typed(p.Values, p.Types)
	}
	return filter.CompilePolicy([]byte(p.Policy), scope)
}

// checkPolicies refuses policies that cannot be, and says from and until when those that were changed hold. was are those of before.
//
//	frames      … 10        90        200 …
//	policy      none    A        B          A (10, 90], B (90, …): a record of frame 90 is held against A
//
// That of a stream which the subscription reads only from now on holds for all that is in the stream. read is how many it read before.
func (d *subscriptionDocument) checkPolicies(was []StreamPolicy, read int) error {
	if len(d.Policies) > PoliciesMax {
		return fault.New(fault.TooLarge, "subscribe", "policies", "%d policies; the limit is %d", len(d.Policies), PoliciesMax)
	}
	for i := range d.Policies {
		p := &d.Policies[i]
		before := slices.IndexFunc(was, func(q StreamPolicy) bool { return q.Stream == p.Stream })
		if p.From = fromNow; before >= 0 && was[before].same(p) {
			p.From = was[before].From
			continue
		}
		switch {
		case !slices.Contains(d.Streams, p.Stream):
			return fault.New(fault.Invalid, "subscribe", "policies", "the subscription does not read stream %q", p.Stream)
		case slices.ContainsFunc(d.Policies[:i], func(q StreamPolicy) bool { return q.Stream == p.Stream }):
			return fault.New(fault.Invalid, "subscribe", "policies", "stream %q has two policies", p.Stream)
		case p.DelayMS < 0 || p.DelayMS > subscription.DelayLimitMS:
			return fault.New(fault.Invalid, "subscribe", "policies", "a delay is %d ms; it must be from 0 to %d", p.DelayMS, subscription.DelayLimitMS)
		case p.Nothing && p.Policy != "":
			return fault.New(fault.Invalid, "subscribe", "policies", "a policy is given where nothing is to match")
		case len(p.Values) > policyFieldsMax || len(p.Types) > policyFieldsMax:
			return fault.New(fault.TooLarge, "subscribe", "policies", "a prefix has at most %d bytes", policyFieldsMax)
		}
		if _, err := p.compile(); err != nil {
			return err
		}
		if slices.Index(d.Streams, p.Stream) >= read {
			p.From = 0
		}
	}
	d.PoliciesOf = slices.Clone(d.PoliciesOf)
	for _, p := range was {
		if !slices.ContainsFunc(d.Policies, func(q StreamPolicy) bool { return q.Stream == p.Stream && q.same(&p) }) {
			d.PoliciesOf = append(d.PoliciesOf, policyVersion{p, fromNow})
		}
	}
	return nil
}

// datePolicies says which frame the changes were in.
func (d *subscriptionDocument) datePolicies(seq uint64) {
	for i := range d.Policies {
		if d.Policies[i].From == fromNow {
			d.Policies[i].From = seq
		}
	}
	for i := range d.PoliciesOf {
		if d.PoliciesOf[i].Until == fromNow {
			d.PoliciesOf[i].Until = seq
		}
	}
}

// forgetPolicies leaves out policies that no waiting record is held against any more; oldest is the frame of the oldest that waits. What is rewound
// to before that is held against the oldest policy that is left.
func (d *subscriptionDocument) forgetPolicies(oldest uint64) {
	follow := func(p *StreamPolicy, gone *policyVersion) bool {
		return p.Stream == gone.Stream && p.From == gone.Until
	}
	d.PoliciesOf = slices.Clone(d.PoliciesOf)
	for i := 0; i < len(d.PoliciesOf); {
		gone := d.PoliciesOf[i]
		if gone.Until >= oldest {
			i++
			continue
		}
		d.PoliciesOf = slices.Delete(d.PoliciesOf, i, i+1)
		for k := range d.PoliciesOf {
			if p := &d.PoliciesOf[k].StreamPolicy; follow(p, &gone) {
				p.From = gone.From
			}
		}
		for k := range d.Policies {
			if p := &d.Policies[k]; follow(p, &gone) {
				p.From = gone.From
			}
		}
	}
}

// compilePolicies makes predicates of what a document says, by stream. One that cannot be read lets nothing pass, and is returned as an error.
func (d *subscriptionDocument) compilePolicies() (map[record.StreamID][]compiledPolicy, error) {
	if len(d.Policies)+len(d.PoliciesOf) == 0 {
		return nil, nil
	}
	out, failed := map[record.StreamID][]compiledPolicy{}, error(nil)
	add := func(p *StreamPolicy, until uint64) {
		i := slices.Index(d.Streams, p.Stream)
		if i < 0 {
			return // taken away since
		}
		predicate, err := p.compile()
		if err != nil {
			failed = err
		}
		out[d.StreamIDs[i]] = append(out[d.StreamIDs[i]], compiledPolicy{p.From, until, predicate, p.Policy == "" && !p.Nothing, p.DelayMS})
	}
	for i := range d.PoliciesOf {
		add(&d.PoliciesOf[i].StreamPolicy, d.PoliciesOf[i].Until)
	}
	for i := range d.Policies {
		add(&d.Policies[i], fromNow)
	}
	return out, failed
}

// policyAt is the policy for a record of a frame; some is false where any record is wanted.
func (x *subscribed) policyAt(id record.StreamID, seq uint64) (p *filter.Predicate, some bool) {
	for i := range x.policies[id] {
		if v := &x.policies[id][i]; v.from < seq && seq <= v.until {
			return v.predicate, !v.all
		}
	}
	return nil, false
}

// delay has a record of a frame wait as the policy of its stream says.
func (x *subscribed) delay(m *subscription.Meta, id record.StreamID, seq uint64) {
	for i := range x.policies[id] {
		if v := &x.policies[id][i]; v.from < seq && seq <= v.until && v.delayMS > 0 {
			m.DueMS = max(m.DueMS, m.AppendedMS+v.delayMS)
		}
	}
}
