package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// priced is an event with a header and its type.
func priced(stream, name, kind, value, data string) broker.EventEntry {
	e := event(stream, "", data)
	e.Record.Headers = []record.Header{{Key: "v-" + name, Value: []byte(value)}, {Key: "t-" + name, Value: []byte(kind)}}
	return e
}

func policy(stream, text string) broker.StreamPolicy {
	return broker.StreamPolicy{Stream: stream, Policy: text, Values: "v-", Types: "t-"}
}

// Each stream has a condition of its own, and a stream without one is read whole.
func TestPolicies_OneForEachStream(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, s := range []string{"own", "prices", "docs", "off"} {
			h.create(s, broker.StreamConfig{})
		}
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Policies = []broker.StreamPolicy{
				policy("prices", `{"price":[{"numeric":[">",5]}]}`),
				{Stream: "docs", Policy: `{"a":{"b":["x"]}}`, Data: true},
				{Stream: "off", Nothing: true},
			}
		}, "own", "prices", "docs", "off")
		h.mustAppend(event("own", "", "own"))
		h.mustAppend(priced("prices", "price", "Number", "9.5", "dear"))
		h.mustAppend(priced("prices", "price", "Number", "5", "cheap"))
		h.mustAppend(priced("prices", "price", "String", "9.5", "text"))
		h.mustAppend(event("docs", "", `{"a":{"b":"x"}}`))
		h.mustAppend(event("docs", "", `{"a":{"b":"y"}}`))
		h.mustAppend(event("off", "", "off"))
		ds := h.receive("w", 3)
		got := map[string]bool{}
		for _, p := range payloads(ds) {
			got[p] = true
		}
		if !got["own"] || !got["dear"] || !got[`{"a":{"b":"x"}}`] {
			t.Fatal(payloads(ds))
		}
		h.nothing("w")
		h.ack(ds...)
		if i := h.standing("w"); i.Waiting != 0 || i.Skipped != 4 || i.Acked != 3 {
			t.Fatalf("%+v", i)
		}
	})
}

// What was appended before a change is held against the policy of its time, also after a restart; for what is rewound to before the oldest policy that
// is remembered, that one counts.
func TestPolicies_CountFromTheChangeOn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		set := func(p ...broker.StreamPolicy) {
			h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.Policies = p }, "s")
		}
		step := 0
		send := func() {
			for _, v := range []string{"a", "b"} {
				h.mustAppend(priced("s", "k", "String", v, fmt.Sprint(v, step)))
			}
			step++
		}
		set()
		send() // a0 b0
		set(policy("s", `{"k":["a"]}`))
		send() // a1
		set(policy("s", `{"k":["b"]}`))
		send() // b2
		set(broker.StreamPolicy{Stream: "s", Nothing: true})
		send()
		set()
		send() // a4 b4
		h.restart()
		want := "a0 b0 a1 b2 a4 b4"
		ds := h.receive("w", 6)
		if got := strings.Join(payloads(ds), " "); got != want {
			t.Fatal(got)
		}
		h.nothing("w")
		h.ack(ds...)
		set(policy("s", `{"k":["a"]}`)) // nothing waits: those of before are forgotten
		set(policy("s", `{"k":["b"]}`))
		send() // b5
		if got := payloads(h.receive("w", 1)); got[0] != "b5" {
			t.Fatal(got)
		}
		h.nothing("w")
	})
}

func TestPolicies_Refusals(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{})
	put := func(p ...broker.StreamPolicy) error {
		_, err := h.b.PutSubscription(context.Background(), h.c, "w", func(c *broker.SubscriptionConfig) error {
			c.Streams, c.Policies = []string{"s"}, p
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0)
		return err
	}
	many := make([]broker.StreamPolicy, broker.PoliciesMax+1)
	for name, c := range map[string]struct {
		kind fault.Kind
		p    []broker.StreamPolicy
	}{
		"a stream that is not read": {fault.Invalid, []broker.StreamPolicy{policy("x", `{"k":["a"]}`)}},
		"two for one":               {fault.Invalid, []broker.StreamPolicy{policy("s", `{"k":["a"]}`), policy("s", `{"k":["b"]}`)}},
		"a delay":                   {fault.Invalid, []broker.StreamPolicy{{Stream: "s", DelayMS: -1}}},
		"no JSON":                   {fault.Invalid, []broker.StreamPolicy{policy("s", `{`)}},
		"nothing and something":     {fault.Invalid, []broker.StreamPolicy{{Stream: "s", Nothing: true, Policy: `{"k":["a"]}`}}},
		"a long prefix":             {fault.TooLarge, []broker.StreamPolicy{{Stream: "s", Policy: `{"k":["a"]}`, Values: strings.Repeat("x", 129)}}},
		"too many":                  {fault.TooLarge, many},
	} {
		if err := put(c.p...); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := put(policy("s", `{"k":["a"]}`)); err != nil {
		t.Fatal(err)
	}
}

// A record waits while the policy is changed more often than is remembered.
func TestPolicies_ChangesAreBounded(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{})
	change := func(i int) error {
		_, err := h.b.PutSubscription(context.Background(), h.c, "w", func(c *broker.SubscriptionConfig) error {
			c.Streams, c.Policies = []string{"s"}, []broker.StreamPolicy{policy("s", fmt.Sprintf(`{"k":[%d]}`, i))}
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0)
		return err
	}
	if err := change(0); err != nil {
		t.Fatal(err)
	}
	h.mustAppend(priced("s", "k", "Number", "0", "x"))
	for i := range broker.PolicyWaitsMax {
		if err := change(i + 1); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := change(-1); !fault.Is(err, fault.QuotaSpent) {
		t.Fatal(err)
	}
	h.ack(h.receive("w", 1)...)
	if err := change(-1); err != nil {
		t.Fatal(err)
	}
}

// Events of one stream wait, those of the other do not; the delay survives a restart.
func TestPolicies_DelayOfAStream(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("own", broker.StreamConfig{})
		h.create("late", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) {
			c.Policies = []broker.StreamPolicy{{Stream: "late", DelayMS: 60_000}}
		}, "own", "late")
		h.mustAppend(event("late", "", "late"))
		h.mustAppend(event("own", "", "own"))
		ds := h.receive("w", 1)
		if got := payloads(ds); got[0] != "own" {
			t.Fatal(got)
		}
		h.ack(ds...)
		h.nothing("w")
		if i := h.standing("w"); i.Delayed != 1 {
			t.Fatalf("%+v", i)
		}
		h.restart()
		h.nothing("w")
		h.clock.Advance(61 * time.Second)
		ds = h.receive("w", 1)
		if got := payloads(ds); got[0] != "late" {
			t.Fatal(got)
		}
		h.ack(ds...)
	})
}
