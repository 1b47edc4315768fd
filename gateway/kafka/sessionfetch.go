package kafka

import (
	"leat/broker"
	"leat/gateway/kafka/wire"
	"leat/internal/clock"
)

// Epochs of a request that goes on with no session: it begins one, and it wants none. Both end the one they name.
const (
	sessionEpochFirst int32 = 0
	sessionEpochNone  int32 = -1
)

// fetchSession is the session of a request, which has taken in what the request says; nil where there is none. Else it says why the request is refused:
// its client then begins again.
func (k *conn) fetchSession(caller *broker.Caller, f *wire.Fetch) (*session, int16) {
	all := k.g.sessions
	switch f.SessionEpoch {
	case sessionEpochNone, sessionEpochFirst:
		if f.SessionID != 0 {
			all.end(caller, f.SessionID)
		}
		if f.SessionEpoch == sessionEpochNone {
			return nil, codeNone
		}
		return all.begin(k, caller, f, clock.Now()), codeNone
	}
	x, refused := all.take(k, caller, f, clock.Now())
	if refused != codeNone {
		return nil, refused
	}
	x.update(&k.out.names, f)
	if x.count() == 0 { // the client has forgotten all: there is nothing to go on with
		all.remove(x)
		all.release(x)
		return nil, codeNone
	}
	return x, codeNone
}

// sessionCursors says what to read for what x has chosen.
func (k *conn) sessionCursors(caller *broker.Caller, f *wire.Fetch, x *session) {
	r := &k.out.reader
	r.begin()
	epoch := k.g.b.Epoch()
	var last *sessionTopic
	var name string
	for _, at := range x.asked {
		p := &x.parts[at]
		if p.topic != last {
			last, name = p.topic, p.topic.key.name
			if x.byID {
				name = k.topicName(caller, &k.out.names, &last.wire)
			}
		}
		r.add(name, last.key.id, &p.want, f.Committed, epoch)
	}
}

// fillFromSession puts those partitions of a session into the answer of which there is something to tell.
func (k *conn) fillFromSession(s *slot, f *wire.Fetch, x *session, results []broker.ReadResult) {
	x.tell(results, k.out.reader.refused, f.Committed)
	topic := func(i int) *sessionTopic { return x.parts[x.asked[x.told[i]]].topic }
	run := func(i int) int { // of one topic, from told[i] on
		n := i + 1
		for n < len(x.told) && topic(n) == topic(i) {
			n++
		}
		return n
	}
	topics := 0
	for i := 0; i < len(x.told); i = run(i) {
		topics++
	}
	a := &k.out.answer
	a.Begin(f.Version, s.header.Correlation, codeNone, x.id, topics)
	for i := 0; i < len(x.told); {
		end := run(i)
		a.Topic(&topic(i).wire, end-i)
		for _, n := range x.told[i:end] {
			k.fillPart(s, int(n), x.parts[x.asked[n]].want.Partition, &results[n])
		}
		a.EndTopic()
		i = end
	}
}
