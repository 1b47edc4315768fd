package broker_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// tagged is an event with a type and tags.
func tagged(stream, typ, tags, value string) broker.EventEntry {
	e := event(stream, "", value)
	e.Record.Headers = []record.Header{{Key: "ce_type", Value: []byte(typ)}}
	if tags != "" {
		e.Record.Headers = append(e.Record.Headers, record.Header{Key: record.HeaderTags, Value: []byte(tags)})
	}
	return e
}

// unless reads "STREAM type=… tag=… after=…".
func unless(t testing.TB, text string) broker.Unless {
	t.Helper()
	stream, rest, _ := strings.Cut(text, " ")
	u, err := broker.ParseUnless(rest)
	if err != nil {
		t.Fatal(err)
	}
	u.Stream = stream
	return u
}

func (h *house) appendUnless(conditions []string, events ...broker.EventEntry) ([]broker.EventResult, error) {
	a := broker.EventsAppend{Events: events, AutoCreate: true}
	for _, c := range conditions {
		a.Unless = append(a.Unless, unless(h.t, c))
	}
	return h.b.AppendEvents(context.Background(), h.c, a)
}

// found is what an append was refused for, as "condition:ref" or "key expected current".
func found(t *testing.T, err error) []string {
	t.Helper()
	failed, ok := wantKind(t, err, fault.Conflict).Detail.([]broker.FailedCondition)
	if !ok {
		t.Fatalf("no conditions with %v", err)
	}
	var out []string
	for _, f := range failed {
		if f.Found != nil {
			out = append(out, fmt.Sprintf("unless %d: %s", f.Found.Unless, f.Found.Ref))
		} else {
			out = append(out, fmt.Sprintf("%s expected %s, is %d", f.Key, f.Expected, f.Current))
		}
	}
	return out
}

func TestUnless_NamesAreTakenOnce(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		claim := func(name string) error {
			_, err := h.appendUnless([]string{"users type=user.registered tag=name:" + name}, tagged("users", "user.registered", "name:"+name+" plan:free", name))
			return err
		}
		for _, name := range []string{"ann", "bob", "cid"} {
			if err := claim(name); err != nil {
				t.Fatal(err)
			}
		}
		for _, how := range []func(){func() {}, h.restart, h.forget} {
			how()
			if d := cmp.Diff([]string{"unless 0: users/0/1"}, found(t, claim("bob"))); d != "" {
				t.Fatal(d)
			}
		}
		if err := claim("dan"); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"ann", "bob", "cid", "dan"}, h.values("users")); d != "" {
			t.Fatal(d)
		}
	})
}

