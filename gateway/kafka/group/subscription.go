package group

import "encoding/binary"

// Readers put what they subscribe to into their metadata, under all protocols of the type "consumer":
//
//	0      version   int16
//	2      topics    int32, and so many times: length int16, name
//	…      what later versions and each assignor add
const kindConsumer = "consumer"

// topicsOf are the names of the topics in a reader's metadata; false: it is nothing of the kind.
func topicsOf(metadata []byte) (names []string, ok bool) {
	if len(metadata) < 6 {
		return nil, false
	}
	n := int32(binary.BigEndian.Uint32(metadata[2:]))
	p := metadata[6:]
	if n < 0 || int(n) > len(p)/2 {
		return nil, false
	}
	names = make([]string, 0, n)
	for range n {
		if len(p) < 2 {
			return nil, false
		}
		l := int(int16(binary.BigEndian.Uint16(p)))
		if l < 0 || l > len(p)-2 {
			return nil, false
		}
		names = append(names, string(p[2:2+l]))
		p = p[2+l:]
	}
	return names, true
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
