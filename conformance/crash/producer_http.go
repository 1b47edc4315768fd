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
	"time"
)

const (
	batchEvents       = 10
	answerBytesMax    = 4 << 20
	requestTimeout    = 10 * time.Second
	finishTimeout     = 30 * time.Second // after the last start
	rivalKeys         = 8
	conditionalStream = "conditional"
)

// answered is what an append says of one event.
type answered struct {
	Ref       string `json:"ref"`
	ID        string `json:"id"`
	Version   uint64 `json:"version"`
	Duplicate bool   `json:"duplicate"`
}

var errConflict = errors.New("a condition failed")

// send repeats a request until it is answered, as a careful client does: the ids in it make that safe. Conflicts are the caller's.
func (k *killer) send(ctx context.Context, path, kind string, body []byte) (text []byte, tries int, err error) {
	for {
		tries++
		status, text, err := k.request(ctx, http.MethodPost, path, kind, body)
		switch {
		case err == nil && (status == http.StatusOK || status == http.StatusCreated):
			return text, tries, nil
		case err == nil && status == http.StatusConflict:
			return text, tries, errConflict
		case err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
			k.ledger.fault("POST %s was answered %d: %.300s", path, status, text)
		}
		select {
		case <-ctx.Done():
			return nil, tries, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (k *killer) request(ctx context.Context, method, path, kind string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://"+k.http+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if kind != "" {
		q.Header.Set("Content-Type", kind)
	}
	r, err := k.client.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, answerBytesMax))
	return r.StatusCode, text, err
}

// event is a CloudEvent in JSON; stream is set in an atomic append only.
type event struct {
	Stream  string `json:"stream,omitempty"`
	Spec    string `json:"specversion"`
	ID      string `json:"id"`
	Source  string `json:"source"`
	Type    string `json:"type"`
	Key     string `json:"partitionkey"`
	Content string `json:"datacontenttype"`
	Data    string `json:"data"`
}

func (k *killer) event(name string, seq int, key string) event {
	return event{Spec: "1.0", ID: strconv.Itoa(seq), Source: "/crash/" + name, Type: "crash.test", Key: key, Content: "text/plain", Data: payload(k.seed, name, seq)}
}

// promised turns answers into promises. An event that was sent once only cannot be a duplicate.
func (k *killer) promised(name string, events []event, answers []answered, tries int) {
	if len(answers) != len(events) {
		k.ledger.fault("%s: %d answers for %d events", name, len(answers), len(events))
		return
	}
	out := make([]promise, len(events))
	for i, a := range answers {
		at, err := parsePlace(a.Ref)
		seq, _ := strconv.Atoi(events[i].ID)
		if err != nil || a.ID != events[i].ID {
			k.ledger.fault("%s %d was answered with %+v: %v", name, seq, a, err)
			return
		}
		if a.Duplicate && tries == 1 {
			k.ledger.fault("%s %d was sent once and is said to be a duplicate", name, seq)
		}
		if a.Duplicate {
			k.duplicates.Add(1)
		}
		out[i] = promise{producer: name, seq: seq, at: at, key: events[i].Key, version: a.Version}
	}
	k.ledger.keep(out...)
}

func (k *killer) produceSingle(ctx context.Context, name string, r *rand.Rand) error {
	for seq := 0; ctx.Err() == nil; seq++ {
		e := k.event(name, seq, fmt.Sprintf("%s-key-%d", name, r.IntN(keys)))
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		text, tries, err := k.send(k.finish, "/v1/streams/single/events", "application/cloudevents+json", body)
		if err != nil {
			return k.gaveUp(name, seq, err)
		}
		var a answered
		if err := json.Unmarshal(text, &a); err != nil {
			return fmt.Errorf("%s %d was answered with %.200q: %w", name, seq, text, err)
		}
		k.promised(name, []event{e}, []answered{a}, tries)
		pause(ctx, r)
	}
	return nil
}

// gaveUp is how a producer ends that was not answered by the end of the run.
func (k *killer) gaveUp(name string, seq int, err error) error {
	return fmt.Errorf("%s %d was not answered although the node runs: %w", name, seq, err)
}

