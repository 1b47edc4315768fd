package broker_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// compacted waits until the shards have let go of at least so many records since they were opened.
func (h *house) compacted(least int64) int64 {
	h.t.Helper()
	var all []shard.KeepStats
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		n := int64(0)
		all = h.b.KeepStats()
		for _, k := range all {
			n += k.Compacted
		}
		if n >= least {
			return n
		}
	}
	h.t.Fatalf("fewer than %d records were compacted away: %+v", least, all)
	return 0
}

// still waits until nothing is moved or compacted any more.
func (h *house) still() {
	h.t.Helper()
	const quiet = 20
	was, same := h.b.KeepStats(), 0
	for deadline := time.Now().Add(time.Minute); same < quiet; time.Sleep(10 * time.Millisecond) {
		if now := h.b.KeepStats(); slices.Equal(now, was) {
			same++
		} else {
			was, same = now, 0
		}
		if time.Now().After(deadline) {
			h.t.Fatal("the keeper does not come to rest")
		}
	}
}

// all reads a stream from its start, page by page.
func (h *house) all(name string) (out []*broker.Delivered) {
	h.t.Helper()
	q := broker.PageRequest{Streams: []string{name}, Limit: 100}
	for {
		p, err := h.b.ReadPage(context.Background(), h.c, q)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, p.Events...)
		if p.CaughtUp {
			return out
		}
		q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}

// backward reads a stream from its end, in the order of its start.
func (h *house) backward(name string) (out []*broker.Delivered) {
	h.t.Helper()
	q := broker.PageRequest{Streams: []string{name}, Limit: 100, Backward: true, From: broker.Start{Kind: broker.StartLatest}}
	for {
		p, err := h.b.ReadPage(context.Background(), h.c, q)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, p.Events...)
		if p.CaughtUp {
			slices.Reverse(out)
			return out
		}
		q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
	}
}

// compactModel is a map beside a stream that keeps the latest of each key.
type compactModel struct {
	h      *house
	name   string
	values map[string]string // "" is a tombstone
	sent   map[string][]string
	count  int
}

func (m *compactModel) append(r *rand.Rand, n int) {
	for n > 0 {
		var batch []broker.EventEntry
		for range min(n, 1+r.IntN(20)) {
			// Most of the records are of few keys.
			key := fmt.Sprint("k", int(float64(60)*r.Float64()*r.Float64()))
			e := event(m.name, key, value(fmt.Sprint("v", m.count)))
			if r.IntN(8) == 0 {
				e.Record.Value = nil
			}
			m.values[key] = string(e.Record.Value)
			m.sent[key] = append(m.sent[key], string(e.Record.Value))
			m.count++
			batch = append(batch, e)
		}
		m.h.mustAppend(batch...)
		n -= len(batch)
	}
}

// check reads everything: the last value of every key is there, older ones come before newer ones, and nothing comes back. mayMiss says that
// tombstones may be gone.
func (m *compactModel) check(when string, mayMiss bool) int {
	h := m.h
	h.t.Helper()
	seen, at := map[string]string{}, map[string]int{}
	events := h.all(m.name)
	for i, d := range events {
		key, v := string(d.Record.Key), string(d.Record.Value)
		next := at[key]
		for next < len(m.sent[key]) && (m.sent[key][next] != v) {
			next++
		}
		if next == len(m.sent[key]) {
			h.t.Fatalf("%s: %s has %.8q at event %d, after something newer or never sent", when, key, v, i)
		}
		at[key], seen[key] = next+1, v
		if i > 0 && d.Position.Compare(events[i-1].Position) <= 0 {
			h.t.Fatalf("%s: positions do not grow at event %d", when, i)
		}
	}
	for key, v := range m.values {
		got, there := seen[key]
		if got != v || !there && (v != "" || !mayMiss) {
			h.t.Fatalf("%s: %s ends with %.8q (%v), expected %.8q", when, key, got, there, v)
		}
		p := h.page(broker.PageRequest{Streams: []string{m.name}, Key: []byte(key)})
		switch {
		case len(p.Events) == 0 && v == "" && mayMiss:
		case len(p.Events) != 1 || string(p.Events[0].Record.Value) != v:
			h.t.Fatalf("%s: by key, %s has %d events", when, key, len(p.Events))
		}
	}
	for range 100 { // what is compacted between the two readings is in one of them only
		back := h.backward(m.name)
		if slices.EqualFunc(events, back, func(x, y *broker.Delivered) bool { return x.Ref == y.Ref && x.Position == y.Position }) {
			return len(events)
		}
		if len(back) > len(events) {
			break
		}
		events = h.all(m.name)
	}
	h.t.Fatalf("%s: the events forwards are not those backwards", when)
	return 0
}

