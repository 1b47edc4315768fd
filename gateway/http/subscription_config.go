package http

import (
	"encoding/json"
	"strconv"
	"strings"

	"leat/broker"
	"leat/broker/filter/address"
)

// subscriptionConfigJSON is what can be set about a subscription, in JSON. What is left out stays as it is; in a new one it gets its default.
type subscriptionConfigJSON struct {
	Streams     *[]string          `json:"streams,omitempty"`
	Kind        *string            `json:"kind,omitempty"`
	ShadowOf    *string            `json:"shadow_of,omitempty"`
	Order       *string            `json:"order,omitempty"`
	Members     *string            `json:"members,omitempty"`
	Routed      *bool              `json:"routed,omitempty"`
	Address     *[]addressJSON     `json:"address,omitempty"`
	Where       *string            `json:"where,omitempty"`
	Selector    *string            `json:"selector,omitempty"` // as where, in SQL-92
	Marks       *bool              `json:"marks,omitempty"`
	DeadLetters *string            `json:"dead_letters,omitempty"`
	DeadSubject optional           `json:"dead_subject,omitzero"` // of dead letters; null: that of the event
	DeadKey     optional           `json:"dead_key,omitzero"`
	Suspended   *bool              `json:"suspended,omitempty"`
	Volatile    *bool              `json:"volatile,omitempty"`
	Yields      *bool              `json:"yields,omitempty"`    // a cursor's: retention does not wait for it
	Expires     *bool              `json:"event_ttl,omitempty"` // events have times to live of their own
	Documents   *map[string]string `json:"documents,omitempty"`
	Overflow    *string            `json:"overflow,omitempty"`
	Push        json.RawMessage    `json:"push,omitempty"` // see push.go; null takes it away

	LeaseMS       *int64 `json:"lease_ms,omitempty"`
	AttemptsMax   *int32 `json:"max_attempts,omitempty"`
	BackoffMS     *int64 `json:"backoff_ms,omitempty"`
	BackoffMaxMS  *int64 `json:"backoff_max_ms,omitempty"`
	JitterPercent *int32 `json:"jitter_percent,omitempty"`
	DelayMS       *int64 `json:"delay_ms,omitempty"`
	TTLMS         *int64 `json:"ttl_ms,omitempty"`
	Priorities    *int32 `json:"priorities,omitempty"`
	UnackedMax    *int32 `json:"max_unacked,omitempty"`
	RunMax        *int32 `json:"max_run,omitempty"`
	LengthMax     *int64 `json:"max_length,omitempty"`
	BytesMax      *int64 `json:"max_bytes,omitempty"`
	BacklogMax    *int64 `json:"backlog_limit,omitempty"`
}

// addressJSON is one way for an event to reach a subscription: all that it says must hold.
type addressJSON struct {
	Stream  string       `json:"stream,omitempty"`
	Subject *patternJSON `json:"subject,omitempty"`
	Key     *patternJSON `json:"key,omitempty"`
	Type    *patternJSON `json:"type,omitempty"`
	Headers []headerJSON `json:"headers,omitempty"`
	Any     bool         `json:"any,omitempty"` // one of the headers is enough
}

// patternJSON is a condition on text; one of its members is given.
type patternJSON struct {
	Exact  *string `json:"exact,omitempty"`
	Prefix *string `json:"prefix,omitempty"`
	Words  *string `json:"words,omitempty"`  // between dots: * is one, # any number
	Levels *string `json:"levels,omitempty"` // between slashes: + is one, # at the end any number
}

type headerJSON struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"` // left out: any value will do
}

// Words for what the broker has numbers for; the first is the default.
var (
	kindWords     = []word{{uint8(broker.SubscriptionDelivery), "delivery"}, {uint8(broker.SubscriptionCursor), "cursor"}}
	orderWords    = []word{{uint8(broker.OrderNone), "none"}, {uint8(broker.OrderKey), "key"}, {uint8(broker.OrderTotal), "total"}}
	memberWords   = []word{{uint8(broker.MembersShared), "shared"}, {uint8(broker.MembersExclusive), "exclusive"}, {uint8(broker.MembersSingleActive), "single_active"}}
	overflowWords = []word{{uint8(broker.OverflowDropHead), "drop_head"}, {uint8(broker.OverflowRejectAppend), "reject_append"}}
)

