package stream

import (
	"cmp"
	"container/heap"
)

// dues are the transactors of a head by when something is to be done about them: the end of an open transaction's time, or of a name's.
type dues []*Transactor

func (q dues) Len() int { return len(q) }

// Less orders by time, and by number where that is the same, so that every run of the same commands does the same.
func (q dues) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].due, q[j].due), cmp.Compare(q[i].Producer, q[j].Producer)) < 0
}

func (q dues) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].waits, q[j].waits = i+1, j+1
}

func (q *dues) Push(x any) {
	t := x.(*Transactor)
	*q = append(*q, t)
	t.waits = len(*q)
}

func (q *dues) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.waits = 0
	return t
}

// schedule puts a transactor where it belongs among those that wait, after it has changed.
func (h *Head) schedule(t *Transactor) {
	if t.due = t.ChangedMS + TransactorIdleMS; t.Phase == PhaseOpen {
		t.due = t.BegunMS + t.TimeoutMS
	}
	if t.waits > 0 {
		heap.Fix(&h.pending, t.waits-1)
		return
	}
	heap.Push(&h.pending, t)
}

func (h *Head) unschedule(t *Transactor) {
	if t.waits > 0 {
		heap.Remove(&h.pending, t.waits-1)
	}
}