func TestCompact_LastValuesStayThroughRestarts(t *testing.T) {
	for _, c := range []struct {
		name       string
		partitions int32
		keep       broker.Keep
	}{
		{"one partition", 1, broker.Keep{}},
		{"three partitions", 3, broker.Keep{}},
		{"tombstones go at once", 2, broker.Keep{TombstoneRetentionMS: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			keeping(t, func(t *testing.T, h *house) {
				h.create("s", broker.StreamConfig{Keys: broker.KeysLatest, Partitions: c.partitions, Keep: c.keep})
				h.create("other", broker.StreamConfig{Keys: broker.KeysHistory})
				r := rand.New(rand.NewPCG(1, 2))
				m := &compactModel{h: h, name: "s", values: map[string]string{}, sent: map[string][]string{}}
				var other []string
				mayMiss := c.keep.TombstoneRetentionMS > 0
				for round := range 5 {
					for range 10 {
						m.append(r, 60)
						v := value(fmt.Sprint("o", len(other)))
						other = append(other, v)
						h.mustAppend(event("other", "k", v))
						h.clock.Advance(time.Second)
					}
					h.compacted(200)
					if mayMiss {
						h.still() // a slow reader may miss a tombstone that goes at once
					}
					m.check(fmt.Sprint("round ", round), mayMiss)
					h.restart()
					if mayMiss {
						h.still()
					}
					left := m.check(fmt.Sprint("round ", round, ", restarted"), mayMiss)
					if round == 4 && left > m.count/2 {
						t.Errorf("%d of %d records are left", left, m.count)
					}
					if got := h.values("other"); !slices.Equal(got, other) {
						t.Fatalf("round %d: the other stream has %d events, expected %d", round, len(got), len(other))
					}
				}
				for key, v := range m.values {
					if v != "" {
						continue
					}
					p := h.page(broker.PageRequest{Streams: []string{"s"}, Key: []byte(key), From: broker.Start{Kind: broker.StartLatest}, Backward: true})
					if len(p.Events) > 1 || len(p.Events) == 1 && len(p.Events[0].Record.Value) != 0 {
						t.Fatalf("%s was removed and has a value", key)
					}
				}
			})
		})
	}
}

