package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// all is what a watch sees, as text.
func seen(w *broker.SubscriptionWatch) string {
	var b strings.Builder
	for _, s := range w.All() {
		fmt.Fprintf(&b, "%s=%s ", s.Name, s.Config.Documents["push"])
	}
	return strings.TrimSpace(b.String())
}

func fires(t *testing.T, w *broker.SubscriptionWatch, want bool) {
	t.Helper()
	select {
	case <-w.Changed():
		if !want {
			t.Fatal("it is told of what is nothing to it")
		}
	default:
		if want {
			t.Fatal("it is not told")
		}
	}
}

func TestWatchSubscriptions_FollowsThoseWithTheDocument(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		document := func(text string) func(*broker.SubscriptionConfig) {
			return func(c *broker.SubscriptionConfig) { c.Documents = map[string]string{"push": text, "other": "kept"} }
		}
		h.create("s", broker.StreamConfig{})
		h.subscribe("a", broker.StartLatest, document("1"), "s")
		w := h.b.WatchSubscriptions("push")
		if got := seen(w); got != "a=1" {
			t.Fatal(got)
		}
		fires(t, w, true) // of what was there already
		h.subscribe("none", broker.StartLatest, nil, "s")
		fires(t, w, false)
		b := h.subscribe("b", broker.StartLatest, document("2"), "s")
		fires(t, w, true)
		edit := func(text string, err error) func(string) (string, error) {
			return func(string) (string, error) { return text, err }
		}
		if err := h.b.SetOwnDocument(ctx, b.Namespace, "b", b.ID, "push", edit("3", nil)); err != nil {
			t.Fatal(err)
		}
		fires(t, w, true)
		if got := seen(w); got != "a=1 b=3" {
			t.Fatal(got)
		}
		broken := errors.New("no")
		if err := h.b.SetOwnDocument(ctx, b.Namespace, "b", b.ID, "push", edit("", broken)); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err := h.b.SetOwnDocument(ctx, b.Namespace, "b", b.ID+100, "push", edit("4", nil)); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if err := h.b.SetOwnDocument(ctx, b.Namespace, "b", b.ID, "push", edit("", nil)); err != nil {
			t.Fatal(err)
		}
		info, err := h.b.DescribeSubscription(ctx, h.c, "b")
		if got := seen(w); got != "a=1" || err != nil || info.Config.Documents["other"] != "kept" {
			t.Fatal(got, err, info.Config.Documents)
		}
		if err := h.b.DeleteSubscription(ctx, h.c, "a"); err != nil {
			t.Fatal(err)
		}
		fires(t, w, true)
		if got := seen(w); got != "" {
			t.Fatal(got)
		}
	})
}

// Why a delivery failed stands in its letter, and in no other; a letter that dies once more has the later reason alone.
func TestBecause_IsInTheLetter(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("dead", broker.StreamConfig{})
		h.create("deader", broker.StreamConfig{})
		h.subscribe("w", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters = "dead" }, "s")
		h.subscribe("again", broker.StartLatest, func(c *broker.SubscriptionConfig) { c.DeadLetters = "deader" }, "dead")
		h.send("s", batch(t, -1, -1, -1, "1", "2"))
		ds := h.receive("w", 2)
		h.b.Because(ds[0].Handle, []record.Header{{Key: broker.HeaderDeadStatus, Value: []byte("500")}, {Key: broker.HeaderDeadAnswer, Value: []byte("oh")}})
		h.reject(ds...)
		letters := h.receive("again", 2)
		for _, d := range letters {
			status, ok := d.Record.Header(broker.HeaderDeadStatus)
			if first := string(d.Record.Value) == "1"; ok != first || first && string(status) != "500" {
				t.Errorf("%s has %q", d.Record.Value, status)
			}
		}
		h.reject(letters...)
		for _, d := range h.all("deader") {
			if v, ok := d.Record.Header(broker.HeaderDeadStatus); ok {
				t.Errorf("%s still has %q", d.Record.Value, v)
			}
		}
	})
}
