package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
)

func (h *house) mustDelete(name string) {
	h.t.Helper()
	if err := h.b.DeleteStream(ctx, h.c, name); err != nil {
		h.t.Fatal(err)
	}
}

// deleted is what can be brought back: names and how long ago they were deleted.
func (h *house) deleted() string {
	h.t.Helper()
	l, err := h.b.ListDeleted(ctx, h.c)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, d := range l {
		out = append(out, fmt.Sprintf("%s-%s", d.Name, h.clock.Now().Sub(d.Deleted)))
	}
	return strings.Join(out, " ")
}

func TestUndelete_BringsEverythingBack(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2, Keys: broker.KeysVersioned, DefaultType: "x.y"})
		r := h.mustAppend(event("s", "k", "a"), event("s", "k", "b"), event("s", "l", "c"))
		h.mustTruncate("s", broker.Start{Kind: broker.StartPosition, Position: r[0].Position})
		h.mustDelete("s")
		_, err := h.b.DescribeStream(ctx, h.c, "s")
		if f := wantKind(t, err, fault.NotFound); !strings.Contains(f.Text, "leat stream undelete s") {
			t.Errorf("does not say how to bring it back: %s", f.Text)
		}
		_, err = h.append(event("s", "k", "z"))
		wantKind(t, err, fault.NotFound)
		h.clock.Advance(23 * time.Hour)
		h.keep()
		h.restart()
		h.forget()
		if got := h.deleted(); got != "s-23h0m0s" {
			t.Fatalf("deleted: %s", got)
		}
		info, err := h.b.UndeleteStream(ctx, h.c, "s", "")
		if err != nil || info.Config.DefaultType != "x.y" || info.Keys != broker.KeysVersioned || info.ID != 1 {
			t.Fatalf("got %+v, %v", info, err)
		}
		h.wantEnds("s", "1-3 0-0")
		h.wantValues("b c", "s")
		if got := h.deleted(); got != "" {
			t.Errorf("still deleted: %s", got)
		}
		if r := h.mustAppend(event("s", "k", "d")); r[0].Version != 3 || r[0].Ref.Offset != 3 {
			t.Errorf("went on with %+v", r[0])
		}
		h.clock.Advance(100 * time.Hour)
		h.keep()
		h.wantValues("b c d", "s")
	})
}

func TestUndelete_TheNameIsFreeMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, v := range []string{"one", "two", "three"} {
			h.create("s", broker.StreamConfig{})
			h.mustAppend(event("s", "", v))
			if v != "three" {
				h.mustDelete("s")
				h.clock.Advance(time.Hour)
			}
		}
		if got := h.deleted(); got != "s-1h0m0s s-2h0m0s" {
			t.Fatalf("deleted: %s", got)
		}
		_, err := h.b.UndeleteStream(ctx, h.c, "s", "")
		wantKind(t, err, fault.Exists)
		_, err = h.b.UndeleteStream(ctx, h.c, "s", "no/name")
		wantKind(t, err, fault.Invalid)
		if _, err := h.b.UndeleteStream(ctx, h.c, "s", "newest"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.UndeleteStream(ctx, h.c, "s", "oldest"); err != nil {
			t.Fatal(err)
		}
		h.wantValues("three", "s")
		h.wantValues("two", "newest")
		h.wantValues("one", "oldest")
		_, err = h.b.UndeleteStream(ctx, h.c, "s", "nothing")
		wantKind(t, err, fault.NotFound)
		h.forget()
		h.wantValues("one two three", "oldest", "newest", "s")
	})
}

func TestDelete_IsForGoodAfterTheWindow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.create("t", broker.StreamConfig{})
		h.mustAppend(event("s", "k", "a"))
		h.mustDelete("s")
		h.clock.Advance(20 * time.Hour)
		h.mustDelete("t")
		h.clock.Advance(4 * time.Hour)
		_, err := h.b.UndeleteStream(ctx, h.c, "s", "") // its time is over, whether a pass has been here or not
		wantKind(t, err, fault.NotFound)
		h.keep()
		if got := h.deleted(); got != "t-4h0m0s" {
			t.Fatalf("deleted: %s", got)
		}
		rows := 0
		for _, st := range h.states {
			for line := range strings.Lines(dump(t, st)) {
				if strings.HasPrefix(line, "7200000001") { // runs of stream 1
					rows++
				}
			}
		}
		if rows != 0 {
			t.Errorf("%d rows of the stream are left", rows)
		}
		h.restart()
		if got := h.deleted(); got != "t-4h0m0s" {
			t.Fatalf("deleted after a restart: %s", got)
		}
	})
}

