package clienttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Consume, transform, produce, while the node is killed again and again: every record comes out once. A worker that meets an error begins with a new client
// under the same transactional id, which fences what it left.
func TestFranz_TransactionsOutliveKills(t *testing.T) {
	k := startKept(t)
	n := &node{kafka: k.kafka, http: k.http}
	franzCreate(t, n, "in", 4)
	franzCreate(t, n, "out", 4)
	const count, kills, workers = 1200, 4, 3
	franzProduce(t, n, "in", 4, 0, count)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				workOnce(ctx, n, fmt.Sprint("t", i))
			}
		})
	}
	seen := franz(t, n, kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AlwaysRetryEOF())
	got, killed := map[string]int{}, 0
	for end := time.Now().Add(2 * time.Minute); len(got) < count && time.Now().Before(end); {
		poll, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		for _, r := range seen.PollFetches(poll).Records() {
			got[string(r.Value)]++
		}
		stop()
		if killed < kills && len(got) > (killed+1)*count/(kills+2) {
			k.kill(t)
			k.run(t)
			killed++
		}
	}
	if len(got) < count || killed < kills {
		t.Errorf("%d of %d came out, over %d kills", len(got), count, killed)
	}
	for v, times := range got {
		if times != 1 {
			t.Errorf("%s came out %d times", v, times)
		}
	}
}

// workOnce works until something fails.
func workOnce(ctx context.Context, n *node, id string) {
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(n.kafka), kgo.TransactionalID(id), kgo.ConsumerGroup("work"), kgo.ConsumeTopics("in"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(), kgo.FetchMaxWait(100*time.Millisecond), kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(6*time.Second),
		kgo.TransactionTimeout(10*time.Second))
	if err != nil {
		return
	}
	defer s.Close()
	for ctx.Err() == nil {
		poll, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		fs := s.PollRecords(poll, 10)
		stop()
		if fs.NumRecords() == 0 {
			continue
		}
		if s.Begin() != nil {
			return
		}
		failed := kgo.AbortingFirstErrPromise(s.Client())
		for _, r := range fs.Records() {
			s.Produce(ctx, &kgo.Record{Topic: "out", Key: r.Value, Value: r.Value}, failed.Promise())
		}
		end, stop := context.WithTimeout(ctx, 20*time.Second)
		_, err := s.End(end, failed.Err() == nil)
		if stop(); err != nil {
			return
		}
	}
}
