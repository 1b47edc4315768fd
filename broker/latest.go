package broker

import (
	"bytes"
	"context"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/stream"
)

// LatestRequest asks for the newest event of each key of a stream. Prefix, From and To narrow the keys, all that are given; nil is no bound.
type LatestRequest struct {
	Stream string
	Prefix []byte // keys that begin so
	From   []byte // keys from here on
	To     []byte // keys below this
	After  []byte // keys behind this one: Next of the page before. nil: from the first
	Limit  int    // 1 to PageLimitMax
}

// LatestPage is the answer, in the order of the keys' bytes. Next goes on after it; it is the request's After when the page has met no key.
// CaughtUp: there was no key behind Next. A page may be short, and even empty, without being caught up: looking at keys that have no event any
// more is bounded, and so are a page's bytes.
type LatestPage struct {
	Events   []*Delivered
	Next     []byte
	CaughtUp bool

	bytes int // of the events' keys and values
}

func (p *LatestPage) add(d *Delivered) {
	p.Events = append(p.Events, d)
	p.bytes += len(d.Record.Key) + len(d.Record.Value)
}

func (p *LatestPage) full(q *LatestRequest) bool {
	return len(p.Events) >= q.Limit || p.bytes >= pageBytesMax
}

// span is which keys are asked for: from lo on and below hi; a nil hi is no bound.
func (q *LatestRequest) span() (lo, hi []byte) {
	lo, hi = q.Prefix, afterPrefix(q.Prefix)
	if bytes.Compare(q.From, lo) > 0 {
		lo = q.From
	}
	if q.To != nil && (hi == nil || bytes.Compare(q.To, hi) < 0) {
		hi = q.To
	}
	if q.After != nil && bytes.Compare(q.After, lo) >= 0 {
		lo = append(bytes.Clone(q.After), 0) // the least key that is greater
	}
	return lo, hi
}

// afterPrefix is the least key that is greater than all that begin with prefix; nil when there is none.
func afterPrefix(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			hi := bytes.Clone(prefix[:i+1])
			hi[i]++
			return hi
		}
	}
	return nil
}

// ReadLatest reads the newest event of each key, by the index of keys: it costs what the keys are, not what the stream is. The caller needs the
// grant to read the stream. While the index of a stream that kept no keys is made, it is refused as something to try again.
//
// It is the newest event that is there: after a truncation of one partition another may have it. An event without data is a tombstone in a stream
// with keys: latest, where its key is left out, and an event like any other elsewhere. Each page is of its own moment; a key that gets an event while
// the page is made may come with that one.
func (b *Broker) ReadLatest(ctx context.Context, c *Caller, q LatestRequest) (LatestPage, error) {
	l, err := b.openLatest(c, &q)
	if err != nil {
		return LatestPage{}, err
	}
	defer l.walk.Close()
	return l.page(ctx, &q)
}

// openLatest begins to walk the keys that are asked for, as they are now.
func (b *Broker) openLatest(c *Caller, q *LatestRequest) (*latestWalk, error) {
	if q.Limit < 1 || q.Limit > PageLimitMax {
		return nil, fault.New(fault.Invalid, "read", "limit", "limit is %d; it must be between 1 and %d", q.Limit, PageLimitMax)
	}
	m, err := b.openMerge(c, []string{q.Stream})
	if err != nil {
		return nil, err
	}
	if err := m.refresh(); err != nil {
		return nil, err
	}
	n := m.streams[0]
	st, ok := m.pub.Stream(n.id)
	if !ok {
		return nil, fault.New(fault.NotFound, "read", n.name, "the stream was deleted")
	}
	if st.Keys == stream.KeysOff {
		return nil, fault.New(fault.Unsupported, "read", n.name,
			"the stream keeps no keys, so it has no latest event of each; set its `keys` to latest, history or versioned")
	}
	if err := m.keysBuilt(); err != nil {
		return nil, err
	}
	lo, hi := q.span()
	return &latestWalk{m: m, from: n, tombstones: st.Keys != stream.KeysLatest, walk: m.pub.LatestIn(n.id, lo, hi, m.upTo)}, nil
}

