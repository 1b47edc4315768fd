package subscription

import (
	"encoding/binary"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
)

// Bodies of the facts. uvarint and varint as in broker/fact; a place is stream uvarint, partition uvarint; ascending offsets are written as
// differences from the one before, the first from 0.
//
//	subscription-put      sub uvarint | class uvarint | policy
//	subscription-deleted  sub uvarint
//	source-started        sub uvarint | place | flags u8 (1: all, 2: known) | start uvarint | since uvarint | turn uvarint
//	route-defined         route uvarint | count uvarint | classes as differences, uvarint each
//	routed                place | base uvarint | n uvarint | n × (route uvarint | count · 2 + 1 if plain uvarint | bytes uvarint); in version 1: count uvarint
//	settled               sub uvarint | place | floor uvarint | count uvarint | bytes uvarint | n uvarint | n × (reason u8 | count uvarint) | runs | offsets
//	handed                sub uvarint | place | runs
//	carried               sub uvarint | place | brought back count, bytes uvarint | n uvarint | n × (offset difference uvarint | row)
//	cursor-moved          sub uvarint | place | offset uvarint | metadata bytes | leader epoch plus one varint
//	counted               sub uvarint | place | count varint | bytes varint, to be added
//	gapped                sub uvarint | place | to uvarint | count uvarint | bytes uvarint | flags u8 (1: more went than was counted) | offsets
//	source-ended          sub uvarint | place
//
//	runs                  n uvarint | n × (difference from the end of the run before uvarint | length uvarint)
//	offsets               n uvarint | n × difference uvarint
//	row                   flags u8 | attempts uvarint | size uvarint | seq uvarint | appended varint
//	                      flags: 1 due varint; 2 expires varint; 4 key u64; 8 priority u8; 16 lies at place, offset uvarint; 32 is new

// runOffsetsMax bounds one run of a fact; longer ones are written as several.
const runOffsetsMax = 1 << 24

// Run is so many offsets from one on.
type Run struct {
	From record.Offset
	Len  int64
}

// Meta is what has to be known of a record to hand it over in the right order at the right time.
type Meta struct {
	Offset     record.Offset
	Size       int32
	Priority   uint8
	Step       uint16 // of its frame: see steps. 0 where that is not known
	Key        uint64 // a hash of its key, the same in every process; 0: none. Keys that share a hash share an order, no more
	Seq        uint64 // of its frame
	AppendedMS int64
	DueMS      int64 // not before. 0: at once
	ExpiresMS  int64 // not after. 0: never
}

// Carried is a record that is remembered on its own, and so holds nothing back.
type Carried struct {
	Meta
	Attempts int32
	Lies     At // a copy, where the record itself may be gone. Stream 0: where it always was
	fresh    bool
}

func appendPlace(dst []byte, p Place) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Stream))
	return binary.AppendUvarint(dst, uint64(p.Partition))
}

func readPlace(b *fact.Body) Place {
	return Place{record.StreamID(b.Uvarint()), record.PartitionID(b.Uvarint())}
}

func readOffset(b *fact.Body) record.Offset { return record.Offset(b.Uvarint() & (1<<62 - 1)) }

func appendSubPlace(dst []byte, id ID, p Place) []byte {
	return appendPlace(binary.AppendUvarint(dst, uint64(id)), p)
}

func readSubPlace(b *fact.Body) (ID, Place) { return ID(b.Uvarint()), readPlace(b) }

func appendAmount(dst []byte, a Amount) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(a.Count)), uint64(a.Bytes))
}

func readAmount(b *fact.Body) Amount { return Amount{int64(b.Uvarint()), int64(b.Uvarint())} }

func appendRuns(dst []byte, runs []Run) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(runs)))
	last := record.Offset(0)
	for _, r := range runs {
		dst = binary.AppendUvarint(dst, uint64(r.From-last))
		dst = binary.AppendUvarint(dst, uint64(r.Len))
		last = r.From + record.Offset(r.Len)
	}
	return dst
}

// count reads a number of things of which each takes at least min bytes.
func count(b *fact.Body, least int) (int, error) {
	n := b.Uvarint()
	if n > uint64(b.Rest()/least) {
		return 0, fmt.Errorf("fact body: %d things do not fit into %d bytes", n, b.Rest())
	}
	return int(n), nil
}

func readRuns(b *fact.Body) ([]Run, error) {
	n, err := count(b, 2)
	if err != nil {
		return nil, err
	}
	runs := make([]Run, 0, n)
	last := record.Offset(0)
	for range n {
		r := Run{From: last + readOffset(b), Len: int64(b.Uvarint())}
		if r.Len < 0 || r.Len > runOffsetsMax || r.From < last {
			return nil, fmt.Errorf("fact body: a run of %d offsets from %d", r.Len, r.From)
		}
		last = r.From + record.Offset(r.Len)
		runs = append(runs, r)
	}
	return runs, nil
}

