package subscription

import (
	"encoding/binary"

	"leat/broker/fact"
	"leat/broker/fault"
)

// Kind is what a subscription remembers.
type Kind uint8

const (
	Cursor   Kind = 1 // one position for each partition
	Delivery Kind = 2 // what became of each record
)

// Order is which records must not overtake one another.
type Order uint8

const (
	OrderNone  Order = iota
	OrderKey         // of a key: the next is handed over when all before it are settled
	OrderTotal       // of the whole subscription
)

// Membership is who gets records when several members are there.
type Membership uint8

const (
	Shared       Membership = iota // all, by rank and then in turn
	Exclusive                      // one; a second is refused
	SingleActive                   // one; the others wait for it to leave
)

// Overflow is what happens beyond LengthMax or BytesMax.
type Overflow uint8

const (
	DropHead     Overflow = iota // the oldest that nobody has goes
	RejectAppend                 // nothing more is appended
)

// Policy is how a subscription behaves. The zero value of each field asks for the default or for nothing; Check says what is out of range.
// Times are milliseconds.
type Policy struct {
	Kind      Kind       `json:",omitzero"`
	Order     Order      `json:",omitzero"`
	Members   Membership `json:",omitzero"`
	Overflow  Overflow   `json:",omitzero"`
	Volatile  bool       `json:",omitzero"` // nothing is remembered over a restart and nothing held back: shadows, transient readers
	Suspended bool       `json:",omitzero"` // nothing is handed over
	Yields    bool       `json:",omitzero"` // retention waits for none of its records, and what goes is no gap: of a cursor whose client knows what to do then
	Expires   bool       `json:",omitzero"` // records have times to live of their own, which are kept also while nobody receives
	Bury      bool       `json:",omitzero"` // what fails is for the caller to copy to dead letters, and to settle in the same frame; otherwise it is dropped

	LeaseMS       int64 `json:",omitzero"` // how long a record is a member's unless it says otherwise
	AttemptsMax   int32 `json:",omitzero"` // handed over so often and not acked: it has failed. 0: for ever
	BackoffMS     int64 `json:",omitzero"` // before the second attempt, doubled for each further one
	BackoffMaxMS  int64 `json:",omitzero"`
	JitterPercent int32 `json:",omitzero"` // of a backoff, at random, is taken off
	DelayMS       int64 `json:",omitzero"` // every record waits so long after it was appended
	TTLMS         int64 `json:",omitzero"` // and is gone so long after it was appended. 0: never
	Priorities    int32 `json:",omitzero"` // lanes, strictly by number, the highest first
	UnackedMax    int32 `json:",omitzero"` // records handed over and not settled, of all members together
	RunMax        int32 `json:",omitzero"` // records of one key that a member may have at once
	LengthMax     int64 `json:",omitzero"` // records that nobody has. 0: any number
	BytesMax      int64 `json:",omitzero"` // of them
	BacklogMax    int64 `json:",omitzero"` // unsettled records for which retention waits. 0: any number
}

// Limits of a policy. Each is tested at both ends.
const (
	LeaseDefaultMS int64 = 30_000
	LeaseMaxMS     int64 = 12 * 60 * 60 * 1000
	// BackoffMaxDefaultMS is how long a record waits at most between two attempts where nothing else is said.
	BackoffMaxDefaultMS int64 = 5 * 60 * 1000
	AttemptsLimit             = 60_000
	DelayLimitMS        int64 = 366 * 24 * 60 * 60 * 1000
	PrioritiesMax             = 32
	UnackedDefault            = 100_000
	UnackedLimit              = 2_000_000
	RunLimit                  = 1_000
	PolicyNumberLimit   int64 = 1 << 50
)

