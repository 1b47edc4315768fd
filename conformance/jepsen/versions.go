package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"leat/conformance/jepsen/history"
)

const (
	versionClients  = 5 // by each protocol
	versionKeys     = 4 // at a time; others after two kills, because each access without an answer makes the search longer
	versionStream   = "accounts"
	versionParts    = 3
	accessTimeout   = 20 * time.Second
	accessPauseMax  = 8 * time.Millisecond
	versionLifeMax  = 3 * time.Second
	decideTimeout   = time.Minute // for one key
	answerBytesMax  = 1 << 20
	readOneIn       = 3
	expectOldOneIn  = 5  // a version that is known not to be there any more
	impatientOneIn  = 20 // appends by Kafka are given up soon, and may happen
	impatientMax    = 5 * time.Millisecond
	headerOfVersion = "leat-expect-version"
)

// errNotSent is of an access that nobody can have heard of.
var errNotSent = errors.New("not sent")

// versionRun is clients that append to the same keys with the version that they believe to be there.
type versionRun struct {
	*options
	node  *node
	kills atomic.Int64
	mu    sync.Mutex
	all   []history.Access
	began time.Time
}

func versions(ctx context.Context, o *options) error {
	n, err := newNode(o)
	if err != nil {
		return err
	}
	defer func() { _ = n.kill() }() // when it is running still
	r := &versionRun{options: o, node: n, began: time.Now()}
	if err := errors.Join(n.start(), n.ready(ctx), r.create(ctx)); err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, 2*versionClients)
	for i := range errs {
		wg.Go(func() { errs[i] = r.client(work, i) })
	}
	err = r.breakNode(ctx, rand.New(rand.NewPCG(o.seed, 1)))
	stop()
	wg.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	return r.judge()
}

func (r *versionRun) judge() error {
	count := map[history.Answer]int{}
	reads := 0
	for i := range r.all {
		if r.all[i].Read {
			reads++
		} else {
			count[r.all[i].Answer]++
		}
	}
	wrong, keys, undecided := history.Linearizable(r.all, decideTimeout)
	fmt.Printf("%d kills; %d reads, %d appends done, %d refused, %d with unknown outcome, of %d keys by Kafka and HTTP; %d keys undecided; %.0f s\n",
		r.kills.Load(), reads, count[history.Done], count[history.Refused], count[history.Lost], keys, undecided, time.Since(r.began).Seconds())
	if undecided > 0 {
		wrong = append(wrong, fmt.Sprintf("%d keys were not decided within %v each", undecided, decideTimeout))
	}
	if len(wrong) > 0 {
		b, _ := json.Marshal(r.all)
		return fmt.Errorf("WRONG: %s\n  (the accesses: %v)", strings.Join(wrong, "\n  "), writeFile(r.dir+"/accesses.json", b))
	}
	fmt.Println("linearizable")
	return nil
}

func (r *versionRun) create(ctx context.Context) error {
	status, text, err := r.ask(ctx, http.MethodPut, "/v1/streams/"+versionStream, fmt.Appendf(nil, `{"partitions":%d,"keys":"versioned"}`, versionParts))
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("create %s: %d %.300s", versionStream, status, text)
	}
	return err
}

func (r *versionRun) breakNode(ctx context.Context, rnd *rand.Rand) error {
	for time.Since(r.began) < r.length && ctx.Err() == nil {
		if err := r.node.ready(ctx); err != nil {
			return err
		}
		wait(ctx, time.Duration(rnd.Int64N(int64(versionLifeMax))))
		if err := errors.Join(r.node.kill(), r.node.start()); err != nil {
			return err
		}
		r.kills.Add(1)
		if rnd.IntN(earlyOneIn) == 0 {
			wait(ctx, time.Duration(rnd.Int64N(int64(earlyWithin))))
			if err := errors.Join(r.node.kill(), r.node.start()); err != nil {
				return err
			}
			r.kills.Add(1)
		}
	}
	return errors.Join(r.node.ready(ctx), ctx.Err())
}

// client accesses keys, one after the other: even ones by HTTP, odd ones by Kafka, of which the readings go by HTTP, too.
func (r *versionRun) client(ctx context.Context, id int) error {
	rnd := rand.New(rand.NewPCG(r.seed, uint64(id)+10))
	w := &versionWriter{run: r, id: id, rand: rnd}
	defer w.close()
	known := map[string]uint64{}
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("k%d-%d", r.kills.Load()/2, rnd.IntN(versionKeys))
		_, some := known[key]
		a := history.Access{Client: id, Key: key, Read: !some || rnd.IntN(readOneIn) == 0, Expect: known[key], Value: fmt.Sprintf("%d-%d", id, n)}
		if a.Expect > 0 && rnd.IntN(expectOldOneIn) == 0 {
			a.Expect--
		}
		a.Call = time.Since(r.began).Nanoseconds()
		var err error
		switch {
		case a.Read:
			err = r.read(ctx, &a)
		case id%2 == 0:
			err = r.appendHTTP(ctx, &a)
		default:
			err = w.appendKafka(ctx, &a)
		}
		a.Return = time.Since(r.began).Nanoseconds()
		if errors.Is(err, errNotSent) {
			wait(ctx, 10*accessPauseMax)
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case a.Answer == history.Done && !a.Read:
			known[key] = a.Expect + 1
		case a.Answer == history.Done || a.Answer == history.Refused && a.Version > 0:
			known[key] = a.Version
		default:
			delete(known, key) // and look
		}
		r.mu.Lock()
		r.all = append(r.all, a)
		r.mu.Unlock()
		wait(ctx, time.Duration(rnd.Int64N(int64(accessPauseMax))))
	}
	return nil
}