func appendOffsets(dst []byte, os []record.Offset) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(os)))
	last := record.Offset(0)
	for _, o := range os {
		dst = binary.AppendUvarint(dst, uint64(o-last))
		last = o
	}
	return dst
}

func readOffsets(b *fact.Body) ([]record.Offset, error) {
	n, err := count(b, 1)
	if err != nil {
		return nil, err
	}
	os := make([]record.Offset, 0, n)
	last := record.Offset(0)
	for range n {
		last += readOffset(b)
		os = append(os, last)
	}
	return os, nil
}

// runsOf joins ascending offsets.
func runsOf(dst []Run, os []record.Offset) []Run {
	for _, o := range os {
		if n := len(dst) - 1; n >= 0 && dst[n].From+record.Offset(dst[n].Len) == o && dst[n].Len < runOffsetsMax {
			dst[n].Len++
			continue
		}
		dst = append(dst, Run{o, 1})
	}
	return dst
}

const (
	carriedDue byte = 1 << iota
	carriedExpires
	carriedKey
	carriedPriority
	carriedLies
	carriedFresh
)

func (c *Carried) append(dst []byte) []byte {
	var flags byte
	for i, on := range []bool{c.DueMS != 0, c.ExpiresMS != 0, c.Key != 0, c.Priority != 0, c.Lies.Stream != 0, c.fresh} {
		if on {
			flags |= 1 << i
		}
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(c.Attempts))
	dst = binary.AppendUvarint(dst, uint64(c.Size))
	dst = binary.AppendUvarint(dst, c.Seq)
	dst = binary.AppendVarint(dst, c.AppendedMS)
	if flags&carriedDue != 0 {
		dst = binary.AppendVarint(dst, c.DueMS)
	}
	if flags&carriedExpires != 0 {
		dst = binary.AppendVarint(dst, c.ExpiresMS)
	}
	if flags&carriedKey != 0 {
		dst = binary.BigEndian.AppendUint64(dst, c.Key)
	}
	if flags&carriedPriority != 0 {
		dst = append(dst, c.Priority)
	}
	if flags&carriedLies != 0 {
		dst = binary.AppendUvarint(appendPlace(dst, c.Lies.Place), uint64(c.Lies.Offset))
	}
	return dst
}

func (c *Carried) read(b *fact.Body) {
	flags := b.Fixed(1)[0]
	c.fresh = flags&carriedFresh != 0
	c.Attempts, c.Size, c.Seq, c.AppendedMS = int32(b.Uvarint()), int32(b.Uvarint()), b.Uvarint(), b.Varint()
	if flags&carriedDue != 0 {
		c.DueMS = b.Varint()
	}
	if flags&carriedExpires != 0 {
		c.ExpiresMS = b.Varint()
	}
	if flags&carriedKey != 0 {
		c.Key = binary.BigEndian.Uint64(b.Fixed(8))
	}
	if flags&carriedPriority != 0 {
		c.Priority = min(b.Fixed(1)[0], PrioritiesMax-1)
	}
	if flags&carriedLies != 0 {
		c.Lies = At{readPlace(b), readOffset(b)}
	}
}

type started struct {
	sub          ID
	at           Place
	all, known   bool
	start, since record.Offset
	turn         uint32
}

func (x *started) append(dst []byte) []byte {
	var flags byte
	if x.all {
		flags |= 1
	}
	if x.known {
		flags |= 2
	}
	dst = append(appendSubPlace(dst, x.sub, x.at), flags)
	dst = binary.AppendUvarint(dst, uint64(x.start))
	dst = binary.AppendUvarint(dst, uint64(x.since))
	return binary.AppendUvarint(dst, uint64(x.turn))
}

func readStarted(p []byte) (x started, err error) {
	b := fact.ReadBody(p)
	x.sub, x.at = readSubPlace(b)
	flags := b.Fixed(1)[0]
	x.all, x.known = flags&1 != 0, flags&2 != 0
	x.start, x.since, x.turn = readOffset(b), readOffset(b), uint32(b.Uvarint())
	return x, b.Err()
}

func (r *Route) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.ID))
	dst = binary.AppendUvarint(dst, uint64(len(r.Classes)))
	last := ClassID(0)
	for _, id := range r.Classes {
		dst = binary.AppendUvarint(dst, uint64(id-last))
		last = id
	}
	return dst
}

func readRoute(p []byte) (*Route, error) {
	b := fact.ReadBody(p)
	r := &Route{ID: RouteID(b.Uvarint())}
	n, err := count(b, 1)
	if err != nil {
		return nil, err
	}
	r.Classes = r.room(n)
	last := ClassID(0)
	for i := range n {
		d := ClassID(b.Uvarint())
		if i > 0 && d == 0 || last+d < last {
			return nil, fmt.Errorf("fact body: classes of route %d are not in order", r.ID)
		}
		last += d
		r.Classes = append(r.Classes, last)
	}
	return r, b.Err()
}

