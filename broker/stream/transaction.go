package stream

import (
	"cmp"
	"slices"

	"leat/broker/record"
)

// A transaction is what a producer appends to any partitions of the shard, and the positions it defers, of which readers see all or nothing.
//
//	records of 7     a b         c           [marker of 7]
//	records of 8           x         y                        z        stable: before x, while 8's is open
//	offsets          0 1   2     3   4       5                6
//
// Its records are stored where they arrive. They become visible with its marker, a batch of one record that says committed or aborted and takes an
// offset of its own. What lies before the first record of every open transaction is stable: readers end there. All markers of a transaction, what
// becomes of its producer, and its positions are facts of one frame, so nobody ever sees a part of it.
//
// A Transactor is a producer with a name, of which the epoch says whether it is still the one: whoever comes later under the same name gets a
// greater epoch, and what the former one left open is aborted. It is judged where records are appended, on the same state and at the same time, so
// nothing of a producer that has been fenced can follow its marker.

// Limits of transactions.
const (
	TransactorsMax                = 100_000
	TransactorNameBytesMax        = 1024
	TransactionPlacesMax          = 10_000         // partitions of one transaction
	TransactionCursorsMax         = 100            // subscriptions whose positions move with one
	TransactionPositionsMax       = 10_000         // deferred positions of one
	TransactionTimeoutMS          = 60_000         // unless its producer says
	TransactionTimeoutMaxMS       = 15 * 60 * 1000 // as Kafka
	OpenTransactionsMax           = 10_000         // of one partition at once
	TransactorIdleMS        int64 = 7 * 24 * 60 * 60 * 1000

	EpochMax       int16 = 1<<15 - 1
	epochExhausted       = EpochMax - 1 // its holder gets another number instead of a greater epoch: one more is for fencing it
)

// TransactorName names a producer that makes transactions.
type TransactorName struct{ Namespace, Name string }

// Place names a partition.
type Place struct {
	Stream    record.StreamID
	Partition record.PartitionID
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Stream, q.Stream), cmp.Compare(p.Partition, q.Partition))
}

// Phase is how a transactor's transaction stands. Numbers are part of the file format.
type Phase uint8

// The phases.
const (
	PhaseIdle      Phase = iota // there has been none under this epoch
	PhaseOpen                   // there is one
	PhaseCommitted              // the last one was
	PhaseAborted
)

// Transactor is a named producer and its transaction.
type Transactor struct {
	Name      TransactorName
	Producer  int64
	Epoch     int16
	WasID     int64 // producer id and epoch from before the last change, by which a repeated request is known; -1: none
	WasEpoch  int16
	TimeoutMS int64
	Phase     Phase
	BegunMS   int64 // of the open transaction
	ChangedMS int64
	Places    []Enlisted // in the order of their places
	Cursors   []uint32   // subscriptions, likewise
	Deferred  []Deferred // positions that move when it is committed
	due       int64      // of a head: when something is to be done about it
	waits     int        // of a head: place among those that wait, plus one
}

// Enlisted is a partition of an open transaction.
type Enlisted struct {
	Place
	First record.Offset // of its first record there; -1: none yet
	Seq   uint64        // frame of that
}

// Deferred is a position of a subscription that waits for the end of a transaction.
type Deferred struct {
	Cursor   uint32
	Place    Place
	To       record.Offset // -1: it is to be kept no more
	Epoch    int32         // as the subscription keeps it
	Metadata []byte
}

// OpenTransaction is one that has records in a partition, and no marker yet.
type OpenTransaction struct {
	Producer int64
	First    record.Offset
	Seq      uint64
}

// Aborted is a transaction of which a partition has records that nobody is to see: those of the producer from First to the marker at Last.
type Aborted struct {
	Producer int64
	First    record.Offset
	Last     record.Offset
	Stable   record.Offset // what was stable once it had ended: none that ended later begins before
}

// NeverStable is the frame before which everything is stable where nothing is open.
const NeverStable = ^uint64(0)

// Stable returns up to where no transaction is open, and the frame of the first record of one (NeverStable without any).
func (p *Partition) Stable() (record.Offset, uint64) {
	if len(p.Open) == 0 {
		return p.Next, NeverStable
	}
	return max(p.Open[0].First, p.Start), p.Open[0].Seq
}

// openOf returns the place of a producer's transaction among those that are open, -1 when it has none.
func (p *Partition) openOf(producer int64) int {
	for i := len(p.Open) - 1; i >= 0; i-- {
		if p.Open[i].Producer == producer {
			return i
		}
	}
	return -1
}

// enlisted finds a place among those of the transaction.
func (t *Transactor) enlisted(at Place) (int, bool) {
	return slices.BinarySearchFunc(t.Places, at, func(e Enlisted, at Place) int { return e.Place.compare(at) })
}

// enlist adds a place that is not among them, and returns where it is.
func (t *Transactor) enlist(at Place) int {
	i, there := t.enlisted(at)
	if !there {
		t.Places = slices.Insert(t.Places, i, Enlisted{Place: at, First: -1})
	}
	return i
}

func (t *Transactor) clone() *Transactor {
	c := *t
	c.Places, c.Cursors, c.Deferred = slices.Clone(t.Places), slices.Clone(t.Cursors), slices.Clone(t.Deferred)
	c.due, c.waits = 0, 0
	return &c
}

// begin opens a transaction unless one is open.
func (t *Transactor) begin(nowMS int64) {
	if t.Phase != PhaseOpen {
		t.Phase, t.BegunMS = PhaseOpen, nowMS
		t.Places, t.Cursors, t.Deferred = nil, nil, nil
	}
	t.ChangedMS = nowMS
}
