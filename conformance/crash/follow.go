package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	followLineMax = 1 << 20
	// followCatchUp is how long a follower is given for what it has not had when the producers are done.
	followCatchUp = 20 * time.Second
)

// follower reads one stream by server-sent events through all kills. It comes back with the last id it saw, and must miss nothing and get
// nothing twice.
type follower struct {
	stream string
	mu     sync.Mutex
	got    []string // data, in the order it came
	wrong  error
	comes  int // connections that brought something
}

// followed are the streams that are followed: one written by each gateway. No event is in them twice.
var followed = []string{"idempotent", "single"}

func (k *killer) follow(ctx context.Context) []*follower {
	fs := make([]*follower, len(followed))
	for i, s := range followed {
		f := &follower{stream: s}
		fs[i] = f
		go func() {
			for last := ""; ctx.Err() == nil && f.wrong == nil; {
				f.connect(ctx, k, &last)
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
	}
	return fs
}

// connect follows until the connection ends. Only an event that arrived whole, up to its empty line, has been seen.
func (f *follower) connect(ctx context.Context, k *killer, last *string) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+k.http+"/v1/streams/"+f.stream+"/events?from=earliest", nil)
	if err != nil {
		f.fail(err)
		return
	}
	q.Header.Set("Accept", "text/event-stream")
	if *last != "" {
		q.Header.Set("Last-Event-ID", *last)
	}
	r, err := k.client.Do(q)
	if err != nil {
		return // it is dead; it will be back
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		if r.StatusCode != http.StatusServiceUnavailable {
			f.fail(fmt.Errorf("resume after %q: %s", *last, r.Status))
		}
		return
	}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, followLineMax)
	id, data, any := "", "", false
	for lines.Scan() {
		line := lines.Text()
		if v, ok := strings.CutPrefix(line, "id: "); ok {
			id = v
		} else if v, ok := strings.CutPrefix(line, "data: "); ok {
			data = v
		} else if line == "" && data != "" {
			if id == "" {
				return // a problem at the end of a stream
			}
			var e pageEvent
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				f.fail(fmt.Errorf("event %.200q: %w", data, err))
				return
			}
			text, err := e.text()
			if err != nil {
				f.fail(err)
				return
			}
			f.mu.Lock()
			f.got = append(f.got, text)
			if !any {
				f.comes++
			}
			f.mu.Unlock()
			*last, id, data, any = id, "", "", true
		}
	}
}

func (f *follower) fail(err error) {
	f.mu.Lock()
	f.wrong = err
	f.mu.Unlock()
}

func (f *follower) count() (events, connections int, wrong error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got), f.comes, f.wrong
}

// judge waits until the follower has had as much as is stored, and compares.
func (f *follower) judge(history map[partitionOf][]stored, r *report) {
	places, want := map[string]place{}, 0
	for part, events := range history {
		if part.stream == f.stream {
			want += len(events)
			for _, e := range events {
				places[e.data] = e.at
			}
		}
	}
	deadline := time.Now().Add(followCatchUp)
	for {
		n, _, wrong := f.count()
		if n >= want || wrong != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrong != nil {
		r.add("follower of %s: %v", f.stream, f.wrong)
	}
	followedRight(f.stream, f.got, places, want, r)
}

// followedRight checks that what came is what is stored, in the order of each partition, once.
func followedRight(stream string, got []string, places map[string]place, want int, r *report) {
	next := map[int32]int64{}
	for _, data := range got {
		at, ok := places[data]
		if !ok {
			r.add("follower of %s was given %.60q, which is not stored", stream, data)
			continue
		}
		if n := next[at.partition]; at.offset != n {
			r.add("follower of %s was given %v, next is offset %d", stream, at, n)
		}
		next[at.partition] = at.offset + 1
	}
	if len(got) != want {
		r.add("follower of %s was given %d events, %d are stored", stream, len(got), want)
	}
}
