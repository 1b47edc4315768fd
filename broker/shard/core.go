package shard

import (
	"sync"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/broker/subscription"
	"leat/storage/journal"
)

// Core decides. It has no goroutine, clock, chance or I/O: whoever drives it says what time it is and what became of its frames. One
// goroutine uses it.
type Core struct {
	id      uint16
	lineage uint32
	limits  Limits
	head    *stream.Head
	catalog *catalog.State
	open    *Frame
	next    uint64 // sequence of the next frame

	subs     *subscription.Head
	classes  subscription.ClassID       // the last one that was given
	filtered map[record.StreamID]uint64 // of streams that are read by address: the frame in which a subscription left its class last

	reshaped    map[subscription.ClassID]uint64 // the frame that changed what a class looks for
	reshapedAll uint64                          // that of any may have been changed in a frame up to this
	settled     int64                           // about how many bytes what was settled will take in the open frame
	nowMS       int64
	lazyMS      int64 // when what is merely lazy is to be recorded; 0: there is nothing
	flushAll    bool  // with the open frame
	wants       []subscription.Want
	follow      Follow // that need not wait for a frame
}

// Limits of one frame and of what is remembered of published ones.
type Limits struct {
	FrameBytesMax    int64 // facts and data; one command may go over by its own size
	FrameCommandsMax int
	OverlayFrames    uint64 // published frames whose changes are kept for commands resolved before them
	OverlayRowsMax   int    // rows of published frames kept likewise
}

// Frame is a frame on its way from decide to publish.
type Frame struct {
	fact.Frame
	Seq      uint64
	TimeMS   int64
	Requests []*Request
	Place    uint64 // once written
	Stamps   Stamps
	Follow   Follow // what may happen once it is durable
	failed   error
	sums     []uint32 // the room of toWrite
}

// toWrite is the frame as the journal takes it. All its data are batches whose checksums were found right or made here, and nobody changes them any more: what
// the journal's checksum is made of is known of the large ones.
func (f *Frame) toWrite() journal.Frame {
	w := journal.Frame{Seq: journal.Seq(f.Seq), Facts: f.Facts, Data: f.Data}
	f.sums = f.sums[:0]
	for i, p := range f.Data {
		if len(p) < record.SumBytesMin {
			continue
		}
		if w.Sums == nil {
			f.sums = append(f.sums, make([]uint32, len(f.Data))...)
			w.Sums = f.sums
		}
		w.Sums[i] = record.BatchSum(p)
	}
	return w
}

// Follow is what follows from decisions, for members of subscriptions and those who look after them.
type Follow struct {
	Deliveries []subscription.Leased
	Burials    []subscription.Burial
	Gaps       []subscription.Gap
	Rests      []subscription.Rest // behind deliveries
}

// Empty reports whether nothing follows.
func (f *Follow) Empty() bool { return len(f.Deliveries)+len(f.Burials)+len(f.Gaps)+len(f.Rests) == 0 }

func (f *Follow) reset() {
	f.Deliveries, f.Burials, f.Gaps, f.Rests = emptied(f.Deliveries), emptied(f.Burials), emptied(f.Gaps), emptied(f.Rests)
}

// followMax is how many elements a slice that is used again may have room for: a peak is not kept.
const followMax = 8192

func emptied[T any](s []T) []T {
	if cap(s) > followMax {
		return nil
	}
	clear(s)
	return s[:0]
}

// NewCore makes a core whose head is a copy of published state. next is the sequence of its first frame.
// format is that of the data directory.
// subs is the head of its subscriptions, as of the same frame.
func NewCore(id uint16, lineage uint32, format int, lim Limits, s *stream.State, c *catalog.State, subs *subscription.Head, published, next uint64) *Core {
	head := stream.NewHead(s.Clone(), published)
	head.Format = format
	subs.Format = format
	core := &Core{id: id, lineage: lineage, limits: lim, head: head, catalog: c.Clone(), subs: subs, next: next, filtered: map[record.StreamID]uint64{}, reshaped: map[subscription.ClassID]uint64{}, reshapedAll: published}
	for _, x := range subs.Subs {
		for _, src := range x.Sources {
			if !src.All {
				core.filtered[src.Stream] = published
			}
		}
	}
	for class := range subs.Classes {
		core.classes = max(core.classes, class)
	}
	return core
}

// Step decides one request. Its outcome stands, and may be released, when the frame that Take will return is published.
func (c *Core) Step(r *Request, nowMS int64) {
	if c.open == nil {
		c.openFrame(nowMS)
	}
	r.Seq, r.TimeMS = c.open.Seq, c.open.TimeMS
	r.Command.decide(c, r)
	c.open.Requests = append(c.open.Requests, r)
	if c.attends() {
		c.collect()
	}
}

func (c *Core) openFrame(nowMS int64) {
	f := frames.Get().(*Frame)
	f.Seq, f.Place, f.failed, f.Stamps = c.next, 0, nil, Stamps{}
	c.next++
	f.TimeMS = c.head.OpenFrame(f.Seq, nowMS)
	f.Reset(fact.Head{Shard: c.id, Lineage: c.lineage, TimeMS: f.TimeMS})
	c.nowMS = f.TimeMS
	c.subs.OpenFrame(f.Seq, f.TimeMS, f.Seq*0x9e3779b97f4a7c15^uint64(c.lineage)<<16^uint64(c.id))
	c.open = f
}

// Full reports whether the open frame should take no more.
func (c *Core) Full() bool {
	return c.open != nil && (int64(len(c.open.Facts))+c.open.DataBytes+c.settled >= c.limits.FrameBytesMax || len(c.open.Requests) >= c.limits.FrameCommandsMax)
}

// Take closes the open frame and returns it, nil if there is none. A frame may be empty of facts: its requests only wait their turn.
func (c *Core) Take() *Frame {
	f := c.open
	if f != nil && c.attends() {
		c.subs.Flush(&f.Frame, c.flushAll)
		if c.settled, c.flushAll = 0, false; !c.subs.Lazy() {
			c.lazyMS = 0
		}
	}
	c.open = nil
	return f
}

// frames are reused: their buffers are the only allocation of a frame.
var frames = sync.Pool{New: func() any { return &Frame{} }}

const frameKeptBytesMax = 4 << 20 // a frame with larger buffers is left to the collector

// Recycle gives a frame back that nobody uses any more. It may be called by any goroutine.
func (f *Frame) Recycle() {
	clear(f.Requests)
	f.Requests = f.Requests[:0]
	clear(f.Data)
	f.Data = f.Data[:0]
	f.Follow.reset()
	if cap(f.Facts) <= frameKeptBytesMax {
		frames.Put(f)
	}
}

// Published tells how far frames are published, so that the overlay can shrink.
func (c *Core) Published(seq uint64) {
	if c.head.Overlaid() > c.limits.OverlayRowsMax {
		c.head.Prune(seq)
	} else if seq > c.limits.OverlayFrames {
		c.head.Prune(seq - c.limits.OverlayFrames)
	}
	if c.attends() {
		c.subs.Published(seq)
		c.collect()
	}
}
