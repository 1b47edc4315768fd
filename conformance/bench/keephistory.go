package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	historyLength  = 20  // records of a key that is asked for
	historyColdOps = 200 // one after the other
	historyConns   = 16
	historyWarm    = 2000 // keys that are asked for again and again
	historyBytes   = 100  // of a record's data
)

// historyKey is whose record i is. The load has historyLength rounds; in each of them every sampled key has one record, at the same distance
// from one another. The others take what is left by turns. 0 ≤ sampled keys < sampled ≤ others < keys.
func (k *keeping) historyKey(i int) uint64 {
	const stride = 7_368_787 // prime: a walk over the others that meets each of them before it meets one again
	round := k.historyRecords / historyLength
	every := max(1, round/k.sampled)
	j := i % round
	if j%every == 0 && j/every < k.sampled {
		return uint64(j / every)
	}
	before := i/round*k.sampled + min((j+every-1)/every, k.sampled) // records of sampled keys
	return uint64(k.sampled) + uint64(i-before)*stride%uint64(k.historyKeys-k.sampled)
}

// keepHistory asks for all records of a key. They lie all over the load, so that each of them is in another place. To read one of them is to read
// its batch, so batches matter: those of Java's client as it comes, and the largest that a client under load makes.
func (b *bench) keepHistory(ctx context.Context) error {
	for _, w := range []struct {
		id, what string
		bytes    int32
	}{{"16k", "16 KiB", 16 << 10}, {"1m", "1 MB", 1_000_000}} {
		if err := b.histories(ctx, w.id, w.what, w.bytes); err != nil {
			return fmt.Errorf("batches of %s: %w", w.what, err)
		}
	}
	return nil
}

func (b *bench) histories(ctx context.Context, id, what string, batchBytes int32) error {
	k := &b.keep
	cold := b.row("keep-history-cold-"+id, fmt.Sprintf("a key's history, %d records, among %s keys and %s records in batches of up to %s, cold: p50 of %d", historyLength,
		number(float64(k.historyKeys)), number(float64(k.historyRecords)), what, historyColdOps), "ms", "", 10)
	warm := b.row("keep-history-warm-"+id, fmt.Sprintf("the same, warm, %d connections, %d keys", historyConns, historyWarm), "requests/s", "", 20_000)
	cold.less = true
	p, err := b.startShipped(ctx, int64(k.historyRecords)*200)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	if err := putStream(ctx, p, "history", `{"keys":"history"}`); err != nil {
		return err
	}
	l := load{
		topics: []string{"history"}, size: historyBytes, n: k.historyRecords, client: []kgo.Opt{kgo.ProducerBatchMaxBytes(batchBytes)},
		key: func(i int, key []byte) []byte { return appendKey(key, k.historyKey(i)) },
	}
	perSecond, _, err := l.run(ctx, p)
	if err != nil {
		return err
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	m, err := p.metrics("leat_keys_files", "leat_keys_bytes", "leat_segment_files")
	if err != nil {
		return err
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	how, err := b.dropCaches(p)
	if err != nil {
		return err
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	picks := rand.New(rand.NewPCG(3, 4)).Perm(k.sampled)
	h, err := b.historyCold(ctx, p, picks[:min(historyColdOps, len(picks))])
	if err != nil {
		return err
	}
	cold.one(h.quantile(0.50) / 1e6)
	cold.Note = fmt.Sprintf("p99 %s ms; %s, node started anew; written at %s records/s; %s key files, %.0f MiB, %s segment files",
		number(h.quantile(0.99)/1e6), how, number(perSecond), number(m[0]), m[1]/(1<<20), number(m[2]))
	rate, err := b.historyWarm(ctx, p, picks[:min(historyWarm, len(picks))])
	if err != nil {
		return err
	}
	warm.one(rate)
	return nil
}

func historyRequest(p *proc, pick int) []byte {
	return getRequest(p, "/v1/streams/history/events?key="+string(appendKey(nil, uint64(pick))))
}

// history asks for one key and makes sure that all of it came.
func history(r *rawHTTP, request []byte) error {
	body, err := r.do(request)
	if err != nil {
		return err
	}
	if n := bytes.Count(body, []byte(`"specversion"`)); n != historyLength {
		return fmt.Errorf("%d events of a key that has %d: %.300s", n, historyLength, body)
	}
	return nil
}

func (b *bench) historyCold(ctx context.Context, p *proc, picks []int) (*histogram, error) {
	r, err := dialHTTP(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.close()
	h := &histogram{}
	for _, pick := range picks {
		request, began := historyRequest(p, pick), time.Now()
		if err := history(r, request); err != nil {
			return nil, err
		}
		h.add(int64(time.Since(began)))
	}
	return h, nil
}

// historyWarm asks for every key once, which is not measured, and then for all of them over and over.
func (b *bench) historyWarm(ctx context.Context, p *proc, picks []int) (float64, error) {
	if _, err := b.historyCold(ctx, p, picks); err != nil {
		return 0, err
	}
	requests := make([][]byte, len(picks))
	for i, pick := range picks {
		requests[i] = historyRequest(p, pick)
	}
	var (
		wg    sync.WaitGroup
		done  atomic.Int64
		errs  = make([]error, historyConns)
		began = time.Now()
	)
	for c := range historyConns {
		wg.Go(func() {
			r, err := dialHTTP(ctx, p)
			if err != nil {
				errs[c] = err
				return
			}
			defer r.close()
			for i := c; time.Since(began) < b.workFor && errs[c] == nil; i += historyConns {
				errs[c] = history(r, requests[i%len(requests)])
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// putStream makes a stream by HTTP.
func putStream(ctx context.Context, p *proc, name, document string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+p.http+"/v1/streams/"+name, strings.NewReader(document))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000)); resp.StatusCode/100 != 2 {
		return fmt.Errorf("make stream %s: %s: %s", name, resp.Status, text)
	}
	return nil
}
