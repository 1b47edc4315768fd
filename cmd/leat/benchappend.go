package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"leat/internal/clock"
)

// In which order keys are appended to.
const (
	orderRandom   = "random"   // each batch takes keys from anywhere, so that some are new and some are not
	orderSequence = "sequence" // each batch takes the next ones, and all are new until the walk begins again
)

// fillBatchMax is how many keys --existing makes in one request.
const fillBatchMax = 1000

// benchAppend has every connection append to keys of its own, batch after batch; each event demands the version that the connection saw
// last. All of a batch is appended or nothing.
func benchAppend(ctx context.Context, c *client, stream string, o benchOptions) (measured, error) {
	walks := make([]keyWalk, o.connections)
	for i := range walks {
		walks[i] = newKeyWalk(i, o.keys/o.connections, o.order == orderRandom)
	}
	data := strings.Repeat("x", o.size)
	if o.existing {
		const nobodyWaitsLonger = 24 * time.Hour
		o.say("append: writing %d keys, which is not measured", o.keys)
		if _, err := each(ctx, c, o.connections, nobodyWaitsLonger, func(ctx context.Context, conn int, r *rawConn, m *measured) error {
			w := walks[conn].inOrder()
			for batch := min(fillBatchMax, len(w.versions)); w.at < len(w.versions) && ctx.Err() == nil; {
				if err := w.append(c, r, stream, min(batch, len(w.versions)-w.at), data); err != nil {
					return err
				}
			}
			return ctx.Err()
		}); err != nil {
			return measured{}, fmt.Errorf("keys that exist: %w", err)
		}
		o.say("append: %v", o.duration)
	}
	return each(ctx, c, o.connections, o.duration, func(ctx context.Context, conn int, r *rawConn, m *measured) error {
		w := &walks[conn]
		for ctx.Err() == nil {
			start := clock.Now()
			if err := w.append(c, r, stream, o.batch, data); err != nil {
				return err
			}
			m.latency.add(int64(clock.Since(start)))
			m.requests++
			m.events += uint64(o.batch)
		}
		return nil
	})
}

// keyWalk is the keys of one connection and the way through them.
type keyWalk struct {
	conn     int
	versions []uint64 // of each key, as the node said it last
	at       int      // where a walk in order stands
	random   *rand.Rand
	taken    []uint32 // in which request a key was last taken; a batch has each of its keys once
	request  uint32
	keys     []int // of the batch
	body     []byte
}

func newKeyWalk(conn, keys int, random bool) keyWalk {
	w := keyWalk{conn: conn, versions: make([]uint64, keys)}
	if random {
		w.random, w.taken = rand.New(rand.NewPCG(uint64(conn), uint64(keys))), make([]uint32, keys)
	}
	return w
}

// inOrder is a walk through the same keys, one after the other.
func (w *keyWalk) inOrder() *keyWalk { return &keyWalk{conn: w.conn, versions: w.versions} }

// next picks the keys of the next batch.
func (w *keyWalk) next(n int) []int {
	w.keys = w.keys[:0]
	w.request++
	for len(w.keys) < n {
		k := w.at % len(w.versions)
		if w.random == nil {
			w.at++
		} else if k = w.random.IntN(len(w.versions)); w.taken[k] == w.request {
			continue
		} else {
			w.taken[k] = w.request
		}
		w.keys = append(w.keys, k)
	}
	return w.keys
}

// append sends one batch, and takes the versions from the answer.
func (w *keyWalk) append(c *client, r *rawConn, stream string, n int, data string) error {
	keys := w.next(n)
	w.body = appendBody(w.body[:0], stream, w.conn, keys, w.versions, data)
	answer, err := r.do(rawHead(c, "POST", "/v1/append", "application/json", len(w.body)), w.body)
	if err != nil {
		return err
	}
	return takeVersions(answer, keys, w.versions)
}

func appendBody(b []byte, stream string, conn int, keys []int, versions []uint64, data string) []byte {
	key := func(k int) {
		b = append(b, 'k')
		b = strconv.AppendInt(b, int64(conn), 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, int64(k), 10)
	}
	b = append(b, `{"events":[`...)
	for _, k := range keys {
		b = append(append(append(b, `{"stream":"`...), stream...), `","partitionkey":"`...)
		key(k)
		b = append(append(append(b, `","datacontenttype":"text/plain","data":"`...), data...), `"},`...)
	}
	b = append(b[:len(b)-1], `],"if":[`...)
	for _, k := range keys {
		b = append(append(append(b, `{"stream":"`...), stream...), `","key":"`...)
		key(k)
		b = append(b, `","version":`...)
		if v := versions[k]; v == 0 {
			b = append(b, `"none"`...)
		} else {
			b = strconv.AppendUint(b, v, 10)
		}
		b = append(b, `},`...)
	}
	return append(b[:len(b)-1], `]}`...)
}

// takeVersions reads the versions that an append was given, in the order of its events.
func takeVersions(answer []byte, keys []int, versions []uint64) error {
	const member = `"version":`
	for i, k := range keys {
		at := bytes.Index(answer, []byte(member))
		if at < 0 {
			return fmt.Errorf("the answer has versions for %d of %d events; does the stream keep versions?", i, len(keys))
		}
		answer = answer[at+len(member):]
		n := 0
		for n < len(answer) && answer[n] >= '0' && answer[n] <= '9' {
			n++
		}
		v, err := strconv.ParseUint(string(answer[:n]), 10, 64)
		if err != nil {
			return fmt.Errorf("version %q: %w", answer[:n], err)
		}
		versions[k] = v
	}
	return nil
}
