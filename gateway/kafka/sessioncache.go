package kafka

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"

	"leat/broker"
	"leat/gateway/kafka/wire"
)

// sessions are the fetch sessions of the node. A client may go on with one over another connection, so they are the gateway's.
//
// They are bounded by their number and by that of their partitions. Where there is no room, one goes whose connection has ended, or that was not used for
// sessionStale; else the smallest of those that are older than that, unless it is larger than the new one; else the new one is not remembered, and its
// client names its partitions each time.
type sessions struct {
	max int

	mu      sync.Mutex
	byID    map[int32]*session
	parts   int
	evicted uint64 // had to go for want of room
	refused uint64 // were not remembered for want of room
}

const (
	sessionStale       = 2 * time.Minute // as in Kafka
	sessionPartsMax    = 250_000         // of all sessions: some 200 bytes each
	sessionsPerConnMax = 16              // clients have one
)

func newSessions(most int) *sessions { return &sessions{max: most, byID: map[int32]*session{}} }

func ownerOf(c *broker.Caller) sessionOwner { return sessionOwner{c.Namespace, c.Principal} }

// begin makes a session for a request that names all its partitions; nil when it is not to be remembered. Whoever has it calls release.
func (x *sessions) begin(k *conn, caller *broker.Caller, f *wire.Fetch, now time.Time) *session {
	size := len(f.Parts)
	s := &session{
		owner: ownerOf(caller), born: now, used: now, epoch: 1, size: size, busy: true, conn: k,
		byID: f.ByID(), topics: map[topicKey]*sessionTopic{}, full: true,
	}
	x.tidy(k)
	evicted, ok := x.put(s, now)
	for _, e := range evicted {
		e.close()
	}
	if !ok {
		return nil
	}
	k.out.sessions = append(k.out.sessions, s)
	s.update(&k.out.names, f)
	return s
}

// tidy makes room for one more session of a connection.
func (x *sessions) tidy(k *conn) {
	x.mu.Lock()
	k.out.sessions = slices.DeleteFunc(k.out.sessions, func(s *session) bool { return s.gone || s.conn != k })
	x.mu.Unlock()
	for len(k.out.sessions) >= sessionsPerConnMax {
		x.remove(k.out.sessions[0])
		k.out.sessions = k.out.sessions[1:]
	}
}

// put takes s in, and returns what had to go for it, which nobody uses.
func (x *sessions) put(s *session, now time.Time) (evicted []*session, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.max == 0 {
		return nil, false
	}
	if s.size > sessionPartsMax {
		x.refused++
		return nil, false
	}
	for len(x.byID) >= x.max || x.parts+s.size > sessionPartsMax {
		e := x.evictable(s.size, now)
		if e == nil {
			x.refused++
			return evicted, false
		}
		x.evicted++
		if x.drop(e); !e.busy {
			evicted = append(evicted, e)
		}
	}
	for s.id == 0 || x.byID[s.id] != nil {
		s.id = newSessionID()
	}
	x.byID[s.id] = s
	x.parts += s.size
	return evicted, true
}

func newSessionID() int32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // which never fails
	return int32(binary.BigEndian.Uint32(b[:]) & math.MaxInt32)
}

// evictable is the session that goes first, nil when none does. mu is held. It looks at all, which are at most a few thousand, and only when they are too many.
func (x *sessions) evictable(size int, now time.Time) *session {
	var stale, small *session
	for _, s := range x.byID {
		if s.conn == nil && !s.busy || now.Sub(s.used) > sessionStale {
			if stale == nil || s.used.Before(stale.used) {
				stale = s
			}
		}
		if now.Sub(s.born) > sessionStale && s.size <= size && (small == nil || s.size < small.size) {
			small = s
		}
	}
	if stale != nil {
		return stale
	}
	return small
}

// drop takes s out. mu is held. It is closed by whoever has it, or else by the caller.
func (x *sessions) drop(s *session) {
	if !s.gone {
		s.gone = true
		delete(x.byID, s.id)
		x.parts -= s.size
	}
}

// remove takes s out and closes it.
func (x *sessions) remove(s *session) {
	x.mu.Lock()
	x.drop(s)
	busy := s.busy
	x.mu.Unlock()
	if !busy {
		s.close()
	}
}

// end closes the session of that id, if it is the caller's.
func (x *sessions) end(caller *broker.Caller, id int32) {
	x.mu.Lock()
	s := x.byID[id]
	x.mu.Unlock()
	if s != nil && s.owner == ownerOf(caller) {
		x.remove(s)
	}
}

// take has the session that a request goes on with, or says what is wrong about it. Nobody else has it until release.
func (x *sessions) take(k *conn, caller *broker.Caller, f *wire.Fetch, now time.Time) (*session, int16) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.byID[f.SessionID]
	switch {
	case s == nil || s.owner != ownerOf(caller):
		return nil, codeSessionNotFound
	case s.busy || s.epoch != f.SessionEpoch: // busy: its client has sent the same request twice, by two connections
		return nil, codeInvalidSessionEpoch
	case s.byID != f.ByID():
		return nil, codeSessionTopicID
	case x.parts+len(f.Parts) > sessionPartsMax: // there may be no room for what it adds: its client begins again, and perhaps is not remembered
		x.evicted++
		x.drop(s)
		s.close()
		return nil, codeSessionNotFound
	}
	if s.epoch++; s.epoch < 0 {
		s.epoch = 1
	}
	s.used, s.busy, s.conn = now, true, k
	if !slices.Contains(k.out.sessions, s) {
		k.out.sessions = append(k.out.sessions, s)
	}
	return s, codeNone
}

// release lets go of s.
func (x *sessions) release(s *session) {
	n := s.count()
	x.mu.Lock()
	s.busy = false
	gone := s.gone
	if !gone {
		x.parts += n - s.size
		s.size = n
	}
	x.mu.Unlock()
	if gone {
		s.close()
	}
}

// leave is the end of a connection. What it used last can be gone on with over another one, and goes first when there is no room; but for what its writer
// had when it died.
func (x *sessions) leave(k *conn) {
	for _, s := range k.out.sessions {
		x.mu.Lock()
		last := s.conn == k
		if last {
			if s.busy {
				x.drop(s)
			}
			s.conn, s.busy = nil, true
		}
		x.mu.Unlock()
		if last {
			s.close()
			x.release(s)
		}
	}
	k.out.sessions = nil
}
