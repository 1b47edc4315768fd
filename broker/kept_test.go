package broker

import (
	"fmt"
	"testing"

	"leat/broker/record"
)

func TestKeptEvents_StaysWithinItsBytesAndKeepsWhatIsAskedFor(t *testing.T) {
	var k keptEvents
	k.init(32 * 64 << 10)
	n := &named{}
	event := func(i int) *Delivered {
		return &Delivered{Record: &record.Record{Value: fmt.Append(nil, i)}, from: n}
	}
	at := func(i int) keptAt { return keptAt{1, 0, record.Offset(i)} }
	k.put(at(0), event(0))
	for i := 1; i < 50_000; i++ {
		k.put(at(i), event(i))
		if d := k.get(n, at(0)); d == nil || string(d.Record.Value) != "0" {
			t.Fatalf("after %d others: %v", i, d)
		}
	}
	var there int
	for i := range k.parts {
		p := &k.parts[i]
		sum := int64(0)
		for _, j := range p.at {
			sum += p.ring[j].bytes
		}
		if sum != p.bytes || p.bytes > k.max || len(p.at)+len(p.free) != len(p.ring) {
			t.Fatalf("part %d: %d bytes said, %d there of %d; %d of %d", i, p.bytes, sum, k.max, len(p.at), len(p.ring))
		}
		there += len(p.at)
	}
	if there < 1000 {
		t.Fatalf("%d events are kept", there)
	}
	for i := range 50_000 {
		if d := k.get(n, at(i)); d != nil && string(d.Record.Value) != fmt.Sprint(i) {
			t.Fatalf("%d is %s", i, d.Record.Value)
		}
	}
	if k.get(&named{}, at(0)) != nil {
		t.Fatal("an event of before its stream was changed")
	}
	k.put(at(1), &Delivered{Record: &record.Record{Value: make([]byte, 1<<20)}, from: n})
	if d := k.get(n, at(1)); d != nil && len(d.Record.Value) > 10 {
		t.Fatal("what is too large is kept")
	}
}