// latestWalk reads the newest events of keys some at a time, as keyAhead does those of one key.
type latestWalk struct {
	m          *merge
	from       *named
	tombstones bool // are events
	walk       *shard.LatestKeys
	left       int // keys that the page may still look at

	keys  [keyAheadMax][]byte
	reads [keyAheadMax]keyRead
}

func (l *latestWalk) page(ctx context.Context, q *LatestRequest) (LatestPage, error) {
	p := LatestPage{Next: q.After}
	for l.left = l.m.b.cfg.PageScanMax; l.left > 0; {
		if err := ctx.Err(); err != nil {
			return LatestPage{}, fault.New(fault.Unavailable, "read", l.from.name, "the caller has gone").From(err)
		}
		n, err := l.fill(min(q.Limit-len(p.Events), keyAheadMax, l.left))
		if err != nil {
			return LatestPage{}, err
		}
		if n == 0 {
			p.CaughtUp = true
			return p, nil
		}
		l.left -= n
		for i := range n {
			x := &l.reads[i]
			if err := l.again(l.keys[i], x); err != nil {
				return LatestPage{}, err
			}
			p.Next = l.keys[i]
			if x.event == nil || x.event.Record.Value == nil && !l.tombstones {
				continue
			}
			if p.add(x.event); p.full(q) {
				p.CaughtUp = i == n-1 && !l.walk.Next() && l.walk.Err() == nil
				return p, nil
			}
		}
	}
	return p, nil
}

// fill reads the newest events of the next keys, at most so many, and says of how many.
func (l *latestWalk) fill(most int) (n int, err error) {
	for n < most && l.walk.Next() {
		e, there := l.walk.Entry()
		l.keys[n] = bytes.Clone(l.walk.Key())
		if l.keys[n] == nil {
			l.keys[n] = []byte{} // the empty key is one; nil is none
		}
		x := keyRead{keyed: keyed{l.from, e}, skip: !there || e.Tombstone && !l.tombstones}
		if !there {
			x.err = errTrimmedBefore
		}
		l.reads[n] = x
		n++
	}
	if err := l.walk.Err(); err != nil {
		return 0, err
	}
	l.m.readAll(l.reads[:n])
	return n, nil
}

// errTrimmedBefore is what comes of a record that is not even read.
var errTrimmedBefore = fault.New(fault.Trimmed, "read", "", "the record was trimmed")

const (
	latestTriesMax  = 16 // of an event that goes while it is read
	latestAgainCost = 16 // keys that a page looks at less for each that is asked for again
)

// again looks for what stands for an event that the walk has met and that is not there.
//
// It may be older: the newest event of the key was trimmed and another partition still has one. It may be newer, and without asking again a key
// that always has an event could be missed: the walk meets event 1 of it; event 2 is appended and moved to files, and event 1 compacted away; now
// it is read.
func (l *latestWalk) again(key []byte, x *keyRead) error {
	for range latestTriesMax {
		if !fault.Is(x.err, fault.NotFound) && !fault.Is(x.err, fault.Trimmed) {
			return x.err
		}
		if err := l.m.grown(); err != nil {
			return err // the stream was deleted
		}
		l.left -= latestAgainCost
		e, ok, err := l.newest(key)
		if err != nil {
			return err
		}
		next := keyed{l.from, e}
		if !ok || compareKeyed(&next, &x.keyed) == 0 || e.Tombstone && !l.tombstones {
			*x = keyRead{}
			return nil
		}
		x.keyed, x.skip = next, false
		x.event, x.err = l.m.readKeyed(&next)
	}
	return fault.New(fault.Unavailable, "read", l.from.name, "a key changes faster than its events can be read").From(x.err)
}

// newest is the newest record of a key that is there now. Trimming is by partition, so that it need not be the newest there was.
func (l *latestWalk) newest(key []byte) (stream.HistoryEntry, bool, error) {
	now, alone := l.m.pub.Seq(), l.m.counts[0] == 1
	if alone && now == l.m.upTo {
		return stream.HistoryEntry{}, false, nil
	}
	if e, there, err := l.m.pub.Latest(l.from.id, key, now); err != nil || there || alone {
		return e, there, err
	}
	h := l.m.pub.History(l.from.id, key, nil, true, now)
	defer h.Close()
	e, ok := h.Next()
	return e, ok, h.Err()
}
