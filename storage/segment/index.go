package segment

import (
	"encoding/binary"
	"fmt"
	"math"
)

// An index block describes the runs of some blocks:
//
//	| blocks u16 | reserved u16 | then for each block: |
//	| runs, varint | chain, 16 bytes | for each run: flags, 1 byte | what the flags say | CRC32C of its bytes |
//
// A run is told as what differs from the run before it in the block, the first as what differs from a run of zeros. So a block's part stands
// for itself, and a run of small batches takes some ten bytes.
const (
	// IndexBlockBytesMax is the largest index block.
	IndexBlockBytesMax = 16 << 10

	indexHeadBytes       = 4
	groupHeadBytes       = binary.MaxVarintLen32 + chainBytes
	groupBytesMax        = 4 << 10 // of a block: it ends where it has no room for another run
	runBytesMost         = 1 + 5*binary.MaxVarintLen64 + 4*binary.MaxVarintLen32 + 4
	runBytesMin          = 1 + 1 + 1 + 4
	flagGap        uint8 = 1  // base is not where the run before ended: the difference
	flagSeq        uint8 = 2  // another seq: the difference. Without it the batch is counted from the run before, else from 0
	flagBatch      uint8 = 4  // the batch is not the next one: how many are between
	flagTime       uint8 = 8  // the difference
	flagMax        uint8 = 16 // the difference
	flagFrom       uint8 = 32 // another origin
	flagRoute      uint8 = 64 // another route
)

// indexRun is a run as an index block has it.
type indexRun struct {
	base, next        uint64
	seq               uint64
	timeMS, maxTimeMS int64
	batch             uint32
	origin, route     uint32
	bytes             uint32
	at                uint32 // in the file
	crc               uint32
	block             uint32 // number in the file
}

func (r *indexRun) run(part partition) Run {
	return Run{
		Stream: uint32(part >> 32), Partition: uint32(part), Base: r.base, Next: r.next, Seq: r.seq, Batch: r.batch,
		TimeMS: r.timeMS, MaxTimeMS: r.maxTimeMS, Origin: r.origin, Route: r.route, Bytes: int64(r.bytes),
	}
}

// appendRun adds r, which follows p; p is zero for the first of a block.
func appendRun(b []byte, r, p *indexRun) []byte {
	at := len(b)
	b = append(b, 0)
	var flags uint8
	if r.base != p.next {
		flags |= flagGap
		b = binary.AppendUvarint(b, r.base-p.next)
	}
	b = binary.AppendUvarint(b, r.next-r.base)
	batch := expectedBatch(p)
	if r.seq != p.seq {
		flags |= flagSeq
		b = binary.AppendUvarint(b, r.seq-p.seq)
		batch = 0
	}
	if r.batch != batch {
		flags |= flagBatch
		b = binary.AppendUvarint(b, uint64(r.batch-batch))
	}
	if r.timeMS != p.timeMS {
		flags |= flagTime
		b = binary.AppendUvarint(b, uint64(r.timeMS-p.timeMS))
	}
	if r.maxTimeMS != p.maxTimeMS {
		flags |= flagMax
		b = binary.AppendUvarint(b, uint64(r.maxTimeMS-p.maxTimeMS))
	}
	if r.origin != p.origin {
		flags |= flagFrom
		b = binary.AppendUvarint(b, uint64(r.origin))
	}
	if r.route != p.route {
		flags |= flagRoute
		b = binary.AppendUvarint(b, uint64(r.route))
	}
	b = binary.AppendUvarint(b, uint64(r.bytes))
	b[at] = flags
	return le.AppendUint32(b, r.crc)
}

// appendGroup adds a block's part to an index block.
func appendGroup(b []byte, runs int, chain [chainBytes]byte, group []byte) []byte {
	b = binary.AppendUvarint(b, uint64(runs))
	b = append(b, chain[:]...)
	return append(b, group...)
}

// expectedBatch is the batch of a run that goes on in the frame of p. The first run of a block has no p, and its batch is told in full.
func expectedBatch(p *indexRun) uint32 {
	if p.next == 0 {
		return 0
	}
	return p.batch + 1
}

// indexBlock is a decoded one.
type indexBlock struct {
	runs   []indexRun
	blocks []blockRef
}

// blockRef is a block: its runs, and the chain up to and with it.
type blockRef struct {
	first, end int // of runs
	chain      [chainBytes]byte
}

func (b *indexBlock) size() int64 { return int64(len(b.runs))*72 + int64(len(b.blocks))*32 + 64 }

