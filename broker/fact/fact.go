package fact

import (
	"encoding/binary"
	"fmt"
)

// Kind is what a fact is about.
type Kind uint16

// The kinds. Numbers are part of the file format: add at the end, never renumber.
const (
	Claimed           Kind = 1  // reserved, for when an owner takes the shard; passed over when read
	CatalogPut        Kind = 2  // catalog: a named thing has a new document
	CatalogDeleted    Kind = 3  // catalog: a named thing is gone
	StreamCreated     Kind = 4  // stream: an id came into use
	StreamChanged     Kind = 5  // stream: partitions or key mode
	StreamDeleted     Kind = 6  // stream: an id is gone for ever
	Appended          Kind = 7  // stream: a batch has its offsets
	Keyed             Kind = 8  // stream: the keys of the batch appended just before
	Identified        Kind = 9  // stream: (source, id) of records of the batch appended just before
	ProducerAllocated Kind = 10 // stream: a producer id was given out
	OriginDefined     Kind = 11 // stream: a small number for (principal, listener, protocol, client)
	Trimmed           Kind = 12 // stream: a partition begins further on; since format 2

	KeysCounted Kind = 13 // stream: how many records keys had when the stream was to number them; since format 2
	KeysBuilt   Kind = 14 // stream: what a change of the key mode needed is there; since format 2

	// Subscriptions; since format 3.
	SubscriptionPut     Kind = 15 // a subscription came into use, or its policy changed
	SubscriptionDeleted Kind = 16 // its number is gone for ever
	SourceStarted       Kind = 17 // it reads a partition from an offset on: when made, when rewound
	RouteDefined        Kind = 18 // a small number for a set of subscriptions
	Routed              Kind = 19 // whom the records of a batch reach
	Settled             Kind = 20 // records are done with
	Handed              Kind = 21 // records were handed over for the first time
	Carried             Kind = 22 // records that are remembered one by one
	CursorMoved         Kind = 23 // positions of a cursor
	Counted             Kind = 24 // how many records there were where nobody had counted
	Gapped              Kind = 25 // records went before the subscription had them

	SourceEnded Kind = 26 // a subscription reads a partition no more

	// Transactions; since format 4.
	TransactorPut     Kind = 27 // a named producer has an id and an epoch
	TransactorGone    Kind = 28 // its name is free again
	Enlisted          Kind = 29 // partitions and subscriptions of a transaction
	PositionsDeferred Kind = 30 // positions that move when it is committed
	TransactionEnded  Kind = 31 // it was committed or aborted, and what its producer is from here on

	// Terms; since format 5.
	TermsSet   Kind = 32 // stream: it indexes types and tags from here on, or no more
	TermsBuilt Kind = 33 // stream: those of older records are in the index
	Termed     Kind = 34 // stream: types and tags of the batch appended just before

	kindEnd Kind = 35
)

var kindNames = [...]string{"", "claimed", "catalog-put", "catalog-deleted", "stream-created", "stream-changed", "stream-deleted",
	"appended", "keyed", "identified", "producer-allocated", "origin-defined", "trimmed", "keys-counted", "keys-built",
	"subscription-put", "subscription-deleted", "source-started", "route-defined", "routed", "settled", "handed", "carried", "cursor-moved", "counted", "gapped", "source-ended",
	"transactor-put", "transactor-gone", "enlisted", "positions-deferred", "transaction-ended",
	"terms-set", "terms-built", "termed"}

func (k Kind) String() string {
	if k > 0 && k < kindEnd {
		return kindNames[k]
	}
	return fmt.Sprintf("kind-%d", uint16(k))
}

// Formats of a data directory: what its journal may hold. A program writes nothing into a directory that one of the directory's format
// could not read.
const (
	Format1      = 1
	Format2      = 2 // trimmed, counted and built facts, and keyed and stream-changed facts of version 2
	Format3      = 3 // the facts of subscriptions
	Format4      = 4 // transactions
	Format5      = 5 // types and tags in the index
	FormatNewest = Format5
)

// HeadBytes is the length of a facts region's head.
const HeadBytes = 15

const headVersion = 1

// Head opens the facts region of a frame.
type Head struct {
	Shard   uint16
	Lineage uint32
	TimeMS  int64 // append time of all facts in the frame
}

// AppendHead starts a facts region.
func AppendHead(dst []byte, h Head) []byte {
	dst = append(dst, headVersion)
	dst = binary.BigEndian.AppendUint16(dst, h.Shard)
	dst = binary.BigEndian.AppendUint32(dst, h.Lineage)
	return binary.BigEndian.AppendUint64(dst, uint64(h.TimeMS))
}

// Append adds one fact. The body is copied.
func Append(dst []byte, k Kind, version uint64, body []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(k))
	dst = binary.AppendUvarint(dst, version)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// Fact is one fact as Each hands it out. Body is a slice of the facts region.
type Fact struct {
	Kind    Kind
	Version uint64
	Body    []byte
}

// UnknownError says that a frame holds what this program does not understand.
type UnknownError struct{ What string }

func (e *UnknownError) Error() string {
	return "journal holds " + e.What + ", which this version of Leat does not know; open the data directory with the version that wrote it"
}

// ReadHead splits a facts region into its head and the facts.
func ReadHead(p []byte) (Head, []byte, error) {
	if len(p) < HeadBytes {
		return Head{}, nil, fmt.Errorf("facts region of %d bytes is shorter than its head", len(p))
	}
	if p[0] != headVersion {
		return Head{}, nil, &UnknownError{fmt.Sprintf("a facts region of version %d", p[0])}
	}
	return Head{
		Shard:   binary.BigEndian.Uint16(p[1:]),
		Lineage: binary.BigEndian.Uint32(p[3:]),
		TimeMS:  int64(binary.BigEndian.Uint64(p[7:])),
	}, p[HeadBytes:], nil
}

// Each calls fn for every fact in order. It stops at the first error.
func Each(p []byte, fn func(Fact) error) error {
	for len(p) > 0 {
		f, rest, err := next(p)
		if err != nil {
			return err
		}
		if err := fn(f); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

func next(p []byte) (Fact, []byte, error) {
	var v [3]uint64
	for i := range v {
		var n int
		if v[i], n = binary.Uvarint(p); n <= 0 {
			return Fact{}, nil, fmt.Errorf("fact header is cut short or too long")
		}
		p = p[n:]
	}
	if v[0] == 0 || v[0] >= uint64(kindEnd) {
		return Fact{}, nil, &UnknownError{fmt.Sprintf("a fact of kind %d", v[0])}
	}
	if v[2] > uint64(len(p)) {
		return Fact{}, nil, fmt.Errorf("fact of kind %s claims %d bytes, %d are there", Kind(v[0]), v[2], len(p))
	}
	return Fact{Kind(v[0]), v[1], p[:v[2]:v[2]]}, p[v[2]:], nil
}