// Check reports what is out of range and puts in defaults.
func (p *Policy) Check() *fault.Error {
	if p.LeaseMS == 0 {
		p.LeaseMS = LeaseDefaultMS
	}
	if p.UnackedMax == 0 {
		p.UnackedMax = UnackedDefault
	}
	p.RunMax, p.Priorities = max(p.RunMax, 1), max(p.Priorities, 1)
	if p.BackoffMS > 0 && p.BackoffMaxMS == 0 {
		p.BackoffMaxMS = max(p.BackoffMS, BackoffMaxDefaultMS)
	}
	if p.Kind != Cursor && p.Kind != Delivery {
		return fault.New(fault.Invalid, "subscribe", "kind", "a subscription is a cursor or a delivery")
	}
	if p.Order > OrderTotal || p.Members > SingleActive || p.Overflow > RejectAppend {
		return fault.New(fault.Invalid, "subscribe", "policy", "order, members or overflow is none of the known ones")
	}
	for _, c := range []struct {
		name        string
		v, min, max int64
	}{
		{"lease", p.LeaseMS, 1, LeaseMaxMS},
		{"max_attempts", int64(p.AttemptsMax), 0, AttemptsLimit},
		{"backoff", p.BackoffMS, 0, DelayLimitMS},
		{"backoff_max", p.BackoffMaxMS, p.BackoffMS, DelayLimitMS},
		{"jitter", int64(p.JitterPercent), 0, 100},
		{"delay", p.DelayMS, 0, DelayLimitMS},
		{"ttl", p.TTLMS, 0, 100 * DelayLimitMS},
		{"priorities", int64(p.Priorities), 1, PrioritiesMax},
		{"max_unacked", int64(p.UnackedMax), 1, UnackedLimit},
		{"max_run", int64(p.RunMax), 1, RunLimit},
		{"max_length", p.LengthMax, 0, PolicyNumberLimit},
		{"max_bytes", p.BytesMax, 0, PolicyNumberLimit},
		{"backlog_limit", p.BacklogMax, 0, PolicyNumberLimit},
	} {
		if c.v < c.min || c.v > c.max {
			return fault.New(fault.Invalid, "subscribe", c.name, "%d is outside %d to %d", c.v, c.min, c.max)
		}
	}
	if p.Yields && p.Kind != Cursor {
		return fault.New(fault.Invalid, "subscribe", "yields", "only a subscription that keeps positions can do without what goes")
	}
	if p.Order != OrderNone && p.Priorities > 1 {
		return fault.New(fault.Invalid, "subscribe", "priorities", "priorities and order exclude one another")
	}
	return nil
}

const (
	flagVolatile byte = 1 << iota
	flagSuspended
	flagBury
	flagExpires
	flagYields
)

// append adds: kind, order, members, overflow, flags: u8 each; thirteen numbers: uvarint each.
func (p *Policy) append(dst []byte) []byte {
	var flags byte
	for i, on := range []bool{p.Volatile, p.Suspended, p.Bury, p.Expires, p.Yields} {
		if on {
			flags |= 1 << i
		}
	}
	dst = append(dst, byte(p.Kind), byte(p.Order), byte(p.Members), byte(p.Overflow), flags)
	for _, v := range [...]int64{
		p.LeaseMS, int64(p.AttemptsMax), p.BackoffMS, p.BackoffMaxMS, int64(p.JitterPercent), p.DelayMS, p.TTLMS, int64(p.Priorities),
		int64(p.UnackedMax), int64(p.RunMax), p.LengthMax, p.BytesMax, p.BacklogMax,
	} {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

func readPolicy(b *fact.Body) (p Policy) {
	h := b.Fixed(5)
	p.Kind, p.Order, p.Members, p.Overflow = Kind(h[0]), Order(h[1]), Membership(h[2]), Overflow(h[3])
	p.Volatile, p.Suspended, p.Bury = h[4]&flagVolatile != 0, h[4]&flagSuspended != 0, h[4]&flagBury != 0
	p.Expires, p.Yields = h[4]&flagExpires != 0, h[4]&flagYields != 0
	n := func() int64 { return int64(b.Uvarint()) }
	p.LeaseMS, p.AttemptsMax, p.BackoffMS, p.BackoffMaxMS, p.JitterPercent = n(), int32(n()), n(), n(), int32(n())
	p.DelayMS, p.TTLMS, p.Priorities, p.UnackedMax, p.RunMax = n(), n(), int32(n()), int32(n()), int32(n())
	p.LengthMax, p.BytesMax, p.BacklogMax = n(), n(), n()
	return p
}