func TestUnless_TellsAllThatFailed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 3, Keys: broker.KeysVersioned, Tags: true})
		spread := func(p record.PartitionID, e broker.EventEntry) broker.EventEntry { e.Partition = p; return e }
		h.mustAppend(spread(2, tagged("s", "a", "x:1 y:1", "0")))
		r := h.mustAppend(spread(1, tagged("s", "b", "x:1", "1")))
		h.mustAppend(spread(0, tagged("s", "a", "y:2", "2")), event("s", "k", "3"))
		mine := event("s", "k", "4")
		mine.Expect = broker.Expect{Kind: broker.ExpectNone}
		after := " after=" + r[0].Position.String()
		_, err := h.appendUnless([]string{
			"s tag=x:1", "s tag=x:1" + after, "s type=a tag=y:2" + after, "s type=b tag=y:2", "s type=b type=a after=s/1/0", "s tag=x:1 tag=y:1", "s type=b tag=x:1 tag=y:1",
		}, mine)
		want := []string{"k expected none, is 1", "unless 0: s/2/0", "unless 2: s/0/0", "unless 4: s/0/0", "unless 5: s/2/0"}
		if d := cmp.Diff(want, found(t, err)); d != "" {
			t.Fatal(d)
		}
		if fault.As(err).Reason != fault.ReasonVersion {
			t.Fatal(err)
		}
		// None holds a part that the other lacks: a type here, a tag there.
		if _, err := h.appendUnless([]string{"s type=b tag=y:1", "s tag=x:1 tag=y:2", "s tag=x:2"}, event("s", "k", "4")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUnless_BeginsToIndexWhatIsThere(t *testing.T) {
	eachStored(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2, Keys: broker.KeysOff})
		for i := range 50 {
			e := tagged("s", "t", fmt.Sprintf("n:%d", i), fmt.Sprint(i))
			e.Partition = record.PartitionID(i % 2)
			h.mustAppend(e)
		}
		_, err := h.appendUnless([]string{"s type=t tag=n:7"}, tagged("s", "t", "n:7", "again"))
		if d := cmp.Diff([]string{"unless 0: s/1/3"}, found(t, err)); d != "" {
			t.Fatal(d)
		}
		for _, how := range []func(){h.restart, h.forget} {
			how()
			_, err := h.appendUnless([]string{"s tag=n:41"}, tagged("s", "t", "n:7", "again"))
			for fault.Is(err, fault.Unavailable) { // being indexed again
				_, err = h.appendUnless([]string{"s tag=n:41"}, tagged("s", "t", "n:7", "again"))
			}
			if d := cmp.Diff([]string{"unless 0: s/1/20"}, found(t, err)); d != "" {
				t.Fatal(d)
			}
		}
		// Switched off and on: what came meanwhile is in the index, too.
		set := func(on bool) {
			t.Helper()
			if _, err := h.b.AlterStream(context.Background(), h.c, "s", func(c *broker.StreamConfig) error { c.Tags = on; return nil }, 0); err != nil {
				t.Fatal(err)
			}
		}
		set(false)
		r := h.mustAppend(tagged("s", "t", "n:99", "between"))
		set(true)
		_, err = h.appendUnless([]string{"s tag=n:99", "s tag=n:3", "s type=t after=" + r[0].Ref.String()}, tagged("s", "t", "", "x"))
		if d := cmp.Diff([]string{"unless 0: s/0/25", "unless 1: s/1/1"}, found(t, err)); d != "" {
			t.Fatal(d)
		}
	})
}

func TestUnless_SameEventAgainDoesNotFailItself(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		claim := tagged("users", "u", "name:ann", "ann")
		claim.Source, claim.ID = "shop", "1"
		first, err := h.appendUnless([]string{"users tag=name:ann"}, claim)
		if err != nil {
			t.Fatal(err)
		}
		for _, how := range []func(){func() {}, h.restart} {
			how()
			again, err := h.appendUnless([]string{"users tag=name:ann"}, claim)
			if err != nil || !again[0].Duplicate || again[0].Ref != first[0].Ref {
				t.Fatalf("%+v %v", again, err)
			}
		}
	})
}

func unlessBatch(t *testing.T, producer int64, seq int32, records ...record.Record) []byte {
	t.Helper()
	b, err := record.BuildBatch(records)
	if err != nil {
		t.Fatal(err)
	}
	if producer >= 0 {
		record.StampProducer(b, producer, 0, seq)
	}
	return b
}

func claimRecord(tags, condition string) record.Record {
	r := record.Record{Timestamp: 1_700_000_000_000, Value: []byte(tags), Headers: []record.Header{{Key: record.HeaderTags, Value: []byte(tags)}}}
	if condition != "" {
		r.Headers = append(r.Headers, record.Header{Key: broker.HeaderUnless, Value: []byte(condition)})
	}
	return r
}

