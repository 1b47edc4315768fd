package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

var ctx = context.Background()

func (h *house) keep() {
	h.t.Helper()
	if err := h.b.KeepOnce(ctx); err != nil {
		h.t.Fatal(err)
	}
}

// ends is where a stream's partitions begin and end.
func (h *house) ends(name string) string {
	h.t.Helper()
	info, err := h.b.DescribeStream(ctx, h.c, name)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, p := range info.Partitions {
		out = append(out, fmt.Sprintf("%d-%d", p.Start, p.End))
	}
	return strings.Join(out, " ")
}

func (h *house) wantEnds(name, want string) {
	h.t.Helper()
	if got := h.ends(name); got != want {
		h.t.Fatalf("%s has %s, want %s", name, got, want)
	}
}

func (h *house) wantValues(want string, streams ...string) {
	h.t.Helper()
	if got := strings.Join(h.values(streams...), " "); got != want {
		h.t.Fatalf("got %q, want %q", got, want)
	}
}

func TestRetention_ByTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2, Keep: broker.Keep{RetentionMS: time.Hour.Milliseconds()}})
		h.create("all", broker.StreamConfig{})
		h.mustAppend(event("s", "k", "a"), event("s", "", "b"), event("all", "", "A"))
		h.clock.Advance(40 * time.Minute)
		h.mustAppend(event("s", "k", "c"), event("all", "", "B"))
		h.keep()
		h.wantEnds("s", "0-3 0-0")
		h.clock.Advance(30 * time.Minute)
		h.keep()
		h.wantEnds("s", "2-3 0-0")
		h.wantEnds("all", "0-2")
		h.wantValues("c", "s")

		// What was let go of is so after a restart, too, and after everything was folded anew.
		h.restart()
		h.wantEnds("s", "2-3 0-0")
		h.forget()
		h.wantEnds("s", "2-3 0-0")
		h.wantValues("c", "s")
		r := h.b.Read(ctx, h.c, []broker.Cursor{{Stream: "s", From: 1, BytesMax: 1 << 20}}, 1<<20)
		if f := wantKind(t, errors.Join(r[0].Err), fault.Trimmed); f.Detail != record.Offset(2) {
			t.Errorf("the earliest is %v, want 2", f.Detail)
		}

		// All of it, and appending goes on where it ended.
		h.clock.Advance(time.Hour)
		h.keep()
		h.wantEnds("s", "3-3 0-0")
		if r := h.mustAppend(event("s", "", "d")); r[0].Ref.Offset != 3 {
			t.Errorf("went on at %d", r[0].Ref.Offset)
		}
		h.wantValues("d", "s")
	})
}

func TestRetention_ByBytesKeepsAtLeastSoMany(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		size := int64(len(batch(t, -1, 0, 0, "a", "b")))
		h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionBytes: 3 * size}})
		send := func(n int) {
			for range n {
				if r := h.send("s", batch(t, -1, 0, 0, "a", "b")); r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		send(2)
		h.keep()
		h.wantEnds("s", "0-4")
		send(3)
		h.keep()
		h.wantEnds("s", "4-10")
		h.keep()
		h.wantEnds("s", "4-10")
		// Somebody takes half of a batch: what is left of it counts as a whole, and is what goes next.
		if _, err := h.b.Truncate(ctx, h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartOffset, Offset: 7}}); err != nil {
			t.Fatal(err)
		}
		h.keep()
		h.wantEnds("s", "7-10")
		send(2)
		h.keep()
		h.wantEnds("s", "8-14")
		// Counted anew, it is the same.
		h.restart()
		h.keep()
		h.wantEnds("s", "8-14")
		send(1)
		h.keep()
		h.wantEnds("s", "10-16")
		alter(t, h, "s", func(c *broker.StreamConfig) { c.RetentionBytes = 1 })
		h.keep()
		h.wantEnds("s", "14-16") // the newest stays, however large
		alter(t, h, "s", func(c *broker.StreamConfig) { c.RetentionBytes = 0 })
		send(5)
		h.keep()
		h.wantEnds("s", "14-26")
	})
}

func alter(t testing.TB, h *house, name string, change func(*broker.StreamConfig)) {
	t.Helper()
	if err := tryAlter(h, name, change); err != nil {
		t.Fatal(err)
	}
}

func tryAlter(h *house, name string, change func(*broker.StreamConfig)) error {
	_, err := h.b.AlterStream(ctx, h.c, name, func(c *broker.StreamConfig) error { change(c); return nil }, 0)
	return err
}