func (k *killer) produceBatch(ctx context.Context, name string, r *rand.Rand) error {
	for seq := 0; ctx.Err() == nil; seq += batchEvents {
		events := make([]event, batchEvents)
		for i := range events {
			events[i] = k.event(name, seq+i, fmt.Sprintf("%s-key-%d", name, r.IntN(keys)))
		}
		body, err := json.Marshal(events)
		if err != nil {
			return err
		}
		text, tries, err := k.send(k.finish, "/v1/streams/batch/events", "application/cloudevents-batch+json", body)
		if err != nil {
			return k.gaveUp(name, seq, err)
		}
		var a []answered
		if err := json.Unmarshal(text, &a); err != nil {
			return fmt.Errorf("%s %d was answered with %.200q: %w", name, seq, text, err)
		}
		k.promised(name, events, a, tries)
		pause(ctx, r)
	}
	return nil
}

// produceAtomic appends an event to "left" and the same to "right": both or neither.
func (k *killer) produceAtomic(ctx context.Context, name string, r *rand.Rand) error {
	for seq := 0; ctx.Err() == nil; seq++ {
		key := fmt.Sprintf("%s-key-%d", name, r.IntN(keys))
		left, right := k.event(name, seq, key), k.event(name, seq, key)
		left.Stream, right.Stream = "left", "right"
		if _, err := k.appendOnce(name, seq, []event{left, right}, nil); err != nil {
			return err
		}
		pause(ctx, r)
	}
	return nil
}

// condition is one of an atomic append's.
type condition struct {
	Stream  string `json:"stream"`
	Key     string `json:"key"`
	Version any    `json:"version"`
}

// appendOnce appends and keeps the promises; with a conflict it returns the version that is there.
func (k *killer) appendOnce(name string, seq int, events []event, conditions []condition) (current uint64, err error) {
	body, err := json.Marshal(map[string]any{"events": events, "if": append([]condition{}, conditions...)})
	if err != nil {
		return 0, err
	}
	text, tries, err := k.send(k.finish, "/v1/append", "application/json", body)
	if errors.Is(err, errConflict) {
		return conflictVersion(text)
	}
	if err != nil {
		return 0, k.gaveUp(name, seq, err)
	}
	var a struct {
		Events []answered `json:"events"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return 0, fmt.Errorf("%s %d was answered with %.200q: %w", name, seq, text, err)
	}
	k.promised(name, events, a.Events, tries)
	if len(conditions) > 0 && len(a.Events) > 0 {
		if a.Events[0].Version == 0 && !a.Events[0].Duplicate {
			k.ledger.fault("%s %d was appended with an expected version and answered without one: %.200s", name, seq, text)
		}
		return a.Events[0].Version, nil
	}
	return 0, nil
}

// conflictVersion reads the version that a 409 says is there, and returns it with errConflict.
func conflictVersion(text []byte) (uint64, error) {
	var p struct {
		Failed []struct {
			Current any `json:"current"`
		} `json:"failed"`
	}
	if err := json.Unmarshal(text, &p); err != nil || len(p.Failed) != 1 {
		return 0, fmt.Errorf("a conflict that does not name one failed condition: %.300s", text)
	}
	switch v := p.Failed[0].Current.(type) {
	case float64:
		return uint64(v), errConflict
	case string:
		if v == "none" {
			return 0, errConflict
		}
	}
	return 0, fmt.Errorf("a conflict without the current version: %.300s", text)
}

// produceConditional has rivals append to the same keys, each with the version it believes to be there. The number of an event goes up with
// every success only, so that what was refused must never be stored.
func (k *killer) produceConditional(ctx context.Context, name string, r *rand.Rand) error {
	versions := make([]uint64, rivalKeys)
	for seq := 0; ctx.Err() == nil; {
		i := r.IntN(rivalKeys)
		key := fmt.Sprintf("account-%d", i)
		c := condition{Stream: conditionalStream, Key: key, Version: any("none")}
		if versions[i] > 0 {
			c.Version = versions[i]
		}
		e := k.event(name, seq, key)
		e.Stream = conditionalStream
		now, err := k.appendOnce(name, seq, []event{e}, []condition{c})
		switch {
		case errors.Is(err, errConflict):
			if now == versions[i] {
				k.ledger.fault("%s %d: key %s was expected at %d, and a conflict says that it is at %d", name, seq, key, versions[i], now)
			}
			k.conflicts.Add(1)
		case err != nil:
			return err
		case now == 0: // a duplicate is answered without its version; it is the next one, or there would have been a conflict
			now = versions[i] + 1
			seq++
		default:
			if now <= versions[i] {
				k.ledger.fault("%s %d: key %s went from version %d to %d", name, seq, key, versions[i], now)
			}
			seq++
		}
		versions[i] = max(now, versions[i])
		pause(ctx, r)
	}
	return nil
}
