package http

import (
	"context"
	"errors"
	"sync"

	"leat/broker"
	"leat/broker/fault"
)

// followers counts those who follow, ends them when the gateway stops, and bounds their number.
type followers struct {
	most   int
	ctx    context.Context // ends when the gateway stops
	cancel context.CancelFunc

	mu      sync.Mutex
	n       int
	stopped bool
}

func newFollowers(most int) *followers {
	f := &followers{most: most}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// enter takes a place. leave must be called after it.
func (f *followers) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stopped:
		return fault.New(fault.Unavailable, "follow", "", "this node is stopping; connect again")
	case f.n >= f.most:
		return fault.New(fault.Unavailable, "follow", "", "there are %d followers already, which is the most (http.followers_max)", f.most)
	}
	f.n++
	return nil
}

func (f *followers) leave() {
	f.mu.Lock()
	f.n--
	f.mu.Unlock()
}

// stop ends all followers. Each resumes elsewhere from its last event id.
func (f *followers) stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.cancel()
}

// follow starts a follower for this request. The caller leaves g.followers and closes it.
func (x *call) follow(streams []string) (*broker.Follower, error) {
	m, err := x.selection()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"limit", "direction"} {
		if x.param(name) != "" {
			return nil, wrong("follow", name, "following has no %s; it goes forward and on", name)
		}
	}
	resume := ""
	if ids := x.r.Header["Last-Event-Id"]; len(ids) > 0 {
		resume = ids[0]
	}
	from, err := x.start(resume, true)
	if err != nil {
		return nil, err
	}
	if err := x.g.followers.enter(); err != nil {
		return nil, err
	}
	who := x.who // a copy: the follower outlives the request, which it would otherwise keep in memory
	f, err := x.g.broker.Follow(x.g.followers.ctx, &who, broker.FollowRequest{Streams: streams, From: from, Match: m.match(false)})
	if err != nil {
		x.g.followers.leave()
		return nil, fieldOf(err, "from")
	}
	return f, nil
}

// ended is whether err only says that the follower was told to stop.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
