package subscription

import (
	"slices"

	"leat/broker/record"
)

// Output collects what follows from what was done: Drain takes it.
type Output struct {
	Deliveries []Leased
	Burials    []Burial
	Gaps       []Gap
	Lost       []Leased // leases that ran out
	Rests      []Rest
}

// Rest answers AskRest: what there was when it was asked has been handed over, to this member or another.
type Rest struct {
	Sub    ID
	Member MemberID
	Number uint64
	Left   bool // the member has credit left: there was nothing more
}

// Leased is a record that a member now has.
type Leased struct {
	Handle
	Member  MemberID
	Lies    At // where its bytes are
	UntilMS int64
	Again   bool // was handed over before
	After   bool // its attempt is recorded with the frame that is open, or the next: a crash forgets it if it is given out before that is published
	Seq     uint64
}

// Burial asks for a record to be copied to dead letters and settled by Bury, in one frame. It is asked again after BuryAgainMS.
type Burial struct {
	Sub ID
	At
	Lies     At
	Reason   Reason
	Attempts int32
}

// Gap tells that records went before the subscription had them.
type Gap struct {
	Sub  ID
	At   Place
	From record.Offset // the first that was missing and what came after the last one, at most
	To   record.Offset
	Lost Amount
	More bool // and others, which nobody had counted
}

// Drain hands out what has collected, and goes on where there was too much for one step: it is called, each time followed by Drained, until
// what it answers is Empty. That is good until the next call of any method.
func (h *Head) Drain() *Output {
	for h.Out.Empty() && len(h.unfinished) > 0 {
		d := h.unfinished[0]
		h.unfinished = slices.Delete(h.unfinished, 0, 1)
		d.unfinished = false
		h.settleDown(d)
	}
	return &h.Out
}

// Empty reports whether nothing has collected.
func (o *Output) Empty() bool {
	return len(o.Deliveries)+len(o.Burials)+len(o.Gaps)+len(o.Lost)+len(o.Rests) == 0
}

// Drained forgets what Drain handed out.
func (h *Head) Drained() {
	h.Out = Output{Deliveries: emptied(h.Out.Deliveries), Burials: emptied(h.Out.Burials), Gaps: emptied(h.Out.Gaps), Lost: emptied(h.Out.Lost), Rests: emptied(h.Out.Rests)}
}

// emptiedMax is how many elements a slice that is used again may have room for: a peak is not kept.
const emptiedMax = 8192

func emptied[T any](s []T) []T {
	if cap(s) > emptiedMax {
		return nil
	}
	return s[:0]
}