func TestCompact_OffsetsStayAndHolesArePassedOver(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest})
	// Three keys of many records each, one of which is never written again.
	h.mustAppend(event("s", "first", value("kept")))
	for i := range 600 {
		h.mustAppend(event("s", fmt.Sprint("k", i%3), value(fmt.Sprint("v", i))))
	}
	h.compacted(300)
	h.still()
	events := h.all("s")
	if events[0].Ref.Offset != 0 || string(events[0].Record.Key) != "first" || events[len(events)-1].Ref.Offset != 600 {
		t.Fatalf("from %v to %v", events[0].Ref, events[len(events)-1].Ref)
	}
	there := map[record.Offset]string{}
	for _, d := range events {
		there[d.Ref.Offset] = string(d.Record.Value)
		if want := value(fmt.Sprint("v", d.Ref.Offset-1)); d.Ref.Offset > 0 && want != string(d.Record.Value) {
			t.Fatalf("offset %d has %.6q", d.Ref.Offset, d.Record.Value)
		}
	}
	holes := 0
	for o := range record.Offset(601) {
		_, err := h.b.ReadRef(context.Background(), h.c, record.Ref{Stream: "s", Partition: 0, Offset: o})
		if _, ok := there[o]; ok != (err == nil) || err != nil && !fault.Is(err, fault.NotFound) {
			t.Fatalf("offset %d is there: %v; read: %v", o, ok, err)
		}
		if err != nil {
			holes++
		}
		// Whoever asks for an offset in a hole gets what comes after it.
		p := h.page(broker.PageRequest{Streams: []string{"s"}, From: offset(o), Limit: 1})
		next := o
		for there[next] == "" {
			next++
		}
		if len(p.Events) != 1 || p.Events[0].Ref.Offset != next {
			t.Fatalf("from offset %d: %v, expected %d", o, p.Events[0].Ref, next)
		}
	}
	if holes < 300 {
		t.Fatalf("%d holes", holes)
	}
	// A start inside a hole.
	h.mustTruncate("s", offset(100))
	if got := h.all("s"); len(got) == 0 || got[0].Ref.Offset < 100 || len(got) != len(events)-before(events, 100) {
		t.Fatalf("after a truncation %d events, before %d", len(got), len(events))
	}
}

func before(events []*broker.Delivered, o record.Offset) (n int) {
	for _, d := range events {
		if d.Ref.Offset < o {
			n++
		}
	}
	return n
}

func TestCompact_YoungRecordsAreLeftAlone(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest, Keep: broker.Keep{CompactionLagMS: time.Hour.Milliseconds()}})
	send := func(n int) {
		for i := range n {
			h.mustAppend(event("s", fmt.Sprint("k", i%3), value("v")))
		}
	}
	send(220) // so few that files of both are not merged
	h.moved()
	h.still()
	if got := len(h.all("s")); got != 220 {
		t.Fatalf("%d of 220 records are there within the lag", got)
	}
	h.clock.Advance(2 * time.Hour)
	send(150)
	h.compacted(100)
	if got := len(h.all("s")); got < 150 {
		t.Fatalf("%d records are left: some of the young ones are gone", got)
	}
}

func TestCompact_TombstonesGoLast(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest, Keep: broker.Keep{TombstoneRetentionMS: time.Hour.Milliseconds()}})
	for i := range 200 {
		h.mustAppend(event("s", fmt.Sprint("k", i), value("v")))
	}
	for i := range 200 {
		e := event("s", fmt.Sprint("k", i), "")
		e.Record.Value = nil
		h.mustAppend(e)
	}
	const few = 30 // so many bytes are not worth rewriting a file for
	filler := func() {
		for range 300 {
			h.mustAppend(event("s", "filler", value("f")))
		}
	}
	count := func() (values, tombstones int) {
		for _, d := range h.all("s") {
			switch {
			case string(d.Record.Key) == "filler":
			case d.Record.Value == nil:
				tombstones++
			default:
				values++
			}
		}
		return values, tombstones
	}
	filler()
	h.compacted(300)
	if _, tombstones := count(); tombstones != 200 {
		t.Fatalf("%d tombstones are left before their time", tombstones)
	}
	h.clock.Advance(2 * time.Hour)
	for deadline := time.Now().Add(time.Minute); ; {
		filler()
		values, tombstones := count()
		if values == 0 && tombstones <= few {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d values and %d tombstones are left", values, tombstones)
		}
		h.clock.Advance(2 * time.Hour)
		time.Sleep(20 * time.Millisecond)
	}
	h.restart()
	if values, tombstones := count(); values != 0 || tombstones > few {
		t.Fatalf("after a restart %d values and %d tombstones are back", values, tombstones)
	}
}