func TestDelete_AtOnceWithoutAWindow(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.UndeleteWindow = 0
	h.open()
	h.create("s", broker.StreamConfig{})
	h.mustDelete("s")
	if got := h.deleted(); got != "" {
		t.Errorf("deleted: %s", got)
	}
	_, err := h.b.UndeleteStream(ctx, h.c, "s", "")
	wantKind(t, err, fault.NotFound)
}

func TestDelete_ProtectedStreamsStay(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keep: broker.Keep{Protected: true}})
		h.mustAppend(event("s", "", "a"), event("s", "", "b"))
		if f := wantKind(t, h.b.DeleteStream(ctx, h.c, "s"), fault.Conflict); f.Reason != fault.ReasonKept {
			t.Errorf("reason %s", f.Reason)
		}
		h.mustTruncate("s", offset(1)) // it is the stream that is protected
		alter(t, h, "s", func(c *broker.StreamConfig) { c.Protected = false })
		h.mustDelete("s")
	})
}

// Whoever follows a stream is told that it is gone, although its events still are there.
func TestDelete_EndsFollowers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.mustAppend(event("s", "", "a"))
		f, err := h.b.Follow(ctx, h.c, broker.FollowRequest{Streams: []string{"s"}, From: broker.Start{Kind: broker.StartLatest}})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		waited, cancel := context.WithTimeout(ctx, 60*time.Second)
		defer cancel()
		got := make(chan error, 1)
		go func() { _, err := f.Next(waited, 1); got <- err }()
		h.mustDelete("s")
		wantKind(t, <-got, fault.NotFound)
	})
}

// Streams that can be brought back count, so that making and deleting cannot fill a node.
func TestDelete_CountsAgainstTheLimit(t *testing.T) {
	h := newHouse(t, 1, "")
	h.cfg.StreamsMax = 2
	h.open()
	h.create("a", broker.StreamConfig{})
	h.mustDelete("a")
	h.create("b", broker.StreamConfig{})
	_, err := h.b.CreateStream(ctx, h.c, "c", broker.StreamConfig{})
	wantKind(t, err, fault.QuotaSpent)
	h.clock.Advance(25 * time.Hour)
	h.keep()
	h.create("c", broker.StreamConfig{})
}

// What removes events, and what brings them back, is told in the system stream: requests with who asked, retention in summary.
func TestSystem_TellsOfWhatIsRemoved(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{})
		h.mustAppend(event("s", "", "a"), event("s", "", "b"), event("s", "", "c"))
		h.mustTruncate("s", offset(1))
		h.mustDelete("s")
		if _, err := h.b.UndeleteStream(ctx, h.c, "s", "t"); err != nil {
			t.Fatal(err)
		}
		alter(t, h, "t", func(c *broker.StreamConfig) { c.RetentionMS = 1000 })
		h.clock.Advance(time.Minute)
		h.keep()
		for range 3 { // told once an hour
			h.mustAppend(event("t", "", "d"))
			h.clock.Advance(time.Minute)
			h.keep()
		}
		h.clock.Advance(time.Hour)
		h.mustAppend(event("t", "", "e"))
		h.clock.Advance(time.Minute)
		h.keep()
		h.mustDelete("t")
		h.clock.Advance(25 * time.Hour)
		h.keep()
		want := map[string]int{
			"stream.created s": 1, "stream.truncated s": 1, "stream.deleted s": 1, "stream.undeleted t": 1, "stream.altered t": 1, "stream.retained t": 2,
			"stream.deleted t": 1, "stream.purged t/1": 1,
		}
		removed := 0.0
		events := h.systemEvents(9)
		for _, e := range events {
			want[strings.Replace(e.String(), "t/2", "t/1", 1)]--
			if n, ok := e.data["events"].(float64); ok {
				removed += n
			}
		}
		for what, left := range want {
			if left != 0 {
				t.Errorf("%s: %d too few", what, left)
			}
		}
		if removed != 6 {
			t.Errorf("told of %v removed events, want 6: %v", removed, events)
		}
	})
}
