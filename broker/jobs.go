package broker

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// jobsMax bounds how many kinds of background work are remembered.
const jobsMax = 256

// JobState is how one kind of background work went last.
type JobState struct {
	Name   string    `json:"name"`
	Error  string    `json:"error,omitempty"` // of the last time; "" when it was well
	Since  time.Time `json:"since"`           // that it is so
	Failed int64     `json:"failed"`          // times since the start
}

type jobs struct {
	mu      sync.Mutex
	state   map[string]*JobState
	lagging map[string]bool
}

// Job notes the outcome of background work, each time it has been done: nil is success. That it has begun to fail, and that it is well again,
// is told in the system stream; what lies between is only counted.
func (b *Broker) Job(name string, err error) {
	j, now := &b.jobs, b.opt.Clock.Now()
	j.mu.Lock()
	s := j.state[name]
	if s == nil {
		if len(j.state) >= jobsMax {
			j.mu.Unlock()
			return
		}
		if j.state == nil {
			j.state = map[string]*JobState{}
		}
		s = &JobState{Name: name, Since: now}
		j.state[name] = s
	}
	was, text := s.Error, ""
	if err != nil {
		s.Failed++
		text = clip(err.Error())
	}
	if (was == "") != (text == "") {
		s.Since = now
	}
	s.Error = text
	j.mu.Unlock()
	switch {
	case was == "" && text != "":
		b.System(SystemEvent{Type: TypeJobFailed, Subject: name, Data: map[string]any{"error": text}})
	case was != "" && text == "":
		b.System(SystemEvent{Type: TypeJobRecovered, Subject: name})
	}
}

// lookAround notes what nobody comes to tell: that the disk is down to its reserve although nobody appends, and how shards fare with moving events
// out of their journals.
func (b *Broker) lookAround() {
	_ = b.diskReserve() // refuses an append; here it is enough that it has looked
	for i, s := range b.shards {
		k, err := s.KeepStats(), error(nil)
		if k.Failing != "" {
			err = errors.New(k.Failing)
		}
		b.Job(segmentsJob(i), err)
		b.Lag(segmentsJob(i), k.Pending, b.cfg.backlogBytes())
	}
}

// What is only in the journal lags when it passes half of what it may be before appends are slowed, and no more below a quarter.
const (
	lagHighPart = 2
	lagLowPart  = 4
)

// Lag notes how much of background work is pending, of the amount at which others are slowed for it. That it begins to lag, and that it has
// caught up, is told in the system stream.
func (b *Broker) Lag(name string, pending, most int64) {
	j := &b.jobs
	j.mu.Lock()
	was := j.lagging[name]
	is := pending > most/lagHighPart || was && pending > most/lagLowPart
	if j.lagging == nil {
		j.lagging = map[string]bool{}
	}
	j.lagging[name] = is
	j.mu.Unlock()
	if is == was {
		return
	}
	kind := TypeLagRecovered
	if is {
		kind = TypeLagHigh
	}
	b.System(SystemEvent{Type: kind, Subject: name, Data: map[string]any{"pending_bytes": pending, "slows_at_bytes": most}})
}

// segmentsJob names the moving of events out of a shard's journal.
func segmentsJob(shard int) string { return "segments-" + strconv.Itoa(shard) }

// Jobs are the kinds of background work that have been done since the start, by name.
func (b *Broker) Jobs() []JobState {
	b.jobs.mu.Lock()
	defer b.jobs.mu.Unlock()
	out := make([]JobState, 0, len(b.jobs.state))
	for _, s := range b.jobs.state {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y JobState) int { return strings.Compare(x.Name, y.Name) })
	return out
}