func TestCompact_OtherModesAreLeftAlone(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	for _, m := range []broker.KeyMode{broker.KeysOff, broker.KeysHistory, broker.KeysVersioned, broker.KeysLatest} {
		h.create(m.String(), broker.StreamConfig{Keys: m})
	}
	for range 300 {
		for _, m := range []broker.KeyMode{broker.KeysOff, broker.KeysHistory, broker.KeysVersioned, broker.KeysLatest} {
			h.mustAppend(event(m.String(), "k", value("v")))
		}
	}
	h.compacted(100)
	h.restart()
	for _, m := range []broker.KeyMode{broker.KeysOff, broker.KeysHistory, broker.KeysVersioned} {
		if got := h.values(m.String()); len(got) != 300 {
			t.Errorf("%s has %d of 300 events", m, len(got))
		}
	}
}

func TestCompact_RacesReaders(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest, Partitions: 2, Keep: broker.Keep{TombstoneRetentionMS: time.Hour.Milliseconds()}})
	const total = 3000
	failed := make(chan error, 3)
	stop := make(chan struct{})
	read := func(backward bool) error {
		for running(stop) {
			q := broker.PageRequest{Streams: []string{"s"}, Limit: 50, Backward: backward}
			if backward {
				q.From = broker.Start{Kind: broker.StartLatest}
			}
			last := map[string]record.Position{}
			for {
				p, err := h.b.ReadPage(context.Background(), h.c, q)
				if err != nil {
					return err
				}
				for _, d := range p.Events {
					key := string(d.Record.Key)
					if old, ok := last[key]; ok && (d.Position.Compare(old) > 0) == backward {
						return fmt.Errorf("%s goes the wrong way", d.Ref)
					}
					last[key] = d.Position
				}
				if p.CaughtUp {
					break
				}
				q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
			}
		}
		return nil
	}
	byKey := func() error {
		for i := 0; running(stop); i++ {
			if _, err := h.b.ReadPage(context.Background(), h.c, broker.PageRequest{Streams: []string{"s"}, Key: fmt.Append(nil, "k", i%40), Limit: 10}); err != nil {
				return err
			}
		}
		return nil
	}
	go func() { failed <- read(false) }()
	go func() { failed <- read(true) }()
	go func() { failed <- byKey() }()
	for i := range total {
		h.mustAppend(event("s", fmt.Sprint("k", i*i%37), value(fmt.Sprint("v", i))))
	}
	h.compacted(500)
	close(stop)
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestCompact_CompressedBatchesAndProducers(t *testing.T) {
	h := newHouse(t, 1, "")
	small(h)
	h.open()
	h.create("s", broker.StreamConfig{Keys: broker.KeysLatest})
	id, epoch, err := h.b.NewProducer(context.Background(), h.c)
	if err != nil {
		t.Fatal(err)
	}
	var last []byte
	for i := range int32(300) {
		b := keyedBatch(t, id, epoch, i*2, fmt.Sprint("k", i%5), value("a"), fmt.Sprint("k", i%7), value(fmt.Sprint("b", i)))
		last = slices.Clone(b)
		if r := h.send("s", b); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	h.compacted(300)
	h.restart()
	if r := h.send("s", last); r.Err != nil || r.Base != 598 {
		t.Fatalf("a batch sent again: %+v", r)
	}
	if r := h.send("s", keyedBatch(t, id, epoch, 600, "k1", value("next"), "k2", value("next"))); r.Err != nil || r.Base != 600 {
		t.Fatalf("the next batch: %+v", r)
	}
	seen := map[string]string{}
	for _, d := range h.all("s") {
		seen[string(d.Record.Key)] = strings.TrimRight(string(d.Record.Value), ".")
	}
	if len(seen) != 7 || seen["k1"] != "next" || seen["k6"] != "b293" {
		t.Fatalf("%v", maps.Collect(maps.All(seen)))
	}
}

// keyedBatch makes a batch of an idempotent producer from keys and values.
func keyedBatch(t *testing.T, producer int64, epoch int16, seq int32, pairs ...string) []byte {
	t.Helper()
	rs := make([]record.Record, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		rs = append(rs, record.Record{Timestamp: 1_700_000_000_000, Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	b, err := record.BuildBatch(rs)
	if err != nil {
		t.Fatal(err)
	}
	record.StampProducer(b, producer, epoch, seq)
	return b
}
