package kafka

import (
	"math/bits"
	"sync"
)

// rooms is memory that a fetch is read into, borrowed until its answer is sent. New memory would have to be cleared, mapped page by page, and
// collected: of a consumer that catches up at 800 MB/s that is a third of what reading costs.
type rooms struct {
	taken []*lent
	kept  []func() // end the use of what is sent from where it lies
}

type lent struct {
	class int
	bytes []byte
}

// Sizes that are kept for others; what is larger is new memory. Each is at most twice what is asked for.
const (
	roomBitsMin = 14 // 16 KiB
	roomBitsMax = 24 // 16 MiB
)

var roomPools [roomBitsMax + 1]sync.Pool

// take returns n bytes, whatever they are.
func (r *rooms) take(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), roomBitsMin)
	if class > roomBitsMax {
		return make([]byte, n)
	}
	x, _ := roomPools[class].Get().(*lent)
	if x == nil {
		x = &lent{class, make([]byte, 1<<class)}
	}
	r.taken = append(r.taken, x)
	return x.bytes[:n:n]
}

// keep has give call release.
func (r *rooms) keep(release func()) { r.kept = append(r.kept, release) }

// give lets others have it all: what was read into it must not be looked at any more.
func (r *rooms) give() {
	for i, x := range r.taken {
		roomPools[x.class].Put(x)
		r.taken[i] = nil
	}
	r.taken = r.taken[:0]
	for i, release := range r.kept {
		release()
		r.kept[i] = nil
	}
	r.kept = r.kept[:0]
}