func TestRetention_DefaultsByBirth(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		born := map[string]string{"test" + broker.BornSuffix: "1"}
		for name, cfg := range map[string]broker.StreamConfig{
			"native":   {},
			"born":     {Documents: born},
			"forever":  {Documents: born, Keep: broker.Keep{RetentionMS: broker.Forever}},
			"day":      {Documents: born, Keep: broker.Keep{RetentionMS: 86_400_000}},
			"said":     {Documents: map[string]string{"test.born": "1", "test.retention.ms": "-1"}},
			"latest":   {Documents: born, Keys: broker.KeysLatest},
			"immune":   {Documents: born, Keep: broker.Keep{Immutable: true}},
			"internal": {Keep: broker.Keep{RetentionMS: 1}},
		} {
			h.create(name, cfg)
			h.mustAppend(event(name, "k", "v"))
		}
		h.clock.Advance(2 * 24 * time.Hour)
		h.keep()
		check := func(gone ...string) {
			t.Helper()
			for _, name := range []string{"native", "said", "born", "forever", "day", "latest", "immune", "internal"} {
				want := "0-1"
				if slices.Contains(gone, name) {
					want = "1-1"
				}
				h.wantEnds(name, want)
			}
		}
		check("day", "internal")
		h.clock.Advance(6 * 24 * time.Hour)
		h.keep()
		check("day", "internal", "born")
	})
}

// Numbers of streams are those of a shard: what was counted of one is not taken for another's.
func TestRetention_ByBytesOfStreamsWithTheSameNumber(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		size := int64(len(batch(t, -1, 0, 0, "a")))
		in := func(i int) (n int) { // a namespace lies on one shard
			c := *h.c
			c.Namespace = fmt.Sprint("n", i)
			h.c = &c
			return 10 + i%2*40
		}
		const namespaces = 12
		for i := range namespaces {
			n := in(i)
			h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionBytes: 2 * int64(n) * size}})
			for range n {
				if r := h.send("s", batch(t, -1, 0, 0, "a")); r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		for range 3 {
			h.keep()
			for i := range namespaces {
				n := in(i)
				h.wantEnds("s", fmt.Sprintf("0-%d", n))
			}
		}
	})
}

// Streams that keep everything are not looked at, however many there are, and every limited one has its turn.
func TestRetention_ComesToAll(t *testing.T) {
	h := newHouse(t, 3, "acme")
	h.open()
	for i := range 30 {
		cfg := broker.StreamConfig{}
		if i%3 == 0 {
			cfg.RetentionMS = 1
		}
		h.create(fmt.Sprint("s", i), cfg)
		h.mustAppend(event(fmt.Sprint("s", i), "", "v"))
	}
	h.clock.Advance(time.Second)
	h.keep()
	for i := range 30 {
		want := "0-1"
		if i%3 == 0 {
			want = "1-1"
		}
		h.wantEnds(fmt.Sprint("s", i), want)
	}
}

func TestKeep_RefusesWhatContradictsItself(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for field, k := range map[string]broker.Keep{
			"retention_ms":           {RetentionMS: -2},
			"retention_bytes":        {RetentionBytes: -2},
			"compaction_lag_ms":      {CompactionLagMS: -1},
			"compaction_max_lag_ms":  {CompactionLagMS: 2, CompactionMaxLagMS: 1},
			"compaction_tail_ms":     {CompactionTailMS: -1},
			"compaction_tail_bytes":  {CompactionTailBytes: -1},
			"compaction_ratio":       {CompactionRatio: 1.01},
			"tombstone_retention_ms": {TombstoneRetentionMS: 1 << 62},
			"immutable":              {Immutable: true, RetentionMS: 1},
		} {
			_, err := h.b.CreateStream(ctx, h.c, "s", broker.StreamConfig{Keep: k})
			if f := wantKind(t, err, fault.Invalid); f.Subject != field {
				t.Errorf("%+v: about %s, want %s", k, f.Subject, field)
			}
		}
		_, err := h.b.CreateStream(ctx, h.c, "s", broker.StreamConfig{Keys: broker.KeysLatest, Keep: broker.Keep{Immutable: true}})
		wantKind(t, err, fault.Invalid)
	})
}

func TestImmutable_KeepsEverythingForEver(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.mustAppend(event("s", "k", "a"), event("s", "k", "b"))
		alter(t, h, "s", func(c *broker.StreamConfig) { c.Immutable = true })
		_, truncate := h.b.Truncate(ctx, h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartLatest}})
		for what, err := range map[string]error{
			"delete": h.b.DeleteStream(ctx, h.c, "s"), "truncate": truncate,
			"switch off": tryAlter(h, "s", func(c *broker.StreamConfig) { c.Immutable = false }),
		} {
			if f := wantKind(t, err, fault.Conflict); f.Reason != fault.ReasonKept {
				t.Errorf("%s: reason %s", what, f.Reason)
			}
		}
		for _, change := range []func(*broker.StreamConfig){
			func(c *broker.StreamConfig) { c.RetentionMS = 1 }, func(c *broker.StreamConfig) { c.RetentionBytes = 1 }, func(c *broker.StreamConfig) { c.Keys = broker.KeysLatest },
		} {
			wantKind(t, tryAlter(h, "s", change), fault.Invalid)
		}
		alter(t, h, "s", func(c *broker.StreamConfig) { c.Partitions = 2 }) // what removes nothing may be changed
		h.clock.Advance(1000 * 24 * time.Hour)
		h.keep()
		h.wantEnds("s", "0-2 0-0")
	})
}