func TestUnless_OfRecordsOfABatch(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff, Tags: true})
		producer, _, err := h.b.NewProducer(context.Background(), h.c)
		if err != nil {
			t.Fatal(err)
		}
		ann := unlessBatch(t, producer, 0, claimRecord("name:ann", "tag=name:ann"))
		if r := h.send("s", slices.Clone(ann)); r.Err != nil || r.Base != 0 {
			t.Fatalf("%+v", r)
		}
		if r := h.send("s", slices.Clone(ann)); r.Err != nil || !r.Duplicate || r.Base != 0 {
			t.Fatalf("a producer that sends again is refused for what it sent: %+v", r)
		}
		r := h.send("s", unlessBatch(t, producer, 1, claimRecord("name:bob", "tag=name:bob"), claimRecord("name:ann", "tag=name:ann"), claimRecord("", "tag=name:ann tag=name:bob")))
		if d := cmp.Diff([]string{"unless 1: s/0/0"}, found(t, r.Err)); d != "" {
			t.Fatal(d)
		}
		// Its sequence goes on as if the batch had not been.
		if r := h.send("s", unlessBatch(t, producer, 1, claimRecord("name:bob", "tag=name:bob"))); r.Err != nil || r.Base != 1 {
			t.Fatalf("%+v", r)
		}
		// Two entries of one request are judged one after the other.
		p := h.b.SubmitBatches(context.Background(), h.c, broker.BatchAppend{Entries: []broker.BatchEntry{
			{Stream: "s", Batch: unlessBatch(t, -1, 0, claimRecord("name:cid", "tag=name:cid"))}, {Stream: "s", Batch: unlessBatch(t, -1, 0, claimRecord("name:cid", "tag=name:cid"))},
			{Stream: "s", Batch: unlessBatch(t, -1, 0, claimRecord("name:dan", "tag=name:dan"))},
		}}).Wait(context.Background())
		if p[0].Err != nil || p[2].Err != nil {
			t.Fatalf("%+v", p)
		}
		if d := cmp.Diff([]string{"unless 0: s/0/2"}, found(t, p[1].Err)); d != "" {
			t.Fatal(d)
		}
		for _, bad := range []string{"", "tag", "tag=a b", "size=3", "after=s/0/1", "tag=a after=%%", "tag=a stream=other"} {
			if r := h.send("s", unlessBatch(t, -1, 0, claimRecord("x", "tag=x"), claimRecord("y", bad+" "))); r.Err == nil || r.Err.Kind == fault.Conflict {
				t.Errorf("%q: %+v", bad, r)
			}
		}
	})
}

func TestUnless_WhatIsGoneCannotBeJudged(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Tags: true})
		a := h.mustAppend(tagged("s", "t", "a", "0"))
		b := h.mustAppend(tagged("s", "t", "b", "1"))
		h.mustTruncate("s", broker.Start{Kind: broker.StartOffset, Offset: 2})
		_, err := h.appendUnless([]string{"s tag=b after=" + a[0].Position.String()}, tagged("s", "t", "b", "2"))
		wantKind(t, err, fault.Trimmed)
		for _, c := range []string{"s tag=b", "s tag=b after=" + b[0].Position.String()} {
			if _, err := h.appendUnless([]string{c}, tagged("s", "t", "c", "3")); err != nil {
				t.Fatalf("%s: %v", c, err)
			}
		}
		h.create("latest", broker.StreamConfig{Keys: broker.KeysLatest})
		_, err = h.appendUnless([]string{"latest tag=b"}, tagged("s", "t", "c", "3"))
		wantKind(t, err, fault.Unsupported)
	})
}

func TestReadPage_ByQuery(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, indexed := range []bool{true, false} {
			name := fmt.Sprintf("s-%v", indexed)
			h.create(name, broker.StreamConfig{Partitions: 3, Tags: indexed, DefaultType: "plain"})
			rnd := rand.New(rand.NewPCG(1, 2))
			type one struct {
				typ  string
				tags []string
			}
			var all []one
			for i := range 120 {
				x := one{typ: []string{"a", "b", "plain"}[rnd.IntN(3)]}
				for k := range 4 {
					if rnd.IntN(3) == 0 {
						x.tags = append(x.tags, fmt.Sprintf("k%d:%d", k, rnd.IntN(3)))
					}
				}
				e := tagged(name, x.typ, strings.Join(x.tags, " "), fmt.Sprint(i))
				if x.typ == "plain" {
					e.Record.Headers = e.Record.Headers[1:]
				}
				e.Partition = record.PartitionID(rnd.IntN(3))
				all = append(all, x)
				h.mustAppend(e)
			}
			for range 25 {
				var qs []broker.EventQuery
				for range 1 + rnd.IntN(3) {
					var q broker.EventQuery
					for _, typ := range []string{"a", "b", "plain", "none"} {
						if rnd.IntN(3) == 0 {
							q.Types = append(q.Types, typ)
						}
					}
					for k := range 4 {
						if rnd.IntN(3) == 0 || len(q.Types) == 0 && len(q.Tags) == 0 {
							q.Tags = append(q.Tags, fmt.Sprintf("k%d:%d", k, rnd.IntN(3)))
						}
					}
					qs = append(qs, q)
				}
				var want []string
				for i, x := range all {
					for _, q := range qs {
						ok := len(q.Types) == 0 || slices.Contains(q.Types, x.typ)
						for _, tag := range q.Tags {
							ok = ok && slices.Contains(x.tags, tag)
						}
						if ok {
							want = append(want, fmt.Sprint(i))
							break
						}
					}
				}
				var got []string
				q := broker.PageRequest{Streams: []string{name}, Any: qs, Limit: 1 + rnd.IntN(20)}
				for {
					p := h.page(q)
					got = append(got, texts(p.Events)...)
					q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
					if p.CaughtUp {
						break
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("%v %+v: %s", indexed, qs, d)
				}
			}
		}
	})
}