// RouteRun is so many records of a batch that follow one another and reach the same subscriptions.
type RouteRun struct {
	Route RouteID
	Amount
	Plain bool // they have no keys, and no times or priorities of their own
}

// routedPlain is the version of routed facts that say which records are plain.
const routedPlain = 2

type routed struct {
	at   Place
	base record.Offset
	runs []RouteRun
}

func (x *routed) append(dst []byte) []byte {
	dst = appendPlace(dst, x.at)
	dst = binary.AppendUvarint(dst, uint64(x.base))
	dst = binary.AppendUvarint(dst, uint64(len(x.runs)))
	for _, r := range x.runs {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.Route)), countPlain(r.Count, r.Plain))
		dst = binary.AppendUvarint(dst, uint64(r.Bytes))
	}
	return dst
}

func (x *routed) read(version uint64, p []byte) error {
	b := fact.ReadBody(p)
	x.at, x.base = readPlace(b), readOffset(b)
	n, err := count(b, 3)
	if err != nil {
		return err
	}
	x.runs = x.runs[:0]
	for range n {
		r := RouteRun{Route: RouteID(b.Uvarint()), Amount: readAmount(b)}
		if version == routedPlain {
			r.Plain = r.Count&1 != 0
			r.Count = int64(uint64(r.Count) >> 1)
		}
		x.runs = append(x.runs, r)
	}
	return b.Err()
}

type settled struct {
	sub     ID
	at      Place
	floor   record.Offset
	amount  Amount
	reasons [reasonEnd]int64
	runs    []Run
	gone    []record.Offset // carried ones
}

func (x *settled) append(dst []byte) []byte {
	dst = appendSubPlace(dst, x.sub, x.at)
	dst = binary.AppendUvarint(dst, uint64(x.floor))
	dst = appendAmount(dst, x.amount)
	n := 0
	for _, c := range x.reasons {
		if c > 0 {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for r, c := range x.reasons {
		if c > 0 {
			dst = binary.AppendUvarint(append(dst, byte(r)), uint64(c))
		}
	}
	return appendOffsets(appendRuns(dst, x.runs), x.gone)
}

func readSettled(p []byte) (x settled, err error) {
	b := fact.ReadBody(p)
	x.sub, x.at = readSubPlace(b)
	x.floor, x.amount = readOffset(b), readAmount(b)
	n, err := count(b, 2)
	if err != nil {
		return x, err
	}
	for range n {
		r := b.Fixed(1)[0]
		c := int64(b.Uvarint())
		if r >= byte(reasonEnd) {
			return x, &fact.UnknownError{What: fmt.Sprintf("a reason %d", r)}
		}
		x.reasons[r] += c
	}
	if x.runs, err = readRuns(b); err != nil {
		return x, err
	}
	if x.gone, err = readOffsets(b); err != nil {
		return x, err
	}
	return x, b.Err()
}

type carriedFact struct {
	sub     ID
	at      Place
	brought Amount // of these, had been settled and are not any more
	rows    []Carried
}

func (x *carriedFact) append(dst []byte) []byte {
	dst = appendAmount(appendSubPlace(dst, x.sub, x.at), x.brought)
	dst = binary.AppendUvarint(dst, uint64(len(x.rows)))
	last := record.Offset(0)
	for i := range x.rows {
		c := &x.rows[i]
		dst = c.append(binary.AppendUvarint(dst, uint64(c.Offset-last)))
		last = c.Offset
	}
	return dst
}

func readCarried(p []byte) (x carriedFact, err error) {
	b := fact.ReadBody(p)
	x.sub, x.at = readSubPlace(b)
	x.brought = readAmount(b)
	n, err := count(b, 6)
	if err != nil {
		return x, err
	}
	x.rows = make([]Carried, n)
	last := record.Offset(0)
	for i := range x.rows {
		last += readOffset(b)
		x.rows[i].Offset = last
		x.rows[i].read(b)
	}
	return x, b.Err()
}

type gapped struct {
	sub     ID
	at      Place
	to      record.Offset
	lost    Amount
	unknown bool
	gone    []record.Offset
}

func (x *gapped) append(dst []byte) []byte {
	dst = binary.AppendUvarint(appendSubPlace(dst, x.sub, x.at), uint64(x.to))
	dst = appendAmount(dst, x.lost)
	var flags byte
	if x.unknown {
		flags = 1
	}
	return appendOffsets(append(dst, flags), x.gone)
}

func readGapped(p []byte) (x gapped, err error) {
	b := fact.ReadBody(p)
	x.sub, x.at = readSubPlace(b)
	x.to, x.lost = readOffset(b), readAmount(b)
	x.unknown = b.Fixed(1)[0]&1 != 0
	if x.gone, err = readOffsets(b); err != nil {
		return x, err
	}
	return x, b.Err()
}
