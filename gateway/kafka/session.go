package kafka

import (
	"slices"
	"time"

	"leat/broker"
	"leat/gateway/kafka/wire"
)

// session is what a fetch session (KIP-227) remembers, so that a client of many partitions says only what has changed about them and is told only of
// those that have something new:
//
//	client  epoch 0: all partitions ... epoch 1: offsets that moved, what to forget ... epoch 2 ...
//	node    new id, all of them ....... those with records, other ends, or refused .... ...
//
// What makes it cheap is that the node looks at few of them, too. In line are the partitions that are to be looked at: those that the client named, those
// that were appended to, and those that had more than there was room for, or were refused. One leaves the line when there is nothing to tell of it.
//
//	line    [ 3 17 4 ]  read ── 3: records, 17: nothing, 4: no room left ──► [ 4 3 ]
//
// A partition whose records were sent goes to the end of the line, so that none starves while others fill the answers. It stays in it: until the client
// names another offset, it has not taken them.
//
// Watching tells of what is appended, trimmed and deleted; not of names and rights, which is why now and then all are looked at. A session belongs to one
// request at a time; the fields up to the line below are the cache's.
type session struct {
	id    int32
	owner sessionOwner
	born  time.Time
	epoch int32
	used  time.Time
	size  int   // partitions, as the cache counts them
	busy  bool  // a request has it
	gone  bool  // out of the cache: closed by whoever has it
	conn  *conn // that used it last; nil: it has ended

	// Of the request that has it:

	byID   bool // topics are named by id
	topics map[topicKey]*sessionTopic
	parts  []sessionPart // by number
	free   []int32       // numbers
	line   []int32
	watch  *broker.WatchSet // nil: to be set anew
	looked time.Time        // when all were
	full   bool             // the next answer tells of all

	asked []int32 // what was read last, in the order of the results
	told  []int32 // indexes of those of asked that are answered
	taken []int32
	spare []int32
}

// sessionOwner is who began a session. Ids cannot be guessed; even so nobody else goes on with it.
type sessionOwner struct{ namespace, principal string }

type topicKey struct {
	id   [16]byte
	name string
}

type sessionTopic struct {
	key   topicKey
	wire  wire.Topic
	parts map[int32]int32 // partition: its number
}

// sessionPart is one partition of a session.
type sessionPart struct {
	topic  *sessionTopic // nil: the number is free
	want   wire.FetchPart
	inLine bool

	high, stable, start int64 // as the client was told; sessionUntold: it was not
}

const (
	sessionUntold    int64 = -2
	sessionLookEvery       = time.Second // all partitions are looked at again, for what watching does not tell
)

// update does what a request says about the partitions: it adds, changes, and forgets some.
func (x *session) update(n *names, f *wire.Fetch) {
	for i := range f.Topics {
		t := x.topic(n, &f.Topics[i])
		for _, p := range f.Parts[f.Topics[i].First : f.Topics[i].First+f.Topics[i].Count] {
			at, known := t.parts[p.Partition]
			if !known {
				at = x.number()
				t.parts[p.Partition] = at
				x.parts[at] = sessionPart{topic: t, high: sessionUntold}
			}
			x.parts[at].want = p
			x.enqueue(at)
		}
	}
	x.forget(n, f)
}

// topic is the topic that a request names; it is made if it is not there.
func (x *session) topic(n *names, w *wire.Topic) *sessionTopic {
	k := x.key(n, w)
	t := x.topics[k]
	if t == nil {
		t = &sessionTopic{key: k, wire: wire.Topic{ID: w.ID, Name: slices.Clone(w.Name)}, parts: map[int32]int32{}}
		x.topics[k] = t
	}
	return t
}

func (x *session) key(n *names, w *wire.Topic) topicKey {
	if x.byID {
		return topicKey{id: w.ID}
	}
	return topicKey{name: n.of(w.Name)}
}

// number is one that is free.
func (x *session) number() int32 {
	if n := len(x.free); n > 0 {
		at := x.free[n-1]
		x.free = x.free[:n-1]
		return at
	}
	x.parts = append(x.parts, sessionPart{})
	return int32(len(x.parts) - 1)
}

