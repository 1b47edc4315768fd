package broker

import (
	"sync"

	"leat/broker/subscription"
)

// recentMax is of how many deliveries it is remembered when they were made and settled, for whoever asks what became of an event. They share the places of a table by
// chance: a new one takes the place of another that had the same.
const recentMax = 1 << 16

const recentLocks = 64

// recent is when deliveries were made, lately. It is volatile.
type recent struct {
	once  sync.Once
	locks [recentLocks]sync.Mutex
	table []recentDelivery
}

type recentDelivery struct {
	shard              int
	sub                subscription.ID
	at                 subscription.At
	delivered, settled int64 // ms; 0: not known
}

func (r *recent) slot(sh int, id subscription.ID, at subscription.At) (*recentDelivery, *sync.Mutex) {
	r.once.Do(func() { r.table = make([]recentDelivery, recentMax) })
	h := (uint64(sh)*0x9e3779b97f4a7c15+uint64(id))*0x9e3779b97f4a7c15 + uint64(at.Stream)<<20 + uint64(at.Partition)
	h = (h*0xbf58476d1ce4e5b9 + uint64(at.Offset)) * 0x94d049bb133111eb
	i := h >> 48 % recentMax
	return &r.table[i], &r.locks[i%recentLocks]
}

func (r *recent) deliver(sh int, l *subscription.Leased, nowMS int64) {
	d, mu := r.slot(sh, l.Sub, l.At)
	mu.Lock()
	*d = recentDelivery{sh, l.Sub, l.At, nowMS, 0}
	mu.Unlock()
}

func (r *recent) settle(sh int, h *subscription.Handle, nowMS int64) {
	d, mu := r.slot(sh, h.Sub, h.At)
	mu.Lock()
	if d.shard == sh && d.sub == h.Sub && d.at == h.At {
		d.settled = nowMS
	}
	mu.Unlock()
}

// of is when a record was handed over last, and settled.
func (r *recent) of(sh int, id subscription.ID, at subscription.At) (delivered, settled int64) {
	d, mu := r.slot(sh, id, at)
	mu.Lock()
	defer mu.Unlock()
	if d.shard != sh || d.sub != id || d.at != at {
		return 0, 0
	}
	return d.delivered, d.settled
}