// Students enrol in courses of four places, at most three each, many at a time. Each decides on what it has read, and appends unless something that it
// counted has changed: whatever the interleaving, no course has a fifth student, nobody a fourth course, and a place that was refused was taken.
func TestUnless_CoursesAreNeverOverbooked(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const courses, students, places, most = 5, 12, 4, 3
		h.create("campus", broker.StreamConfig{Partitions: 3, Tags: true})
		ctx := context.Background()
		enrol := func(course, student string) (string, error) {
			tags := []string{"course:" + course, "student:" + student}
			for {
				counts := [2]int{}
				var after record.Position
				q := broker.PageRequest{Streams: []string{"campus"}, Limit: 100, Any: []broker.EventQuery{{Types: []string{"enrolled"}, Tags: tags[:1]}, {Types: []string{"enrolled"}, Tags: tags[1:]}}}
				p, err := h.b.ReadPage(ctx, h.c, q)
				if err != nil || !p.CaughtUp {
					return "", fmt.Errorf("%v %w", p.CaughtUp, err)
				}
				after = p.Next
				for _, d := range p.Events {
					text, _ := d.Record.Header(record.HeaderTags)
					both := 0
					for i, tag := range tags {
						if slices.Contains(strings.Fields(string(text)), tag) {
							counts[i]++
							both++
						}
					}
					if both == 2 {
						return "there", nil
					}
				}
				if counts[0] >= places {
					return "full", nil
				}
				if counts[1] >= most {
					return "busy", nil
				}
				e := tagged("campus", "enrolled", strings.Join(tags, " "), course+"/"+student)
				e.Partition = record.NoPartition
				a := broker.EventsAppend{Events: []broker.EventEntry{e}}
				for _, tag := range tags {
					a.Unless = append(a.Unless, broker.Unless{Stream: "campus", Query: broker.EventQuery{Types: []string{"enrolled"}, Tags: []string{tag}}, After: after})
				}
				switch _, err := h.b.AppendEvents(ctx, h.c, a); {
				case err == nil:
					return "enrolled", nil
				case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Unavailable):
					return "", err
				}
			}
		}
		var wg sync.WaitGroup
		for s := range students {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(s), 7))
				for range 2 {
					for _, c := range rnd.Perm(courses) {
						if _, err := enrol(fmt.Sprint(c), fmt.Sprint(s)); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		inCourse, ofStudent, pairs := map[string]int{}, map[string]int{}, map[string]bool{}
		for _, v := range h.values("campus") {
			course, student, _ := strings.Cut(v, "/")
			inCourse[course]++
			ofStudent[student]++
			if pairs[v] {
				t.Errorf("%s twice", v)
			}
			pairs[v] = true
		}
		// 20 places and 36 wishes: every place is taken.
		for c := range courses {
			if n := inCourse[fmt.Sprint(c)]; n != places {
				t.Errorf("course %d has %d students", c, n)
			}
		}
		for s, n := range ofStudent {
			if n > most {
				t.Errorf("student %s has %d courses", s, n)
			}
		}
	})
}

