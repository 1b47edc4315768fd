package stream

import (
	"testing"

	"leat/broker/fact"
)

func TestTell(t *testing.T) {
	at := Place{Stream: 12, Partition: 1}
	appended := func(a Appended) fact.Fact {
		return fact.Fact{Kind: fact.Appended, Version: a.version(), Body: a.append(nil)}
	}
	put := transactorPut{producer: 5, epoch: 2, wasID: -1, wasEpoch: -1, timeoutMS: 60_000, name: TransactorName{"default", "shop"}}
	enlisted := enlistedFact{producer: 5, places: []Place{at, {Stream: 3}}, cursors: []uint32{7}}
	end := ended{producer: 5, commit: true, then: 5, epoch: 3, wasID: 5, wasEpoch: 2}
	for _, c := range []struct {
		f    fact.Fact
		want string
	}{
		{appended(Appended{Stream: 12, Partition: 1, Base: 30, Count: 4, Bytes: 200, Producer: -1}), "appended 12/1 at 30, 4 records, 200 bytes"},
		{
			appended(Appended{Stream: 12, Partition: 1, Base: 30, Count: 4, Bytes: 200, Producer: 5, Epoch: 2, First: 9, Flags: AppendedTransactional}),
			"appended 12/1 at 30, 4 records, 200 bytes, producer 5 epoch 2 sequence 9, of a transaction",
		},
		{
			appended(Appended{Stream: 12, Base: 34, Count: 1, Bytes: 78, Producer: 5, Epoch: 3, Flags: AppendedTransactional | AppendedMarker | AppendedCommit}),
			"marker 12/0 at 34 of producer 5 epoch 3: committed",
		},
		{appended(Appended{Stream: 12, Base: 34, Count: 1, Producer: 5, Epoch: 3, Flags: AppendedTransactional | AppendedMarker}), "marker 12/0 at 34 of producer 5 epoch 3: aborted"},
		{fact.Fact{Kind: fact.TransactorPut, Version: 1, Body: put.append(nil)}, `producer 5 epoch 2 is "shop" of default, transactions take at most 60000 ms`},
		{fact.Fact{Kind: fact.TransactorGone, Version: 1, Body: []byte{5}}, "producer 5 is forgotten"},
		{fact.Fact{Kind: fact.Enlisted, Version: 1, Body: enlisted.append(nil)}, "producer 5 announces partitions 12/1 3/0 and subscriptions [7]"},
		{
			fact.Fact{Kind: fact.PositionsDeferred, Version: 1, Body: appendDeferred(nil, 5, 7, []Deferred{{Place: at, To: 40, Epoch: -1}})},
			"producer 5 moves when it commits, subscription 7 in 12/1 to 40",
		},
		{fact.Fact{Kind: fact.TransactionEnded, Version: 1, Body: end.append(nil)}, "transaction of producer 5 ended: committed; then producer 5 epoch 3"},
		{fact.Fact{Kind: fact.StreamCreated, Version: 1, Body: []byte{1, 1}}, "stream-created"},
	} {
		if got, err := Tell(c.f); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.f.Kind, got, err, c.want)
		}
		if c.f.Kind != fact.StreamCreated {
			if got, err := Tell(fact.Fact{Kind: c.f.Kind, Version: c.f.Version}); err == nil {
				t.Errorf("%s without a body is told as %q", c.f.Kind, got)
			}
		}
	}
}
