package amqp091

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

// Policies give queues arguments by name: of those whose pattern a queue's name matches, the one with the highest priority. Where a queue was declared with
// the same argument, the smaller number counts, and of what is no number its own. They are a document of the stream amqp.default; what
// holds for a queue stands in its own document, and is set anew when policies change.

// Policy is one of a virtual host.
type Policy struct {
	Name       string     `json:"name"`
	Pattern    string     `json:"pattern"` // a regular expression
	ApplyTo    string     `json:"apply_to"`
	Priority   int        `json:"priority,omitempty"`
	Definition wire.Table `json:"definition"` // arguments of queues, without "x-"
}

const documentPolicies = "amqp.policies"

// policiesMax is how many policies a virtual host may have.
const policiesMax = 1000

// queueKinds are the types of queues that apply-to names.
var queueKinds = map[string]string{"all": "", "queues": "", "classic_queues": typeClassic, "quorum_queues": typeQuorum, "streams": typeStream}

// policyKeys are the keys that a definition may have. Those that are false mean nothing on one node.
var policyKeys = map[string]bool{
	"message-ttl": true, "expires": true, "max-length": true, "max-length-bytes": true, "overflow": true, "dead-letter-exchange": true,
	"dead-letter-routing-key": true, "delivery-limit": true, "max-age": true, "queue-mode": false, "queue-version": false, "max-in-memory-length": false,
	"max-in-memory-bytes": false, "dead-letter-strategy": false, "queue-leader-locator": false, "queue-master-locator": false,
	"stream-max-segment-size-bytes": false,
}

func readPolicies(text string) (ps []Policy) {
	if text == "" || json.Unmarshal([]byte(text), &ps) != nil {
		return nil
	}
	return ps
}

// Policies are those of a caller's virtual host, by name.
func (g *Gateway) Policies(c *broker.Caller) []Policy { return g.policies(namespaceOf(c)) }

func (g *Gateway) policies(namespace string) []Policy {
	s, _ := g.b.OwnStream(namespace, defaultStream, documentPolicies)
	return readPolicies(s.Document)
}

// PutPolicy makes or changes a policy, and applies it: what it says holds for all queues when it returns. It takes the right to alter any queue.
func (g *Gateway) PutPolicy(ctx context.Context, c *broker.Caller, p Policy) (made bool, err error) {
	if err := p.check(); err != nil {
		return false, err
	}
	made = true
	err = g.changePolicies(ctx, c, func(ps []Policy) ([]Policy, error) {
		if i := slices.IndexFunc(ps, func(q Policy) bool { return q.Name == p.Name }); i >= 0 {
			made, ps[i] = false, p
			return ps, nil
		}
		if len(ps) >= policiesMax {
			return nil, fault.New(fault.QuotaSpent, "put", "policy", "a virtual host can have %d policies", policiesMax)
		}
		made = true
		return append(ps, p), nil
	})
	return made, err
}

// DeletePolicy deletes a policy; NotFound when there is none.
func (g *Gateway) DeletePolicy(ctx context.Context, c *broker.Caller, name string) error {
	return g.changePolicies(ctx, c, func(ps []Policy) ([]Policy, error) {
		left := slices.DeleteFunc(slices.Clone(ps), func(p Policy) bool { return p.Name == name })
		if len(left) == len(ps) {
			return nil, fault.New(fault.NotFound, "delete", name, "there is no policy %q", name)
		}
		return left, nil
	})
}

func (p *Policy) check() error {
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "put", "policy", "Validation failed\n\n%s", fmt.Sprintf(format, args...))
	}
	if _, err := regexp.Compile(p.Pattern); err != nil {
		return invalid("%q is an invalid regular expression: %s", p.Pattern, err)
	}
	if p.ApplyTo == "" {
		p.ApplyTo = "all"
	}
	if _, is := queueKinds[p.ApplyTo]; !is {
		return invalid("apply-to is one of all, queues, classic_queues, quorum_queues, streams: policies are for queues here; give exchanges their arguments as they are declared")
	}
	n := 0
	args := p.arguments()
	for name, v := range p.Definition.All() {
		n++
		if _, is := policyKeys[string(name)]; !is {
			return invalid("[%s] are not recognised policy settings here: nothing would come of them", name)
		}
		for _, a := range queueArguments {
			if a.name != "x-"+string(name) {
				continue
			}
			if bad := a.check(v, args); bad != "" {
				return invalid("%s: %s", name, bad)
			}
		}
	}
	if n == 0 {
		return invalid("no policy provided")
	}
	return nil
}

