package shard

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"leat/broker/record"
	"leat/broker/stream"
)

// versions remembers the versions of recently used keys, so that deciding on them needs no look at the rows. Keys are told apart by 128
// bits of hashes whose seeds are random and new in each process.
//
// What it holds is never older than what is published. Publishing a frame first raises pending, then writes rows, then calls set for
// every key of the frame, and only then moves the published sequence. Whoever looked a row up may only put it in (fill) when nothing has
// begun to be published since before the look-up; else it might be the row from before, arriving after the new version:
//
//	reader: seq 7 ── row says 3 ───────────────────────────── fill(7, 3): pending is 8, dropped
//	publisher:            pending = 8 ── row 4 ── set(4) ── seq 8
type versions struct {
	seeds   [2]maphash.Seed
	max     int // of each part
	pending atomic.Uint64
	parts   [versionParts]versionPart
}

const versionParts = 64

type versionPart struct {
	mu      sync.Mutex
	m       map[stream.Fingerprint]uint64
	evicted bool // something was dropped, so that not being here says nothing
}

const versionsEvicted = 8 // entries dropped, without choosing, when a part is full

func (v *versions) init(max int) {
	v.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	v.max = max / versionParts
}

func (v *versions) fingerprint(id record.StreamID, key []byte) stream.Fingerprint {
	// The stream is mixed in afterwards: hashing one slice is several times cheaper than feeding a hash in pieces.
	return stream.Fingerprint{
		maphash.Bytes(v.seeds[0], key) ^ uint64(id)*0x9e3779b97f4a7c15,
		maphash.Bytes(v.seeds[1], key) + uint64(id),
	}
}

// get returns the version of a key, and whether that is known. whole says that every key of the stream has been set here: what is not here
// then has no events, unless something was dropped.
func (v *versions) get(f stream.Fingerprint, whole bool) (uint64, bool) {
	p := &v.parts[f[0]%versionParts]
	p.mu.Lock()
	n, ok := p.m[f]
	ok = ok || whole && !p.evicted
	p.mu.Unlock()
	return n, ok
}

// reset forgets everything. It is for whoever publishes.
func (v *versions) reset() {
	for i := range v.parts {
		p := &v.parts[i]
		p.mu.Lock()
		clear(p.m)
		p.evicted = true
		p.mu.Unlock()
	}
}

// set is for whoever publishes.
func (v *versions) set(f stream.Fingerprint, n uint64) {
	p := &v.parts[f[0]%versionParts]
	p.mu.Lock()
	p.put(f, n, v.max)
	p.mu.Unlock()
}

// fill is for whoever has looked a row up; seq is the published sequence from before that.
func (v *versions) fill(f stream.Fingerprint, n, seq uint64) {
	p := &v.parts[f[0]%versionParts]
	p.mu.Lock()
	if v.pending.Load() <= seq {
		p.put(f, n, v.max)
	}
	p.mu.Unlock()
}

func (p *versionPart) put(f stream.Fingerprint, n uint64, max int) {
	if max == 0 {
		p.evicted = true
		return
	}
	if p.m == nil {
		p.m = map[stream.Fingerprint]uint64{}
	}
	if _, there := p.m[f]; !there && len(p.m) >= max {
		p.evicted = true
		evicted := 0
		for k := range p.m {
			delete(p.m, k)
			if evicted++; evicted == versionsEvicted {
				break
			}
		}
	}
	p.m[f] = n
}
