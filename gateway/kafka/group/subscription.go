package group

import (
	"encoding/binary"
	"slices"
)

// Readers put what they subscribe to into their metadata, under all protocols of the type "consumer":
//
//	version    int16
//	topics     int32, and so many times: length int16, name
//	user data  length int32 (-1: none), bytes                                   what each assignor adds
//	owned      int32, and so many times: topic, int32, so many times int32      from version 1 on: what it has not let go of
//	generation int32                                                            from version 2 on
//	rack       length int16 (-1: none), text                                    from version 3 on
//
// and an assignment is
//
//	version    int16
//	assigned   int32, and so many times: topic, int32, so many times int32
//	user data  length int32 (-1: none), bytes
const kindConsumer = "consumer"

// said is what a reader's metadata says.
type said struct {
	topics []string
	owned  []named
	rack   *string
}

// named are partitions of a topic.
type named struct {
	topic      string
	partitions []int32
}

// owns are the partitions that it has not let go of, of topics that are there. It is never nil: who says nothing owns nothing, since eager readers let go of everything
// before they join.
func (s *said) owns(topics Topics) Parts { return partsOf(s.owned, topics) }

func partsOf(ns []named, topics Topics) Parts {
	return PartsOf(func(add func(ID, int32)) {
		for _, n := range ns {
			if t, there := topics.Topic(n.topic); there {
				for _, p := range n.partitions {
					if p >= 0 && p < t.Partitions {
						add(t.ID, p)
					}
				}
			}
		}
	})
}

// reader reads what clients of the older protocol say; bad says that it is nothing of the kind.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.p) {
		r.bad = true
		return nil
	}
	p := r.p[:n]
	r.p = r.p[n:]
	return p
}

func (r *reader) int16() int16 {
	if p := r.take(2); p != nil {
		return int16(binary.BigEndian.Uint16(p))
	}
	return 0
}

func (r *reader) int32() int32 {
	if p := r.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

func (r *reader) text() string { return string(r.take(int(r.int16()))) }

// count is how many there are of something that has at least least bytes.
func (r *reader) count(least int) int {
	n := int(r.int32())
	if n < 0 || n > len(r.p)/least {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) named() []named {
	ns := make([]named, 0, r.count(6))
	for range cap(ns) {
		n := named{topic: r.text()}
		n.partitions = make([]int32, r.count(4))
		for i := range n.partitions {
			n.partitions[i] = r.int32()
		}
		ns = append(ns, n)
	}
	return ns
}

// bytes passes over bytes that may not be there.
func (r *reader) bytes() {
	if n := r.int32(); n > 0 {
		r.take(int(n))
	}
}

// topicsOf are the names of the topics in a reader's metadata; false: it is nothing of the kind. What comes after them is not looked at.
func topicsOf(metadata []byte) (names []string, ok bool) {
	r := &reader{p: metadata}
	r.int16()
	names = make([]string, 0, r.count(2))
	for range cap(names) {
		names = append(names, r.text())
	}
	return names, !r.bad
}

// parseSaid reads all of a reader's metadata; false: it is nothing of the kind. What newer versions add is not looked at.
func parseSaid(metadata []byte) (s said, ok bool) {
	r := &reader{p: metadata}
	version := r.int16()
	s.topics = make([]string, 0, r.count(2))
	for range cap(s.topics) {
		s.topics = append(s.topics, r.text())
	}
	if r.bytes(); version >= 1 && len(r.p) > 0 { // some clients say a version and leave out what it brings
		s.owned = r.named()
	}
	if version >= 2 && len(r.p) > 0 {
		r.int32()
	}
	if version >= 3 && len(r.p) > 0 {
		if n := r.int16(); n >= 0 {
			rack := string(r.take(int(n)))
			s.rack = &rack
		}
	}
	return s, !r.bad && version >= 0
}

// parseAssignment reads an assignment; partitions of topics that are not there are left out.
func parseAssignment(p []byte, topics Topics) (Parts, bool) {
	r := &reader{p: p}
	r.int16()
	ns := r.named()
	if r.bad {
		return Parts{}, false
	}
	return partsOf(ns, topics), true
}

// assignmentVersion is the newest version of an assignment; all are written alike.
const assignmentVersion = 3

// encodeAssignment is an assignment for who said metadata, in its version.
func encodeAssignment(metadata []byte, owned Parts, topics map[ID]Topic) []byte {
	version := int16(0)
	if len(metadata) >= 2 {
		version = min(int16(binary.BigEndian.Uint16(metadata)), assignmentVersion)
	}
	var ts []Topic
	for id := range owned {
		if t, there := topics[id]; there && len(owned[id]) > 0 {
			ts = append(ts, t)
		}
	}
	slices.SortFunc(ts, func(a, b Topic) int { return compareID(a.ID, b.ID) })
	p := binary.BigEndian.AppendUint16(nil, uint16(version))
	p = binary.BigEndian.AppendUint32(p, uint32(len(ts)))
	for _, t := range ts {
		p = binary.BigEndian.AppendUint16(p, uint16(len(t.Name)))
		p = append(p, t.Name...)
		p = binary.BigEndian.AppendUint32(p, uint32(len(owned[t.ID])))
		for _, n := range owned[t.ID] {
			p = binary.BigEndian.AppendUint32(p, uint32(n))
		}
	}
	return binary.BigEndian.AppendUint32(p, 1<<32-1) // no user data
}

// Subscription are the topics that members read, while that is known: the group is stable and its members are readers that say so.
func (g *Classic) Subscription() (names map[string]bool, known bool) {
	if g.state != Stable || g.kind != kindConsumer {
		return nil, false
	}
	names = map[string]bool{}
	for _, m := range g.order {
		topics, ok := topicsOf(m.metadata(g.protocol))
		if !ok {
			return nil, false
		}
		for _, t := range topics {
			names[t] = true
		}
	}
	return names, true
}

// Subscription are the topics that members read.
func (g *Consumer) Subscription() (names map[string]bool, known bool) {
	names = map[string]bool{}
	for _, t := range g.topics {
		names[t.Name] = true
	}
	if !g.looked && len(g.members) > 0 { // after a start nobody has asked yet
		return nil, false
	}
	return names, true
}

// SinceMS is when the state began.
func (g *Classic) SinceMS() int64 { return g.sinceMS }
