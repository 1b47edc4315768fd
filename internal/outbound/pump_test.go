package outbound

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// count gives n requests, then the end.
func count(n int) func(context.Context) (*Request, error) {
	return func(context.Context) (*Request, error) {
		if n--; n < 0 {
			return nil, io.EOF
		}
		return &Request{Body: []byte("x"), Tag: n}, nil
	}
}

func TestPump_SendsAllWithinItsConcurrency(t *testing.T) {
	var now, most, came atomic.Int32
	full := make(chan struct{}) // five were there at once
	fill := sync.OnceFunc(func() { close(full) })
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		if n == 5 {
			fill()
		}
		if came.Add(1) > 100 { // by then it has grown to all it may be
			<-full
		}
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		now.Add(-1)
	})
	e := endpoint(t, local(t, nil), s.URL, func(e *EndpointConfig) { e.Policy.Concurrency = 5 })
	var mu sync.Mutex
	seen := map[any]bool{}
	err := e.Pump(context.Background(), count(200), func(r *Request, res Result) {
		mu.Lock()
		defer mu.Unlock()
		res.expect(t, Delivered, 200)
		seen[r.Tag] = true
	})
	if err != nil || len(seen) != 200 {
		t.Fatalf("%v; %d of 200 done", err, len(seen))
	}
	if most.Load() != 5 {
		t.Errorf("%d at once; the concurrency is 5", most.Load())
	}
	if f := e.Figures(); f.Outcomes[Delivered] != 200 || f.Sending != 0 || f.Bytes != 200 || f.Allow != 5 {
		t.Errorf("%+v", f)
	}
}

func TestPump_OneAtATimeKeepsTheOrder(t *testing.T) {
	var got []byte
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, b...)
	})
	e := endpoint(t, local(t, nil), s.URL, func(e *EndpointConfig) { e.Policy.Concurrency = 1 })
	n := byte('a')
	next := func(context.Context) (*Request, error) {
		if n > 'z' {
			return nil, io.EOF
		}
		n++
		return &Request{Body: []byte{n - 1}}, nil
	}
	if err := e.Pump(context.Background(), next, func(_ *Request, r Result) { r.expect(t, Delivered, 200) }); err != nil {
		t.Fatal(err)
	}
	if string(got) != "abcdefghijklmnopqrstuvwxyz" {
		t.Errorf("%s", got)
	}
}

