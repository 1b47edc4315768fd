package broker_test

import (
	"context"
	"testing"

	"leat/broker"
	"leat/broker/fault"
)

// Names of the platform's own subscriptions are not given away, whoever asks; what the platform has made can be changed.
func TestSubscribe_NamesOfThePlatform(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	h.create("s", broker.StreamConfig{})
	put := func(c *broker.Caller, name string) error {
		_, err := h.b.PutSubscription(context.Background(), c, name, func(c *broker.SubscriptionConfig) error {
			c.Streams = []string{"s"}
			c.Policy.Kind = broker.SubscriptionDelivery
			return nil
		}, broker.Start{Kind: broker.StartLatest}, 0)
		return err
	}
	for _, c := range []*broker.Caller{h.c, h.b.OwnCallerFor(h.c), h.b.OwnCaller("")} {
		for _, name := range []string{"leat.", "leat.quarantine", "leat.mine"} {
			if err := put(c, name); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, name := range []string{"leat", "leather", "a.leat.b"} {
		if err := put(h.c, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