type word struct {
	n    uint8
	text string
}

func wordOf(words []word, n uint8) string {
	for _, w := range words {
		if w.n == n {
			return w.text
		}
	}
	return ""
}

// setWord sets to to the number of what was said.
func setWord[T ~uint8](to *T, said *string, member string, words []word) error {
	if said == nil {
		return nil
	}
	known := make([]string, 0, len(words))
	for _, w := range words {
		if w.text == *said {
			*to = T(w.n)
			return nil
		}
		known = append(known, w.text)
	}
	return wrong("subscribe", member, "%s is %q; it is one of %s", member, clip(*said), strings.Join(known, ", ")).at("/" + member)
}

// optional is text, or null for none; or nothing was said.
type optional struct {
	given bool
	text  *string
}

func (o *optional) UnmarshalJSON(p []byte) error {
	o.given = true
	return json.Unmarshal(p, &o.text)
}

func (o optional) MarshalJSON() ([]byte, error) { return json.Marshal(o.text) }

func (o optional) IsZero() bool { return !o.given }

func (o *optional) set(to **string) {
	if o.given {
		*to = o.text
	}
}

func set[T any](to, said *T) {
	if said != nil {
		*to = *said
	}
}

// change makes the changes.
func (j *subscriptionConfigJSON) change(c *broker.SubscriptionConfig) error {
	p := &c.Policy
	for _, err := range []error{
		setWord(&p.Kind, j.Kind, "kind", kindWords), setWord(&p.Order, j.Order, "order", orderWords),
		setWord(&p.Members, j.Members, "members", memberWords), setWord(&p.Overflow, j.Overflow, "overflow", overflowWords),
	} {
		if err != nil {
			return err
		}
	}
	set(&c.Streams, j.Streams)
	set(&c.ShadowOf, j.ShadowOf)
	set(&c.Routed, j.Routed)
	set(&c.Where, j.Where)
	set(&c.Selector, j.Selector)
	set(&c.Marks, j.Marks)
	set(&c.DeadLetters, j.DeadLetters)
	j.DeadSubject.set(&c.DeadSubject)
	j.DeadKey.set(&c.DeadKey)
	if j.Documents != nil {
		c.Documents = keepPush(*j.Documents, c.Documents)
	}
	set(&p.Suspended, j.Suspended)
	set(&p.Volatile, j.Volatile)
	set(&p.Yields, j.Yields)
	set(&p.Expires, j.Expires)
	set(&p.LeaseMS, j.LeaseMS)
	set(&p.AttemptsMax, j.AttemptsMax)
	set(&p.BackoffMS, j.BackoffMS)
	set(&p.BackoffMaxMS, j.BackoffMaxMS)
	set(&p.JitterPercent, j.JitterPercent)
	set(&p.DelayMS, j.DelayMS)
	set(&p.TTLMS, j.TTLMS)
	set(&p.Priorities, j.Priorities)
	set(&p.UnackedMax, j.UnackedMax)
	set(&p.RunMax, j.RunMax)
	set(&p.LengthMax, j.LengthMax)
	set(&p.BytesMax, j.BytesMax)
	set(&p.BacklogMax, j.BacklogMax)
	if j.Address == nil {
		return nil
	}
	c.Address = make([]broker.AddressFilter, len(*j.Address))
	for i := range *j.Address {
		if err := (*j.Address)[i].filter(&c.Address[i], "/address/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// filter reads an address filter that stands at a place of the body.
func (a *addressJSON) filter(f *broker.AddressFilter, at string) error {
	f.Stream, f.Any = a.Stream, a.Any
	for _, m := range []struct {
		name string
		said *patternJSON
		to   *address.Pattern
	}{{"subject", a.Subject, &f.Subject}, {"key", a.Key, &f.Key}, {"type", a.Type, &f.Type}} {
		if m.said == nil {
			continue
		}
		given := 0
		for syntax, text := range map[address.Syntax]*string{
			address.Exact: m.said.Exact, address.Prefix: m.said.Prefix, address.Words: m.said.Words, address.Levels: m.said.Levels,
		} {
			if text != nil {
				*m.to = address.Pattern{Syntax: syntax, Text: *text}
				given++
			}
		}
		if given != 1 {
			return wrong("subscribe", m.name, `a pattern has one of "exact", "prefix", "words" and "levels"`).at(at + "/" + m.name)
		}
	}
	for i, h := range a.Headers {
		if h.Name == "" {
			return wrong("subscribe", "headers", "a header that is asked for needs a name").at(at + "/headers/" + strconv.Itoa(i) + "/name")
		}
		t := address.HeaderTest{Name: h.Name, Present: h.Value == nil}
		if h.Value != nil {
			t.Value = *h.Value
		}
		f.Headers = append(f.Headers, t)
	}
	return nil
}

// subscriptionConfig is all that is set, in JSON: what can be PUT again.
func subscriptionConfig(c *broker.SubscriptionConfig) subscriptionConfigJSON {
	p := c.Policy
	order := wordOf(orderWords, uint8(p.Order))
	members, overflow := wordOf(memberWords, uint8(p.Members)), wordOf(overflowWords, uint8(p.Overflow))
	kind := wordOf(kindWords, uint8(p.Kind))
	if p.Kind == broker.SubscriptionCursor {
		return subscriptionConfigJSON{Kind: &kind, Streams: &c.Streams, BacklogMax: &p.BacklogMax, Yields: &p.Yields}
	}
	j := subscriptionConfigJSON{
		Kind: &kind, Streams: &c.Streams, Order: &order, Members: &members, Routed: &c.Routed, Where: &c.Where, DeadLetters: &c.DeadLetters,
		DeadSubject: optional{c.DeadSubject != nil, c.DeadSubject}, DeadKey: optional{c.DeadKey != nil, c.DeadKey},
		Suspended: &p.Suspended, Volatile: &p.Volatile, Expires: &p.Expires, Overflow: &overflow,
		LeaseMS: &p.LeaseMS, AttemptsMax: &p.AttemptsMax, BackoffMS: &p.BackoffMS, BackoffMaxMS: &p.BackoffMaxMS, JitterPercent: &p.JitterPercent,
		DelayMS: &p.DelayMS, TTLMS: &p.TTLMS, Priorities: &p.Priorities, UnackedMax: &p.UnackedMax, RunMax: &p.RunMax,
		LengthMax: &p.LengthMax, BytesMax: &p.BytesMax, BacklogMax: &p.BacklogMax,
	}
	if c.ShadowOf != "" {
		j.Streams = nil
		j.ShadowOf = &c.ShadowOf
	}
	if c.Marks {
		j.Marks = &c.Marks
	}
	if c.Selector != "" {
		j.Selector = &c.Selector
	}
	if docs := keepPush(c.Documents, nil); len(docs) > 0 {
		j.Documents = &docs
	}
	j.Push = shownPush(c)
	if c.Routed {
		list := make([]addressJSON, len(c.Address))
		for i := range c.Address {
			list[i] = addressOf(&c.Address[i])
		}
		j.Address = &list
	}
	return j
}

func addressOf(f *broker.AddressFilter) addressJSON {
	a := addressJSON{Stream: f.Stream, Any: f.Any, Subject: patternOf(f.Subject), Key: patternOf(f.Key), Type: patternOf(f.Type)}
	for i := range f.Headers {
		h := headerJSON{Name: f.Headers[i].Name}
		if !f.Headers[i].Present {
			h.Value = &f.Headers[i].Value
		}
		a.Headers = append(a.Headers, h)
	}
	return a
}

func patternOf(p address.Pattern) *patternJSON {
	switch p.Syntax {
	case address.Exact:
		return &patternJSON{Exact: &p.Text}
	case address.Prefix:
		return &patternJSON{Prefix: &p.Text}
	case address.Words:
		return &patternJSON{Words: &p.Text}
	case address.Levels:
		return &patternJSON{Levels: &p.Text}
	default:
		return nil
	}
}
