package broker

import (
	"sync"

	"leat/broker/record"
)

// keptEvents remembers events that were read one by one, by key or by ref: an entity that is read is soon read again, and its records lie here and
// there in batches of which the rest is of no use. Records never change, so nothing in it is ever wrong; who asks has checked that the record has
// not been trimmed.
//
// Each part is a ring in the order of coming. The hand passes over what was asked for since it last came by, and lets go of the rest (the clock
// algorithm): one look through a long history does not drive out what is read all the time.
type keptEvents struct {
	max   int64 // bytes of each part; 0: nothing is kept
	parts [keptParts]keptPart
}

const (
	keptParts    = 32
	keptOverhead = 512 // of an event beside its record: what stands around it, and encodings to come
	keptFactor   = 3   // times its bytes: the record, and what it is encoded to
)

type keptAt struct {
	stream    record.StreamID
	partition record.PartitionID
	offset    record.Offset
}

type keptPart struct {
	mu    sync.Mutex
	at    map[keptAt]int32 // of ring
	ring  []keptEvent
	hand  int
	free  []int32
	bytes int64
}

type keptEvent struct {
	at    keptAt
	event *Delivered
	bytes int64
	asked bool
}

func (k *keptEvents) init(bytes int64) { k.max = bytes / keptParts }

func (k *keptEvents) part(at keptAt) *keptPart {
	h := uint64(at.offset)*0x9e3779b97f4a7c15 ^ uint64(at.stream)<<32 ^ uint64(at.partition)
	return &k.parts[h>>32%keptParts]
}

// get returns an event that is kept, nil when it is not. An event of a stream whose settings have changed since is not returned: they may say
// what it looks like.
func (k *keptEvents) get(n *named, at keptAt) *Delivered {
	if k.max == 0 {
		return nil
	}
	p := k.part(at)
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.at[at]
	if !ok || p.ring[i].event.from != n {
		return nil
	}
	p.ring[i].asked = true
	return p.ring[i].event
}

// put keeps an event, as long as there is room.
func (k *keptEvents) put(at keptAt, d *Delivered) {
	bytes := keptOverhead + keptFactor*recordBytes(d.Record)
	if bytes > k.max/4 {
		return // it would drive out too many others
	}
	p := k.part(at)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[keptAt]int32{}
	}
	if i, there := p.at[at]; there {
		p.bytes += bytes - p.ring[i].bytes
		p.ring[i].event, p.ring[i].bytes = d, bytes
		return
	}
	for p.bytes+bytes > k.max && len(p.at) > 0 {
		p.letGo()
	}
	e := keptEvent{at: at, event: d, bytes: bytes}
	p.bytes += bytes
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		p.ring[i], p.at[at] = e, i
		return
	}
	p.at[at] = int32(len(p.ring))
	p.ring = append(p.ring, e)
}

// replace keeps w instead of d, where that is kept: the same event with its version, which only a read by key knows.
func (k *keptEvents) replace(at keptAt, d, w *Delivered) {
	if k.max == 0 {
		return
	}
	p := k.part(at)
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, ok := p.at[at]; ok && p.ring[i].event == d {
		p.ring[i].event = w
	}
}

// letGo lets go of the next event that was not asked for.
func (p *keptPart) letGo() {
	for {
		e := &p.ring[p.hand]
		i := int32(p.hand)
		p.hand = (p.hand + 1) % len(p.ring)
		switch {
		case e.event == nil:
		case e.asked:
			e.asked = false
		default:
			delete(p.at, e.at)
			p.bytes -= e.bytes
			*e = keptEvent{}
			p.free = append(p.free, i)
			return
		}
	}
}

func recordBytes(r *record.Record) int64 {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(n)
}