// ask makes one request, once.
func (r *versionRun) ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, accessTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+r.node.http+path, io.NopCloser(bytes.NewReader(body))) // whose body cannot be sent again
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	a, err := r.node.client.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, answerBytesMax))
	return a.StatusCode, text, err
}

func (r *versionRun) read(ctx context.Context, a *history.Access) error {
	status, text, err := r.ask(ctx, http.MethodGet, "/v1/streams/"+versionStream+"/events?direction=backward&limit=1&key="+a.Key, nil)
	a.Value = ""
	if err != nil || status == http.StatusServiceUnavailable {
		return nil //nolint:nilerr // not answered: it is Lost
	}
	var p struct {
		Events []struct {
			Data   string `json:"data"`
			Base64 []byte `json:"data_base64"`
		} `json:"events"`
		Stored []struct {
			Version uint64 `json:"version"`
		} `json:"stored"`
	}
	if err := json.Unmarshal(text, &p); err != nil || status != http.StatusOK {
		return fmt.Errorf("reading %s: %d %.300s %w", a.Key, status, text, err)
	}
	a.Answer = history.Done
	if len(p.Stored) > 0 {
		a.Version, a.Value = p.Stored[0].Version, p.Events[0].Data+string(p.Events[0].Base64)
	}
	return nil
}

func (r *versionRun) appendHTTP(ctx context.Context, a *history.Access) error {
	expect := any("none")
	if a.Expect > 0 {
		expect = a.Expect
	}
	body, err := json.Marshal(map[string]any{
		"events": []any{map[string]any{
			"stream": versionStream, "specversion": "1.0", "id": a.Value, "source": "/jepsen", "type": "jepsen.test", "partitionkey": a.Key, "datacontenttype": "text/plain", "data": a.Value,
		}},
		"if": []any{map[string]any{"stream": versionStream, "key": a.Key, "version": expect}},
	})
	if err != nil {
		return err
	}
	status, text, err := r.ask(ctx, http.MethodPost, "/v1/append", body)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errNotSent
	case err != nil || status == http.StatusServiceUnavailable:
		return nil //nolint:nilerr // nobody knows: it is Lost
	case status == http.StatusOK || status == http.StatusCreated:
		a.Answer = history.Done
		var d struct {
			Events []struct {
				Version uint64 `json:"version"`
			} `json:"events"`
		}
		if err := json.Unmarshal(text, &d); err != nil || len(d.Events) != 1 {
			return fmt.Errorf("an append was answered %.300s %w", text, err)
		}
		a.Version = d.Events[0].Version
	case status == http.StatusConflict:
		a.Answer = history.Refused
		var d struct {
			Failed []struct {
				Current any `json:"current"`
			} `json:"failed"`
		}
		if err := json.Unmarshal(text, &d); err != nil || len(d.Failed) != 1 {
			return fmt.Errorf("a conflict was answered %.300s %w", text, err)
		}
		if v, is := d.Failed[0].Current.(float64); is {
			a.Version = uint64(v)
		}
	default:
		return fmt.Errorf("POST /v1/append was answered %d %.300s", status, text)
	}
	return nil
}

// versionWriter appends by Kafka. The client sends again by itself what was not answered: its sequence numbers make that one append.
type versionWriter struct {
	run  *versionRun
	id   int
	rand *rand.Rand
	c    *kgo.Client
}

func (w *versionWriter) close() {
	if w.c != nil {
		w.c.Close()
		w.c = nil
	}
}

func (w *versionWriter) appendKafka(ctx context.Context, a *history.Access) error {
	if w.c == nil {
		c, err := kgo.NewClient(kgo.SeedBrokers(w.run.node.kafka), kgo.ClientID(strconv.Itoa(w.id)), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
			kgo.MetadataMinAge(50*time.Millisecond), kgo.RequestRetries(1<<20), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return err
		}
		w.c = c
	}
	expect := "none"
	if a.Expect > 0 {
		expect = strconv.FormatUint(a.Expect, 10)
	}
	limit := accessTimeout
	if w.rand.IntN(impatientOneIn) == 0 {
		limit = time.Duration(w.rand.Int64N(int64(impatientMax)))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := w.c.ProduceSync(ctx, &kgo.Record{ // to any partition: the version is of the key in all of them
		Topic: versionStream, Partition: w.rand.Int32N(versionParts), Key: []byte(a.Key), Value: []byte(a.Value), Headers: []kgo.RecordHeader{{Key: headerOfVersion, Value: []byte(expect)}},
	}).FirstErr()
	switch {
	case err == nil:
		a.Answer = history.Done
	case errors.Is(err, kerr.InvalidRecord):
		a.Answer = history.Refused
	default:
		w.close()
	}
	return nil
}