type tagIn struct {
	read, kafka bool
	tag         string
	seen        int // how many there were when the writer looked
}

type tagOut struct {
	ok    bool
	count int
}

// A tag is a counter: appends on the condition that nothing has come since a reading, as events and as batches, and readings by query are linearizable.
func TestLinearizable_Unless(t *testing.T) {
	model := porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, o := range all {
				by[o.Input.(tagIn).tag] = append(by[o.Input.(tagIn).tag], o)
			}
			return slices.Collect(maps.Values(by))
		},
		Init: func() any { return 0 },
		Step: func(st, in, out any) (bool, any) {
			n, i, o := st.(int), in.(tagIn), out.(tagOut)
			switch {
			case i.read:
				return o.count == n, n
			case o.ok:
				return n == i.seen, n + 1
			}
			return n != i.seen, n
		},
	}
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Partitions: 2, Tags: true, Keys: broker.KeysOff})
		ctx, began := context.Background(), time.Now()
		var mu sync.Mutex
		var ops []porcupine.Operation
		look := func(tag string) (int, record.Position, error) {
			p, err := h.b.ReadPage(ctx, h.c, broker.PageRequest{Streams: []string{"s"}, Limit: 1000, Any: []broker.EventQuery{{Types: []string{"t"}, Tags: []string{tag}}}})
			if err == nil && !p.CaughtUp {
				err = fmt.Errorf("not caught up after %d", len(p.Events))
			}
			return len(p.Events), p.Next, err
		}
		put := func(w int, in tagIn, after record.Position) error {
			if !in.kafka {
				e := tagged("s", "t", in.tag+" w:"+fmt.Sprint(w), "v")
				e.Partition = record.NoPartition
				_, err := h.b.AppendEvents(ctx, h.c, broker.EventsAppend{Events: []broker.EventEntry{e}, Unless: []broker.Unless{
					{Stream: "s", Query: broker.EventQuery{Types: []string{"t", "u"}, Tags: []string{in.tag}}, After: after},
				}})
				return err
			}
			r := claimRecord(in.tag+" w:x", "type=t tag="+in.tag+" after="+after.String())
			r.Headers = append(r.Headers, record.Header{Key: "ce_type", Value: []byte("t")})
			b, err := record.BuildBatch([]record.Record{r})
			if err != nil {
				return err
			}
			res := h.b.SubmitBatches(ctx, h.c, broker.BatchAppend{Entries: []broker.BatchEntry{{Stream: "s", Partition: record.PartitionID(w % 2), Batch: b}}}).Wait(ctx)[0]
			if res.Err != nil {
				return res.Err
			}
			return nil
		}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				var seen [2]int
				var after [2]record.Position
				for i := range 40 {
					k := (w + i/4) % 2
					in, out := tagIn{read: i%4 < 2 && (i+w)%4 == 0 || i < 2, kafka: w%2 == 1, tag: fmt.Sprint("tag:", k), seen: seen[k]}, tagOut{}
					call := time.Since(began).Nanoseconds()
					var err error
					if in.read {
						if seen[k], after[k], err = look(in.tag); err != nil {
							t.Error(err)
							return
						}
						out.count = seen[k]
					} else if after[k].Seq == 0 {
						continue // it has not looked yet
					} else if err = put(w, in, after[k]); err != nil && !fault.Is(err, fault.Conflict) {
						t.Error(err)
						return
					}
					out.ok = err == nil
					mu.Lock()
					ops = append(ops, porcupine.Operation{ClientId: w, Input: in, Call: call, Output: out, Return: time.Since(began).Nanoseconds()})
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		won := 0
		for _, o := range ops {
			if in, out := o.Input.(tagIn), o.Output.(tagOut); !in.read && out.ok {
				won++
			}
		}
		if won == 0 || len(ops) < 100 {
			t.Fatalf("%d of %d appended: that says nothing", won, len(ops))
		}
		if r := porcupine.CheckOperationsTimeout(model, ops, 20*time.Second); r != porcupine.Ok {
			t.Fatalf("%d operations are not linearizable: %s", len(ops), r)
		}
	})
}
