package kafka

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"leat/broker"
	"leat/broker/record"
)

// Who reads committed records has the batches of transactions by their place too, up to where one is open.
func TestFetch_CommittedFromWhereItLies(t *testing.T) {
	b, _ := placeServe(t)
	addr := serve(t, b)
	p, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fill := bytes.Repeat([]byte("t"), 40<<10)
	write := func(txn, n int) (texts []string) {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			text := fmt.Sprintf("%d %d ", txn, i)
			if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: "s", Value: append([]byte(text), fill...)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
		return texts
	}
	var want []string
	for txn := range 30 {
		texts, commit := write(txn, 3), txn%3 != 0
		if err := p.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
		if commit {
			want = append(want, texts...)
		}
	}
	placeMoved(t, b)
	write(30, 3) // stays open

	ask := func(from record.Offset) broker.ReadResult {
		r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{Stream: "s", From: from, BytesMax: 400 << 10, Committed: true, Keep: func(release func()) { release() }}}, 400<<10)[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return r
	}
	until(t, "batches of transactions told by their place", func() bool { // each second, one reading is looked into
		places := 0
		for from := record.Offset(placeBatches); ; {
			r := ask(from)
			if len(r.Batches) == 0 {
				if from != r.Stable {
					t.Fatalf("nothing at %d, and %d is stable", from, r.Stable)
				}
				return places > 0
			}
			for _, s := range r.Batches {
				if s.Span != nil {
					places++
				}
				if from = s.Next; from > r.Stable {
					t.Fatalf("%d is told of, and %d is stable", from, r.Stable)
				}
			}
		}
	})

	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(400<<10), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"s": {0: kgo.NewOffset().At(placeBatches)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := 0; n < len(want); {
		fs := c.PollFetches(t.Context())
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if n >= len(want) || !bytes.HasPrefix(r.Value, []byte(want[n])) || len(r.Value) != len(want[n])+len(fill) {
				t.Fatalf("record %d is %.10q", n, r.Value)
			}
			n++
		})
	}
}
