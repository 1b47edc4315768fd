package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/record"
)

// Who pages by key while transactions begin and end meets every record of the key that is to be seen, in the order of positions: also a plain one, and one of a transaction
// that was committed, that came while another was open before it.
func TestPage_ByKeyPassesOverNothingBehindTransactions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory, Partitions: 2})
		const rounds = 40
		stop, paged := make(chan struct{}), make(chan []string, 1)
		go func() {
			var got []string
			q := broker.PageRequest{Streams: []string{"s"}, Key: []byte("k"), Limit: 3}
			for ending := false; ; {
				running := running(stop)
				p, err := h.b.ReadPage(context.Background(), h.c, q)
				if err != nil {
					got = append(got, err.Error())
					break
				}
				got = append(got, texts(p.Events)...)
				q.From = broker.Start{Kind: broker.StartPosition, Position: p.Next}
				if ending && p.CaughtUp {
					break
				}
				ending = !running
			}
			paged <- got
		}()
		a, b := h.writer("a"), h.writer("b")
		plain := func(i, partition int) {
			e := event("s", "k", fmt.Sprint("k=", i, "plain", partition))
			e.Partition = record.PartitionID(partition)
			h.mustAppend(e)
		}
		for i := range rounds {
			a.send("s", fmt.Sprint("k=", i, "a"))
			plain(i, 0)
			b.send("s", fmt.Sprint("k=", i, "b"))
			plain(i, 1)
			if i%2 == 0 {
				b.end(i%4 == 0)
				a.end(i%3 == 0)
			} else {
				a.end(i%3 == 0)
				b.end(i%4 == 1)
			}
		}
		close(stop)
		got := <-paged
		whole := h.page(broker.PageRequest{Streams: []string{"s"}, Key: []byte("k"), Limit: broker.PageLimitMax})
		if want := texts(whole.Events); !slices.Equal(got, want) {
			t.Errorf("page by page: %d\n%s\nat once: %d\n%s", len(got), strings.Join(got, " "), len(want), strings.Join(want, " "))
		}
		if scanned := h.values("s"); !slices.Equal(got, scanned) || len(got) < 2*rounds {
			t.Errorf("page by page: %d, by scanning: %d", len(got), len(scanned))
		}
	})
}
