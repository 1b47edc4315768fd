package subscription

import (
	"errors"
	"fmt"
	"testing"

	"leat/broker/fact"
	"leat/broker/record"
	statemem "leat/storage/state/memory"
)

func TestFolder_RefusesAVersionItDoesNotKnow(t *testing.T) {
	f := NewFolder(NewState(), statemem.New())
	var unknown *fact.UnknownError
	if ok, err := f.Apply(fact.Fact{Kind: fact.Settled, Version: 2}); !ok || !errors.As(err, &unknown) {
		t.Fatalf("got %v, %v", ok, err)
	}
	if ok, err := f.Apply(fact.Fact{Kind: fact.Appended, Version: 1}); ok || err != nil {
		t.Fatalf("another machine's fact: %v, %v", ok, err)
	}
}

// Every pattern of a bitmap reads back, and none is longer than the words themselves.
func TestChunk_RowsReadBack(t *testing.T) {
	for name, set := range map[string]func(i int) bool{
		"none": func(int) bool { return false }, "all": func(int) bool { return true }, "one": func(i int) bool { return i == 1023 },
		"every other": func(i int) bool { return i%2 == 0 }, "a run": func(i int) bool { return i > 60 && i < 70 },
		"sixty runs": func(i int) bool { return i%17 < 9 && i < 17*60 }, "words": func(i int) bool { return i/64%2 == 1 },
	} {
		var c, d chunk
		for i := range chunkBits {
			if set(i) {
				c.done[i/64] |= 1 << (i % 64)
			} else if i%5 == 0 {
				c.handed[i/64] |= 1 << (i % 64)
			}
		}
		row := c.appendRow(nil)
		if err := d.readRow(row); err != nil || c != d || len(row) > 258 {
			t.Errorf("%s: %d bytes, %v", name, len(row), err)
		}
	}
}

// Ranges set and count as single offsets do.
func TestSource_RangesAreOffsets(t *testing.T) {
	for _, c := range [][2]record.Offset{{0, 0}, {0, 1}, {0, 64}, {3, 61}, {63, 65}, {64, 128}, {1000, 1030}, {5, 3000}, {1024, 2048}} {
		a, b := &Source{}, &Source{}
		a.setDoneRange(c[0], c[1])
		for o := c[0]; o < c[1]; o++ {
			b.setDone(o)
		}
		for o := range record.Offset(4096) {
			if a.done(o) != b.done(o) {
				t.Fatalf("%v: offset %d is %v", c, o, a.done(o))
			}
		}
		if n := a.undone(0, 4096); n != 4096-int64(c[1]-c[0]) {
			t.Fatalf("%v: %d are not done", c, n)
		}
	}
}

// FuzzFolder: no fact makes a fold panic, whatever its body, and what it makes of it reads back from rows.
func FuzzFolder(f *testing.F) {
	w := newWorld(f)
	fr := w.open()
	id, _ := w.head.Put(0, Policy{Kind: Delivery}, 1, fr)
	at := Place{1, 0}
	_ = w.head.Begin(id, []Start{{Place: at}}, fr)
	w.append(at, []logged{{to: []ID{1}}, {to: []ID{1}}, {to: []ID{1}, Meta: Meta{DueMS: 1 << 30}}})
	w.publish()
	_ = w.head.Attach(id, Member{ID: 1, Credit: Endless})
	w.feed()
	w.open()
	w.head.Settle(nil, []Handle{w.head.Drain().Deliveries[1].Handle}, Acked)
	w.head.Flush(w.frame, true)
	w.head.Trimmed(at, 2, nil, w.frame)
	_, body, _ := fact.ReadHead(w.frame.Facts)
	_ = fact.Each(body, func(x fact.Fact) error {
		f.Add(uint8(x.Kind), x.Body, uint8(fact.Handed), []byte{1, 1, 0, 1, 0, 3})
		return nil
	})
	f.Add(uint8(fact.Routed), []byte{1, 0, 0, 1, 1, 1, 1}, uint8(fact.RouteDefined), []byte{1, 1, 1})
	f.Add(uint8(fact.SourceStarted), []byte{1, 1, 0, 1, 0, 9, 1}, uint8(fact.SubscriptionDeleted), []byte{1})
	f.Fuzz(func(t *testing.T, k1 uint8, b1 []byte, k2 uint8, b2 []byte) {
		st := statemem.New()
		fold := NewFolder(NewState(), statemem.New())
		rows := st.NewBatch()
		fold.Begin(1, 1, rows)
		p := Policy{Kind: Delivery}
		p.Check()
		for _, x := range []fact.Fact{
			{Kind: fact.SubscriptionPut, Version: 1, Body: p.append([]byte{1, 1})},
			{Kind: fact.SourceStarted, Version: 1, Body: (&started{sub: 1, at: Place{1, 0}, known: true}).append(nil)},
			{Kind: fact.Kind(k1), Version: 1, Body: b1},
			{Kind: fact.Kind(k2), Version: 1, Body: b2},
		} {
			if _, err := fold.Apply(x); err != nil {
				rows.Discard()
				return
			}
		}
		if err := fold.End(); err != nil {
			t.Fatal(err)
		}
	})
}

// The bytes that docs/formats/facts.md draws.
func TestSettled_IsAsDrawn(t *testing.T) {
	x := settled{sub: 1, at: Place{3, 0}, floor: 5, amount: Amount{2, 2000}, runs: []Run{{7, 1}}}
	x.reasons[Acked] = 2
	got := fmt.Sprintf("%x", fact.Append(nil, fact.Settled, 1, x.append(nil)))
	if want := "14010e0103000502d00f01010201070100"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}