// arguments are what the definition gives a queue.
func (p *Policy) arguments() (t wire.Table) {
	for name, v := range p.Definition.All() {
		t, _ = t.Add("x-"+string(name), v) // names of ours are short
	}
	return t
}

// changePolicies edits the policies of a virtual host and gives its queues what follows.
func (g *Gateway) changePolicies(ctx context.Context, c *broker.Caller, edit func([]Policy) ([]Policy, error)) error {
	namespace := namespaceOf(c)
	if !g.b.Allowed(c, broker.ActionAlter, broker.KindSubscription, "*") {
		return fault.New(fault.Denied, "put", "policy", "to change policies takes the right to alter any subscription")
	}
	g.topology.Lock()
	defer g.topology.Unlock()
	if err := g.makeStream(ctx, namespace, "", g.exchangeOf(namespace, "")); err != nil {
		return err
	}
	_, err := g.b.AlterStream(ctx, g.b.OwnCaller(namespace), defaultStream, func(c *broker.StreamConfig) error {
		ps, err := edit(readPolicies(c.Documents[documentPolicies]))
		if err != nil {
			return err
		}
		slices.SortFunc(ps, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
		if c.Documents == nil {
			c.Documents = map[string]string{}
		}
		if delete(c.Documents, documentPolicies); len(ps) > 0 {
			c.Documents[documentPolicies] = document(ps)
		}
		return nil
	}, 0)
	if err != nil {
		return err
	}
	return g.applyPolicies(ctx, namespace)
}

// applyPolicies gives each queue of a virtual host its policy. The topology is held for writing.
func (g *Gateway) applyPolicies(ctx context.Context, namespace string) error {
	set := policySet(g.policies(namespace))
	for _, s := range g.b.OwnSubscriptions(namespace, documentQueue) {
		name := queueNameOf(s.Name, &s.Config)
		was := queueOf(&s.Config)
		now := was
		if set.give(&now, name); now.Policy == was.Policy && sameTable(now.Applied, was.Applied) {
			continue
		}
		_, err := g.b.PutSubscription(ctx, g.b.OwnCaller(namespace), s.Name, func(c *broker.SubscriptionConfig) error {
			if len(c.Streams) == 0 {
				return fault.New(fault.NotFound, "policy", name, "the queue was deleted")
			}
			q := queueOf(c)
			set.give(&q, name)
			c.Documents[documentQueue] = document(&q)
			p := &c.Policy
			p.TTLMS, p.LengthMax, p.BytesMax, p.Overflow, p.AttemptsMax, c.Undertaker = 0, 0, 0, broker.OverflowDropHead, 0, ""
			setPolicy(c, q.Type, q.effective())
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		key := queueKey{namespace, name}
		g.forget(key)
		g.used(key, &now)
	}
	return nil
}

// policySet is policies to look one up in.
type policySet []Policy

// give sets what policy a queue has.
func (ps policySet) give(q *queue, name string) {
	q.Policy, q.Applied = "", nil
	best := (*Policy)(nil)
	for i := range ps {
		p := &ps[i]
		if kind := queueKinds[p.ApplyTo]; kind != "" && kind != q.Type {
			continue
		}
		if re, err := regexp.Compile(p.Pattern); err != nil || !re.MatchString(name) {
			continue
		}
		if best == nil || p.Priority > best.Priority {
			best = p
		}
	}
	if best == nil {
		return
	}
	q.Policy = best.Name
	for name, v := range best.arguments().All() {
		if a := argumentNamed(string(name)); a == nil || strings.Contains(a.types, q.Type[:1]) { // what queues of the type do not take, they are not given
			q.Applied, _ = q.Applied.Add(string(name), v)
		}
	}
}

func argumentNamed(name string) *queueArgument {
	for i := range queueArguments {
		if queueArguments[i].name == name {
			return &queueArguments[i]
		}
	}
	return nil
}

// get is an argument as it holds for a queue.
func (q *queue) get(name string) (wire.Value, bool) {
	own, had := q.Table.Get(name)
	v, has := q.Applied.Get(name)
	switch {
	case !has:
		return own, had
	case !had:
		return v, true
	}
	if n, ok := own.Int(); ok {
		if m, ok := v.Int(); ok && cmp.Less(m, n) {
			return v, true
		}
	}
	return own, true
}

// effective are all arguments as they hold.
func (q *queue) effective() wire.Table {
	if len(q.Applied) == 0 {
		return q.Table
	}
	var t wire.Table
	for _, from := range []wire.Table{q.Table, q.Applied} {
		for name := range from.All() {
			if _, there := t.Get(string(name)); !there {
				v, _ := q.get(string(name))
				t, _ = t.Add(string(name), v) // it was in a table
			}
		}
	}
	return t
}