// reader takes numbers off bytes; after the first that is not there it is bad.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) varint(most uint64) uint64 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || v > most {
		r.bad = true
		return 0
	}
	r.at += n
	return v
}

func (r *reader) take(n int) []byte {
	if len(r.b)-r.at < n {
		r.bad = true
		return make([]byte, n)
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

// decodeIndex takes the index block of l. Runs must be in order, follow one another without a gap in the file, and end where the index begins.
func decodeIndex(b []byte, l *line) (*indexBlock, error) {
	if len(b) < indexHeadBytes || len(b) > IndexBlockBytesMax {
		return nil, bad(0, "an index block of 4 to 16384 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	if !zero(b[2:4]) {
		return nil, fmt.Errorf("%w (index block)", ErrNewer)
	}
	groups := int(le.Uint16(b))
	if most := len(b) / runBytesMin; groups == 0 || groups > most || int(l.runs) > most {
		return nil, bad(0, fmt.Sprintf("at most %d blocks and runs", most), fmt.Sprintf("%d and %d", groups, l.runs))
	}
	out := &indexBlock{runs: make([]indexRun, 0, l.runs), blocks: make([]blockRef, 0, groups)}
	r := &reader{b: b, at: indexHeadBytes}
	file := uint64(l.dataAt)
	for g := range groups {
		count := int(r.varint(math.MaxUint32))
		chain := [chainBytes]byte(r.take(chainBytes))
		if r.bad || count == 0 || count > int(l.runs)-len(out.runs) {
			return nil, bad(int64(r.at), "a block with runs", fmt.Sprintf("%d runs, %d left", count, int(l.runs)-len(out.runs)))
		}
		first := len(out.runs)
		var p indexRun
		for range count {
			at := r.at
			run, ok := r.run(&p)
			run.at, run.block = uint32(file), l.block+uint32(g)
			file += uint64(run.bytes)
			if n := len(out.runs); !ok || file > uint64(l.indexAt) || n > 0 && !run.after(&out.runs[n-1]) {
				return nil, bad(int64(at), "a run behind the one before", "another, or none")
			}
			out.runs = append(out.runs, run)
			p = run
		}
		out.blocks = append(out.blocks, blockRef{first: first, end: len(out.runs), chain: chain})
	}
	f := &out.runs[0]
	if r.at != len(b) || len(out.runs) != int(l.runs) || file != uint64(l.indexAt) ||
		f.base != l.base || f.seq != l.seq || f.batch != l.batch || f.timeMS != l.timeMS || f.maxTimeMS != l.maxTimeMS {
		return nil, bad(int64(r.at), "the runs that the line tells of", fmt.Sprintf("%d runs up to byte %d", len(out.runs), file))
	}
	return out, nil
}

// after is Run.follows for what was decoded.
func (r *indexRun) after(p *indexRun) bool {
	return r.base >= p.next && (r.seq > p.seq || r.seq == p.seq && r.batch > p.batch) && r.timeMS >= p.timeMS && r.maxTimeMS >= p.maxTimeMS
}

// run takes the run that follows p.
func (r *reader) run(p *indexRun) (out indexRun, ok bool) {
	flags := r.take(1)[0]
	told := func(flag uint8, most uint64) uint64 {
		if flags&flag == 0 {
			return 0
		}
		return r.varint(most)
	}
	out.base = p.next + told(flagGap, math.MaxUint64)
	out.next = out.base + r.varint(math.MaxUint64)
	out.seq = p.seq + told(flagSeq, math.MaxUint64)
	batch := expectedBatch(p)
	if flags&flagSeq != 0 {
		batch = 0
	}
	out.batch = batch + uint32(told(flagBatch, math.MaxUint32))
	out.timeMS = p.timeMS + int64(told(flagTime, math.MaxUint64))
	out.maxTimeMS = p.maxTimeMS + int64(told(flagMax, math.MaxUint64))
	out.origin, out.route = p.origin, p.route
	if flags&flagFrom != 0 {
		out.origin = uint32(r.varint(math.MaxUint32))
	}
	if flags&flagRoute != 0 {
		out.route = uint32(r.varint(math.MaxUint32))
	}
	out.bytes = uint32(r.varint(RunBytesMax))
	out.crc = le.Uint32(r.take(4))
	ok = !r.bad && flags&0x80 == 0 && out.base >= p.next && out.next > out.base && out.bytes > 0
	return out, ok
}