// forget takes partitions out. Their numbers are free only when they have left the line.
func (x *session) forget(n *names, f *wire.Fetch) {
	if len(f.Forgotten) == 0 {
		return
	}
	freed := len(x.free)
	for i := range f.Forgotten {
		w := &f.Forgotten[i]
		t := x.topics[x.key(n, w)]
		if t == nil {
			continue
		}
		for _, p := range f.ForgottenParts[w.First : w.First+w.Count] {
			at, known := t.parts[p]
			if !known {
				continue
			}
			delete(t.parts, p)
			x.parts[at].topic = nil
			if x.watch != nil {
				x.watch.Clear(at)
			}
			x.free = append(x.free, at)
		}
		if len(t.parts) == 0 {
			delete(x.topics, t.key)
		}
	}
	if len(x.free) > freed {
		x.line = slices.DeleteFunc(x.line, func(at int32) bool { return x.parts[at].topic == nil })
	}
}

// count is how many partitions there are.
func (x *session) count() int { return len(x.parts) - len(x.free) }

func (x *session) enqueue(at int32) {
	if p := &x.parts[at]; p.topic != nil && !p.inLine {
		p.inLine = true
		x.line = append(x.line, at)
	}
}

// choose puts into the line what is to be looked at, and makes it what is asked next.
func (x *session) choose(now time.Time) {
	if x.watch == nil {
		x.watch, x.looked = broker.NewWatchSet(), time.Time{}
	}
	x.taken = x.watch.Take(x.taken[:0])
	for _, at := range x.taken {
		if int(at) < len(x.parts) {
			x.enqueue(at)
		}
	}
	if now.Sub(x.looked) >= sessionLookEvery {
		x.looked = now
		for at := range x.parts {
			x.enqueue(int32(at))
		}
	}
	x.asked = append(x.asked[:0], x.line...)
}

// sift has those leave the line of which what was read says that there is nothing to tell. It reports whether some were not watched until now: what was
// appended to them meanwhile is only seen by who reads again.
func (x *session) sift(results []broker.ReadResult, refused []int16, committed bool) (news bool) {
	line := x.line[:0]
	for i, at := range x.asked {
		p, r := &x.parts[at], &results[i]
		fresh := r.Watch(x.watch, at)
		news = news || fresh
		if p.inLine = fresh || x.tells(p, r, refused[i]) || p.more(r, committed); p.inLine {
			line = append(line, at)
		}
	}
	x.line = line
	return news
}

// tells reports whether a partition is in the answer.
func (x *session) tells(p *sessionPart, r *broker.ReadResult, refused int16) bool {
	return x.full || r.Err != nil || refused != codeNone || len(r.Batches) > 0 ||
		p.high != int64(r.End) || p.stable != int64(r.Stable) || p.start != int64(r.Start)
}

// more reports whether there is something to read that was not, for want of room.
func (p *sessionPart) more(r *broker.ReadResult, committed bool) bool {
	if committed {
		return p.want.Offset < int64(r.Stable)
	}
	return p.want.Offset < int64(r.End)
}

// tell decides what is in the answer, which is in told then, and notes that the client knows it.
func (x *session) tell(results []broker.ReadResult, refused []int16, committed bool) {
	x.sift(results, refused, committed)
	x.told = x.told[:0]
	served := x.spare[:0]
	for i, at := range x.asked {
		p, r := &x.parts[at], &results[i]
		if !x.tells(p, r, refused[i]) {
			continue
		}
		x.told = append(x.told, int32(i))
		if r.Err != nil || refused[i] != codeNone {
			p.high = sessionUntold // until it is not refused any more, and then, too
			continue
		}
		p.high, p.stable, p.start = int64(r.End), int64(r.Stable), int64(r.Start)
		if len(r.Batches) > 0 {
			served = append(served, at)
			p.inLine = false
		}
	}
	if len(served) > 0 { // to the end of the line
		line := slices.DeleteFunc(x.line, func(at int32) bool { return !x.parts[at].inLine })
		for _, at := range served {
			x.parts[at].inLine = true
		}
		x.line = append(line, served...)
	}
	x.spare, x.full = served, false
}

// close stops watching. The next request, if there is one, looks at everything.
func (x *session) close() {
	if x.watch != nil {
		x.watch.Close()
		x.watch = nil
	}
}
