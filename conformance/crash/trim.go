package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// trimmedStreams are truncated all the while when keeping: one written by each gateway, not followed.
var trimmedStreams = []string{"plain", "left"}

const (
	trimEvery = 40 * time.Millisecond
	trimSteps = 24 // between two checks, so that kills fall between them
)

// trimmer truncates streams, by small steps and never beyond what a check has read: so that everything the checker asks for is known.
type trimmer struct {
	k     *killer
	done  chan struct{}
	err   error
	mu    sync.Mutex // around one truncation until it is answered, and around reading everything
	seen  map[partitionOf][]stored
	start map[partitionOf]int64 // answered
}

// trim starts the trimmer; without keeping, one that does nothing.
func (k *killer) trim(ctx context.Context) *trimmer {
	t := &trimmer{k: k, done: make(chan struct{}), seen: map[partitionOf][]stored{}, start: map[partitionOf]int64{}}
	go func() {
		defer close(t.done)
		for n := 0; k.keeping && ctx.Err() == nil && t.err == nil; n++ {
			t.err = t.once(partitionOf{trimmedStreams[n%len(trimmedStreams)], int32(n / len(trimmedStreams) % partitions)})
			select {
			case <-ctx.Done():
			case <-time.After(trimEvery):
			}
		}
	}()
	return t
}

// wait waits until the trimmer has ended.
func (t *trimmer) wait() error {
	<-t.done
	return t.err
}

// once truncates a partition a little further. It asks until it is answered.
func (t *trimmer) once(part partitionOf) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := int64(len(t.seen[part]))
	before := min(t.start[part]+known/trimSteps+1, known-1)
	if before <= t.start[part] {
		return nil
	}
	body := fmt.Sprintf(`{"before":{"offset":%d},"partition":%d}`, before, part.partition)
	text, _, err := t.k.send(t.k.finish, "/v1/streams/"+part.stream+"/truncate", "application/json", []byte(body))
	if err != nil {
		return fmt.Errorf("truncate %v before %d: %w", part, before, err)
	}
	var a struct {
		Partitions []struct {
			Partition int32 `json:"partition"`
			Start     int64 `json:"start"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	for _, p := range a.Partitions {
		if p.Partition == part.partition && p.Start != before {
			t.k.ledger.fault("%v was truncated before %d and is said to begin at %d", part, before, p.Start)
		}
	}
	t.start[part] = before
	return nil
}

// complete puts the truncated beginnings back into a reading, from what was read before, and remembers the reading. It says where a partition does
// not begin where it was told to.
func (t *trimmer) complete(history map[partitionOf][]stored) (wrong []string) {
	for part := range maps.Clone(history) {
		events, want := history[part], t.start[part]
		if len(events) == 0 {
			continue
		}
		if got := events[0].at.offset; got != want {
			wrong = append(wrong, fmt.Sprintf("%v begins at offset %d, want %d", part, got, want))
			continue
		}
		history[part] = append(t.seen[part][:want:want], events...)
	}
	for _, s := range trimmedStreams {
		for p := range int32(partitions) {
			part := partitionOf{s, p}
			if len(t.seen[part]) > 0 && len(history[part]) == 0 {
				wrong = append(wrong, fmt.Sprintf("%v is empty, and was truncated before %d of %d", part, t.start[part], len(t.seen[part])))
			}
			t.seen[part] = history[part]
		}
	}
	return wrong
}

func (t *trimmer) startOf(part partitionOf) int64 { return t.start[part] }

// historyStreams keep the records of each key when keeping; the truncated one among them shows that the index forgets what the stream has.
var historyStreams = []string{"single", "left"}

// sameByKey reads keys one by one and compares each with what its partition gave. Events that came since are passed over, and so is all when the
// streams keep no keys.
func (k *killer) sameByKey(ctx context.Context, history map[partitionOf][]stored, r *report) error {
	if !k.keeping {
		return nil
	}
	for _, s := range append([]string{conditionalStream}, historyStreams...) {
		byKey := map[string][]stored{}
		for p := range int32(partitions) {
			part := partitionOf{s, p}
			for _, e := range history[part] {
				byKey[e.key] = append(byKey[e.key], e)
			}
		}
		for key, want := range byKey {
			first := 0
			for first < len(want) && want[first].at.offset < k.trimmer.startOf(partitionOf{s, want[first].at.partition}) {
				first++
			}
			if err := k.readKey(ctx, s, key, want, first, r); err != nil {
				return fmt.Errorf("key %q of %s: %w", key, s, err)
			}
		}
	}
	return nil
}

// readKey reads the events of a key, of which the first ones have been truncated.
func (k *killer) readKey(ctx context.Context, stream, key string, want []stored, first int, r *report) error {
	from, n := "earliest", first
	for {
		p, err := k.page(ctx, stream, from, "&key="+key)
		if err != nil {
			return err
		}
		for i, e := range p.Events {
			if i >= len(p.Stored) {
				return fmt.Errorf("%d events, %d places", len(p.Events), len(p.Stored))
			}
			if n >= len(want) {
				return nil
			}
			ref, err := parsePlace(p.Stored[i].Ref)
			if err != nil {
				return err
			}
			data, err := e.text()
			if err != nil {
				return err
			}
			if w := want[n]; w.at != ref || w.data != data || e.Key != key {
				r.add("key %s of %s: number %d is %v, %.60q; expected %v", key, stream, n, ref, data, w.at)
				return nil
			}
			if v := p.Stored[i].Version; stream == conditionalStream && v != uint64(n+1) {
				r.add("key %s of %s: number %d at %v has version %d", key, stream, n, ref, v)
			}
			n++
		}
		if p.CaughtUp {
			break
		}
		from = p.Next
	}
	if n < len(want) {
		r.add("key %s of %s has %d events, expected %d", key, stream, n-first, len(want)-first)
	}
	return nil
}

// keptEnough says what was made meanwhile, by the numbers in the names of files, and complains when kills cannot have met any of it.
func (k *killer) keptEnough() error {
	if !k.keeping {
		return nil
	}
	segments, err := k.highest("segment-*.seg")
	if err != nil {
		return err
	}
	keys, err := k.highest("keys-*")
	if err != nil {
		return err
	}
	trimmed := int64(0)
	for _, n := range k.trimmer.start {
		trimmed += n
	}
	fmt.Fprintf(k.out, "%d segment files and %d key files were made, %d events truncated\n", segments, keys, trimmed)
	if segments < uint64(k.early+k.late) || keys < uint64(k.early+k.late)/2 || trimmed == 0 && k.early+k.late > k.checkEvery {
		return errors.New("too little has left the journal for the kills to mean anything")
	}
	return nil
}

// highest is the greatest number, in hex, among the names of files below the data directory.
func (k *killer) highest(pattern string) (most uint64, err error) {
	names, err := filepath.Glob(filepath.Join(k.dir, "data", "*", "*", pattern))
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		n, err := strconv.ParseUint(base[strings.LastIndexByte(base, '-')+1:], 16, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		most = max(most, n)
	}
	return most, err
}