func TestKeep_OldDirectories(t *testing.T) {
	h := newHouse(t, 1, "")
	h.format = 1
	h.open()
	h.create("s", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1}})
	h.mustAppend(event("s", "k", "a"))
	h.clock.Advance(time.Hour)
	h.keep()
	h.wantEnds("s", "0-1")
	_, err := h.b.Truncate(ctx, h.c, broker.Truncation{Stream: "s", Before: broker.Start{Kind: broker.StartLatest}})
	wantKind(t, err, fault.Unsupported)
	wantKind(t, tryAlter(h, "s", func(c *broker.StreamConfig) { c.Protected = true }), fault.Unsupported)
	if err := h.b.DeleteStream(ctx, h.c, "s"); err != nil { // at once, as it was then
		t.Fatal(err)
	}
	if l, err := h.b.ListDeleted(ctx, h.c); err != nil || len(l) != 0 {
		t.Errorf("deleted: %v, %v", l, err)
	}
	_, err = h.b.UndeleteStream(ctx, h.c, "s", "")
	wantKind(t, err, fault.Unsupported)

	// Finalized, what was set holds.
	h.create("t", broker.StreamConfig{Keep: broker.Keep{RetentionMS: 1}})
	h.mustAppend(event("t", "k", "a"))
	h.format = 2
	h.restart()
	h.clock.Advance(time.Hour)
	h.keep()
	h.wantEnds("t", "1-1")
}

// Where files begin and end is of no consequence: what is kept is the same in the journal, in segment files, and across both.
func TestRetention_AcrossFiles(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		const limit = 30_000
		h.create("s", broker.StreamConfig{})
		h.create("other", broker.StreamConfig{})
		var want []string
		add := func(n int) {
			for range n {
				v := value(fmt.Sprint("v", len(want)))
				want = append(want, v)
				h.mustAppend(event("s", "", v), event("other", "", v))
			}
		}
		// kept checks where the stream begins: its batches have at least so many bytes, and without the first one they have less.
		kept := func(when string, exact bool) {
			t.Helper()
			info, err := h.b.DescribeStream(ctx, h.c, "s")
			if err != nil {
				t.Fatal(err)
			}
			start := info.Partitions[0].Start
			bytes, first := 0, 0
			for at := start; at < info.Partitions[0].End; {
				r := h.b.Read(ctx, h.c, []broker.Cursor{{Stream: "s", From: at, BytesMax: 1 << 20}}, 1<<20)[0]
				if r.Err != nil || len(r.Batches) == 0 {
					t.Fatalf("%s: at %d: %v", when, at, r.Err)
				}
				for _, b := range r.Batches {
					if bytes += len(b.Raw); first == 0 {
						first = len(b.Raw)
					}
					at = b.Next
				}
			}
			if exact && (bytes < limit || bytes-first >= limit) {
				t.Errorf("%s: %d bytes are kept from %d on, the first batch has %d", when, bytes, start, first)
			}
			if got := h.values("s"); !slices.Equal(got, want[start:]) {
				t.Errorf("%s: %d events from %d on, expected %d", when, len(got), start, len(want)-int(start))
			}
		}
		add(300)
		h.moved()
		alter(t, h, "s", func(c *broker.StreamConfig) { c.RetentionBytes = limit })
		h.keep()
		kept("moved", true)
		add(40)
		h.keep()
		kept("with some in the journal", true)
		h.restart()
		h.keep()
		kept("counted anew", true)
		info, _ := h.b.DescribeStream(ctx, h.c, "s")
		h.mustTruncate("s", broker.Start{Kind: broker.StartOffset, Offset: info.Partitions[0].Start + 3})
		add(1)
		h.keep()
		kept("after somebody has taken some", false)
		add(100)
		h.keep()
		kept("with more", true)
		h.clock.Advance(time.Hour)
		add(5)
		alter(t, h, "s", func(c *broker.StreamConfig) { c.RetentionMS = time.Minute.Milliseconds() })
		h.keep()
		kept("by time", false)
		h.wantEnds("s", fmt.Sprintf("%d-%d", len(want)-5, len(want)))
		if got := h.values("other"); !slices.Equal(got, want) {
			t.Errorf("the other stream has %d events, expected %d", len(got), len(want))
		}
	})
}