func TestPump_RateIsKept(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := endpoint(t, local(t, nil), s.URL, func(e *EndpointConfig) { e.Policy.Rate, e.Policy.Burst = 100, 1 })
	began := time.Now()
	if err := e.Pump(context.Background(), count(21), func(*Request, Result) {}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond { // the most is the machine's affair
		t.Errorf("21 at 100 a second in %v", took)
	}
}

// While the endpoint is down, nothing is taken from the source but a probe now and then, and nothing is lost when it comes back.
func TestPump_SickEndpointTakesNothingAndComesBack(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var delivered atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(503)
			return
		}
		delivered.Add(1)
	})
	p := DefaultPolicy()
	p.FailuresMax, p.OpenFirst, p.OpenMost = 3, 20*time.Millisecond, 40*time.Millisecond
	e := endpoint(t, local(t, nil), s.URL, func(e *EndpointConfig) { e.Policy = p })
	pending := make(chan int, 100)
	for i := range 50 {
		pending <- i
	}
	var taken atomic.Int32
	ctx, cancel := context.WithCancel(context.Background())
	var changes []State
	var mu sync.Mutex
	ended, began := make(chan error), time.Now()
	go func() {
		ended <- e.Pump(ctx, func(ctx context.Context) (*Request, error) {
			select {
			case n := <-pending:
				taken.Add(1)
				return &Request{Tag: n}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, func(r *Request, res Result) {
			if res.Outcome != Delivered {
				pending <- r.Tag.(int)
			}
			if res.Change != nil {
				mu.Lock()
				changes = append(changes, res.Change.To)
				mu.Unlock()
			}
		})
	}()
	until(t, "two probes", func() bool { return taken.Load() >= int32(p.FailuresMax)+2 })
	// The gate opens at the third failure, and probes with pauses of OpenFirst and more.
	if n, most := taken.Load(), int32(p.FailuresMax)+2+int32(time.Since(began)/p.OpenFirst); n > most {
		t.Errorf("%d deliveries were tried on an endpoint that was down; at most %d may be", n, most)
	}
	down.Store(false)
	until(t, "all are delivered", func() bool { return delivered.Load() == 50 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if delivered.Load() != 50 || len(changes) < 2 || changes[0] != Open || changes[len(changes)-1] != Closed {
		t.Errorf("%d delivered, changes %v", delivered.Load(), changes)
	}
}

func TestPump_PausedAndResumed(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := endpoint(t, local(t, nil), s.URL, func(e *EndpointConfig) { e.Paused = "by its owner" })
	if f := e.Figures(); f.State != Paused || f.Why != "by its owner" {
		t.Errorf("%+v", f)
	}
	var sent atomic.Int32
	ended := make(chan error)
	go func() {
		ended <- e.Pump(context.Background(), count(3), func(*Request, Result) { sent.Add(1) })
	}()
	time.Sleep(20 * time.Millisecond)
	if sent.Load() != 0 {
		t.Error("something was sent")
	}
	if c, ok := e.Resume(); !ok || c.From != Paused || c.To != Closed {
		t.Errorf("%+v", c)
	}
	if err := <-ended; err != nil || sent.Load() != 3 {
		t.Errorf("%v, %d sent", err, sent.Load())
	}

	// A ticket from before the pause is worth nothing.
	tk, err := e.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	e.Pause("again")
	if r := e.Send(context.Background(), tk, &Request{}).expect(t, Unsent, 0); !errors.Is(r.Err, ErrPaused) {
		t.Error(r.Err)
	}
}

func TestPump_CloseEndsIt(t *testing.T) {
	came := make(chan struct{})
	url := raw(t, func(c net.Conn) {
		http.ReadRequest(bufio.NewReader(c))
		came <- struct{}{}
	})
	e := endpoint(t, local(t, nil), url, nil)
	ended := make(chan error)
	var last Result
	go func() {
		ended <- e.Pump(context.Background(), count(10), func(_ *Request, r Result) { last = r })
	}()
	<-came
	e.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if last.Outcome != Retry || !last.Reached || !errors.Is(last.Err, ErrClosed) {
		t.Errorf("%+v", last)
	}
}

// Many who wait: each permission reaches somebody, also when the one who was woken gives up.
func TestAcquire_NoPermissionIsLost(t *testing.T) {
	c := local(t, nil)
	e := endpoint(t, c, "http://127.0.0.1:1", func(e *EndpointConfig) { e.Policy.Concurrency = 1 })
	var got atomic.Int32
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx := context.Background()
			if i%2 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*20*time.Microsecond)
				defer cancel()
			}
			tk, err := e.Acquire(ctx)
			if err != nil {
				return
			}
			got.Add(1)
			time.Sleep(10 * time.Microsecond)
			e.Release(tk)
		})
	}
	all.Wait()
	if got.Load() < 100 {
		t.Errorf("%d of the hundred who waited without end got a ticket", got.Load())
	}
}

// A dead endpoint holds one connection, and takes nothing from one beside it.
func TestPump_DeadEndpointCostsOthersNothing(t *testing.T) {
	const n = 500
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	dead := raw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	c := local(t, func(c *Config) { c.ConnsMax = 64 })
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	var sick []*Endpoint
	for range 8 {
		e := endpoint(t, c, dead, nil)
		sick = append(sick, e)
		ended.Go(func() { e.Pump(ctx, count(n), func(*Request, Result) {}) })
	}
	for _, e := range sick {
		until(t, "a request to each dead one", func() bool { return e.Figures().Sending > 0 })
	}
	well := endpoint(t, c, s.URL, nil)
	if err := well.Pump(ctx, count(n), func(_ *Request, r Result) { r.expect(t, Delivered, 200) }); err != nil {
		t.Fatal(err)
	}
	for _, e := range sick {
		if f := e.Figures(); f.Sending != 1 || f.Outcomes != (Figures{}).Outcomes {
			t.Errorf("%d under way, %v", f.Sending, f.Outcomes)
		}
	}
	if f := well.Figures(); f.Outcomes[Delivered] != n {
		t.Errorf("%v", f.Outcomes)
	}
	if f := c.Figures(); f.Conns > 8+33 || f.NoRoom > 0 {
		t.Errorf("%+v", f)
	}
	cancel()
	ended.Wait()
}
