package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
)

const (
	aheadPartitions = 4
	aheadBatches    = 8 // of each partition, 300 KiB each
)

// aheadServe has a topic of 4 partitions with 2.4 MiB each, of which nothing is in memory.
func aheadServe(t *testing.T) (b *broker.Broker, addr string) {
	t.Helper()
	cfg := broker.Default()
	cfg.HotTailBytes = 0
	b = newBrokerWith(t, cfg, 1)
	addr = serve(t, b)
	c := dial(t, addr)
	create(c, "s", aheadPartitions)
	fillTopic(c, "s", aheadPartitions, aheadBatches, 300<<10)
	return b, addr
}

// aheadFetch asks for partitions in an order, from these offsets on.
func aheadFetch(order []int32, from map[int32]int64) *kmsg.FetchRequest {
	q := fetchRequest("s", 0, 0, 1)
	q.MaxBytes = 2 << 20
	parts := q.Topics[0].Partitions[:0]
	for _, p := range order {
		x := kmsg.NewFetchRequestTopicPartition()
		x.Partition, x.FetchOffset, x.PartitionMaxBytes, x.CurrentLeaderEpoch = p, from[p], 1<<20, -1
		parts = append(parts, x)
	}
	q.Topics[0].Partitions = parts
	return q
}

// until waits for what another goroutine does.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A consumer that catches up gets every batch of every partition once and in order, whether it turns its list or not; what was read ahead and not asked for
// goes back, and with the connection all of it.
func TestAhead_NothingTwiceNothingLeftOut(t *testing.T) {
	_, addr := aheadServe(t)
	for _, turn := range []int{0, 1, 3} {
		t.Run(fmt.Sprint("turned by ", turn), func(t *testing.T) {
			c := dial(t, addr)
			order, from := []int32{0, 1, 2, 3}, map[int32]int64{}
			for round := 0; len(from) < aheadPartitions || min(from[0], from[1], from[2], from[3]) < aheadBatches; round++ {
				if round > aheadPartitions*aheadBatches {
					t.Fatalf("no end of it: %v", from)
				}
				r := ask[*kmsg.FetchResponse](c, aheadFetch(order, from), 11)
				got := 0
				for _, x := range r.Topics[0].Partitions {
					if x.ErrorCode != 0 {
						t.Fatalf("partition %d: error %d", x.Partition, x.ErrorCode)
					}
					got += len(x.RecordBatches)
					for raw := x.RecordBatches; len(raw) > 0; {
						h, err := record.ParseBatchHeader(raw)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := record.CheckStored(raw[:h.Bytes], record.Offset(from[x.Partition]), 0); err != nil {
							t.Fatalf("partition %d: %v", x.Partition, err)
						}
						if !strings.Contains(string(raw[:h.Bytes]), fmt.Sprintf("%d/%dv", x.Partition, from[x.Partition])) {
							t.Fatalf("partition %d, offset %d: another batch", x.Partition, from[x.Partition])
						}
						from[x.Partition]++
						raw = raw[h.Bytes:]
					}
				}
				if got > 2<<20 {
					t.Errorf("an answer of %d bytes, asked for at most %d", got, 2<<20)
				}
				order = append(order[turn:], order[:turn]...)
			}
			if err := c.c.Close(); err != nil {
				t.Fatal(err)
			}
			until(t, "nothing is held for who has gone", func() bool { return aheadHeld.Load() == 0 })
		})
	}
}

// Who does not ask for more is not waited for.
func TestAhead_IsNotKept(t *testing.T) {
	b, addr := aheadServe(t)
	c := dial(t, addr)
	ask[*kmsg.FetchResponse](c, aheadFetch([]int32{0, 1, 2, 3}, nil), 11)
	until(t, "what was read ahead goes", func() bool { return aheadHeld.Load() == 0 && b.MemoryReserved() == 0 })
	if r := ask[*kmsg.FetchResponse](c, aheadFetch([]int32{0, 1, 2, 3}, map[int32]int64{0: 3, 1: 3}), 11); len(r.Topics[0].Partitions[0].RecordBatches) < 600<<10 {
		t.Errorf("%d bytes of the first partition", len(r.Topics[0].Partitions[0].RecordBatches))
	}
}

// What was read is offered for what it was read for, in the order in which it is likely to be asked for.
func TestAhead_Offer(t *testing.T) {
	b, _ := aheadServe(t)
	caller := &broker.Caller{Listener: "test", Protocol: "kafka"}
	cursors := func(order ...int32) (q []broker.Cursor) {
		for _, p := range order {
			q = append(q, broker.Cursor{Stream: "s", Partition: partitionID(p), BytesMax: 1 << 20})
		}
		return q
	}
	answer := func(a *ahead, q []broker.Cursor) {
		results := b.Read(t.Context(), caller, q, 2<<20)
		a.note(caller, q, results, make([]int16, len(q)), 2<<20, 2<<20)
	}
	var a ahead
	answer(&a, cursors(3, 0, 1, 2))
	answer(&a, cursors(0, 1, 2, 3)) // turned by one: 0 and 1 are answered with three batches each, and 1 is next
	a.read(t.Context(), b)
	defer a.drop()
	if a.held == 0 || a.due {
		t.Fatalf("held %d, due %v", a.held, a.due)
	}
	next := cursors(1, 2, 3, 0)
	next[0].From, next[3].From = 3, 3
	a.offer(next)
	for i, want := range []int{3, 3, 0, 0} {
		n := 0
		if next[i].Ahead != nil {
			n = len(next[i].Ahead.Batches)
		}
		if n != want {
			t.Errorf("partition %d: %d batches were read ahead, want %d", next[i].Partition, n, want)
		}
	}
	elsewhere := cursors(1, 2)
	elsewhere[0].From, elsewhere[1].Committed = 2, true
	a.offer(elsewhere)
	if elsewhere[0].Ahead != nil || elsewhere[1].Ahead != nil {
		t.Error("offered for another offset, or another isolation level")
	}
	var to rooms
	a.hand(&to)
	if len(to.taken) == 0 || a.held != 0 || len(a.rooms.taken) != 0 {
		t.Errorf("%d pieces handed over, %d bytes and %d pieces left", len(to.taken), a.held, len(a.rooms.taken))
	}
	to.give()

	aheadHeld.Add(aheadBytesMax) // others have it all
	answer(&a, cursors(0, 1, 2, 3))
	a.read(t.Context(), b)
	if a.held != 0 || aheadHeld.Add(-aheadBytesMax) != 0 {
		t.Errorf("held %d beyond the limit of all", a.held)
	}
}
