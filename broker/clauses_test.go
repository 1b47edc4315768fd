package broker

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/broker/filter/address"
	"leat/broker/record"
)

func bound(key string) AddressFilter {
	return AddressFilter{Stream: "s", Subject: address.Pattern{Syntax: address.Words, Text: key}}
}

func clausesFor(d subscriptionDocument) *subscribed {
	d.Routed, d.Streams, d.StreamIDs = true, []string{"s"}, []record.StreamID{1}
	x := &subscribed{doc: d}
	x.wheres, _ = d.compileWheres()
	return x
}

func (x *subscribed) takes(k *matching, subject string, seq uint64) bool {
	k.rec = address.Record{Stream: 1, Subject: subject}
	return k.reaches(x, seq)
}

// Documents of before say what held by versions of all filters; they read as filters with the frames they hold for.
func TestDocument_VersionsOfBeforeAreRead(t *testing.T) {
	const old = `{"streams":["s"],"routed":true,"address":[{"stream":"s","subject":{"Syntax":3,"Text":"c"}}],"where":"true","policy":{},
		"stream_ids":[1],"created_ms":5,"class":3,"filters":[
		{"from":0,"address":[{"stream":"s","subject":{"Syntax":3,"Text":"a"}}]},
		{"from":10,"address":[{"stream":"s","subject":{"Syntax":3,"Text":"a"}},{"stream":"s","subject":{"Syntax":3,"Text":"b"}}],"where":"key == \"k\""},
		{"from":90,"address":[{"stream":"s","subject":{"Syntax":3,"Text":"c"}}],"where":"true"}]}`
	d, err := readDocument([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	x, k := clausesFor(d), &matching{m: address.NewMatcher()}
	for _, c := range []struct {
		subject string
		seq     uint64
		want    bool
	}{
		{"a", 1, true}, {"a", 90, true}, {"a", 91, false}, {"b", 10, false}, {"b", 11, true}, {"b", 90, true}, {"b", 91, false}, {"c", 90, false}, {"c", 91, true},
	} {
		if got := x.takes(k, c.subject, c.seq); got != c.want {
			t.Errorf("%s in frame %d: %v", c.subject, c.seq, got)
		}
	}
	for seq, any := range map[uint64]bool{1: true, 10: true, 11: false, 90: false, 91: false} {
		if got := x.whereAt(seq) == nil; got != any {
			t.Errorf("frame %d: any content is %v", seq, got)
		}
	}
	p, err := json.Marshal(&d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := readDocument(p)
	if err != nil || again.Filters != nil || !slices.Equal(again.Since, []uint64{90}) || len(again.Past) != 2 || len(again.Wheres) != 2 {
		t.Fatalf("%v: %s", err, p)
	}
}

// Whatever is added, taken away and forgotten: what held for a record of a frame that may still wait does not change.
func TestDocument_FiltersHoldFromAndUntil(t *testing.T) {
	keys := []string{"a", "b", "c", "a.*", "#", "*", "b.#"}
	subjects := []string{"a", "b", "c", "a.x", "b.x.y"}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 5))
		d := subscriptionDocument{}
		d.Streams, d.StreamIDs = []string{"s"}, []record.StreamID{1}
		sets := map[uint64][]AddressFilter{0: nil} // by the frame from which they hold
		frames := []uint64{0}
		k, oldest := &matching{m: address.NewMatcher()}, uint64(0)
		for seq := uint64(1); seq < 200; seq += uint64(1 + r.IntN(6)) {
			was := d
			d.Address = slices.Clone(d.Address)
			for range 1 + r.IntN(2) {
				f := bound(keys[r.IntN(len(keys))])
				if i := slices.IndexFunc(d.Address, func(g AddressFilter) bool { return f.equal(&g) }); i >= 0 {
					d.Address = slices.Delete(d.Address, i, i+1)
				} else {
					d.Address = slices.Insert(d.Address, r.IntN(len(d.Address)+1), f)
				}
			}
			d.follow(&was, d.Streams)
			if r.IntN(3) == 0 {
				oldest += uint64(r.IntN(int(seq-oldest) + 1))
				d.forgetPast(oldest)
			}
			d.date(seq)
			sets[seq] = slices.Clone(d.Address)
			frames = append(frames, seq)
			x := clausesFor(d)
			for range 20 {
				at := max(1, oldest) + uint64(r.IntN(int(seq-oldest)+3))
				set := sets[0]
				for _, f := range frames {
					if f < at {
						set = sets[f]
					}
				}
				s := subjects[r.IntN(len(subjects))]
				want := false
				for _, f := range set {
					one, err := address.New().Add(1, address.Clause{Stream: 1, Subject: f.Subject})
					if err != nil {
						t.Fatal(err)
					}
					want = want || k.m.Match(one, &address.Record{Stream: 1, Subject: s})
				}
				if got := x.takes(k, s, at); got != want {
					t.Fatalf("seed %d: %q in frame %d, as of frame %d: %v\nset %+v\nsince %v past %+v", seed, s, at, seq, got, set, d.Since, d.Past)
				}
			}
		}
	}
}
