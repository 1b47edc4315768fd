package shard

import (
	"encoding/binary"
	"errors"
	"sync"

	"leat/broker/stream"
	"leat/storage/state"
)

// identities answers "was this (source, id) seen within the window?", nearly always from memory: the rows are in the store by the minute
// of their first sight, and for each minute Bloom filters say whether it is worth looking there. Filters grow by chunks with what
// is in them, so a quiet node holds next to nothing; when all chunks together pass filterBytesMax no more are made and the minutes
// beyond are always looked up.
type identities struct {
	windowMS int64

	mu      sync.RWMutex
	minutes []*minute // oldest first
	bytes   int
	dropped int64 // minutes before this one have been removed
}

type minute struct {
	number int64
	chunks []*bloom
	blind  bool // the filter does not know everything of this minute
}

const (
	bloomLeast     = 1 << 12 // identities in a minute's first chunk; each next one holds four times as many,
	bloomMost      = 1 << 22 // up to this
	bloomBitsEach  = 16      // with 8 probes: 6 in 10,000 are looked up in vain
	bloomProbes    = 8
	filterBytesMax = 64 << 20 // of all minutes together
)

// bloom is a Bloom filter for a number of identities that is a power of two.
type bloom struct {
	n, max int
	mask   uint64
	bits   []uint64
}

func newBloom(max int) *bloom {
	bits := max * bloomBitsEach
	return &bloom{max: max, mask: uint64(bits - 1), bits: make([]uint64, bits/64)}
}

func (b *bloom) bytes() int { return len(b.bits) * 8 }

func (b *bloom) add(id stream.Identity) {
	h1, h2 := binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])|1
	for range bloomProbes {
		i := h1 & b.mask
		b.bits[i/64] |= 1 << (i % 64)
		h1 += h2
	}
	b.n++
}

func (b *bloom) has(id stream.Identity) bool {
	h1, h2 := binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])|1
	for range bloomProbes {
		i := h1 & b.mask
		if b.bits[i/64]&(1<<(i%64)) == 0 {
			return false
		}
		h1 += h2
	}
	return true
}

// loadIdentities fills the filters from the rows of a store.
func loadIdentities(st state.Store, windowMS int64) (*identities, error) {
	d := &identities{windowMS: windowMS}
	lo := []byte{state.PrefixDedup}
	it, err := st.Iter(lo, state.After(lo))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		if k := it.Key(); len(k) == 25 {
			d.addTo(int64(binary.BigEndian.Uint64(k[1:])), stream.Identity(k[9:]))
		}
	}
	return d, it.Err()
}

func (d *identities) add(timeMS int64, ids []stream.Identity) {
	if len(ids) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.addTo(timeMS/stream.IdentityBucketMS, id)
	}
}

func (d *identities) addTo(number int64, id stream.Identity) {
	var m *minute
	if n := len(d.minutes); n > 0 && d.minutes[n-1].number >= number {
		m = d.minutes[n-1]
	} else {
		m = &minute{number: number}
		d.minutes = append(d.minutes, m)
	}
	n := len(m.chunks)
	if n == 0 || m.chunks[n-1].n >= m.chunks[n-1].max {
		size := bloomLeast
		if n > 0 {
			size = min(4*m.chunks[n-1].max, bloomMost)
		}
		if d.bytes+size*bloomBitsEach/8 > filterBytesMax {
			m.blind = true
			return
		}
		c := newBloom(size)
		d.bytes += c.bytes()
		m.chunks = append(m.chunks, c)
		n++
	}
	m.chunks[n-1].add(id)
}

// advance drops what is older than the window, once a minute.
func (d *identities) advance(f *stream.Folder, timeMS int64) {
	oldest := (timeMS - d.windowMS) / stream.IdentityBucketMS
	if oldest <= d.dropped || oldest < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped = oldest
	n := 0
	for n < len(d.minutes) && d.minutes[n].number < oldest {
		for _, c := range d.minutes[n].chunks {
			d.bytes -= c.bytes()
		}
		n++
	}
	if n > 0 {
		d.minutes = append([]*minute(nil), d.minutes[n:]...)
		f.DropIdentities(oldest * stream.IdentityBucketMS)
	}
}

func (d *identities) find(st state.Store, id stream.Identity, nowMS int64) (stream.First, bool, error) {
	for _, number := range d.worthLooking(id, nowMS) {
		v, err := st.Get(stream.IdentityKey(number*stream.IdentityBucketMS, id))
		if errors.Is(err, state.ErrNotFound) {
			continue
		}
		if err != nil {
			return stream.First{}, false, err
		}
		f, err := stream.ReadFirst(v)
		if err != nil {
			return stream.First{}, false, err
		}
		if f.TimeMS >= nowMS-d.windowMS {
			return f, true, nil
		}
	}
	return stream.First{}, false, nil
}

func (d *identities) worthLooking(id stream.Identity, nowMS int64) (numbers []int64) {
	oldest := (nowMS - d.windowMS) / stream.IdentityBucketMS
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := len(d.minutes) - 1; i >= 0 && d.minutes[i].number >= oldest; i-- {
		m := d.minutes[i]
		look := m.blind
		for _, c := range m.chunks {
			if look = look || c.has(id); look {
				break
			}
		}
		if look {
			numbers = append(numbers, m.number)
		}
	}
	return numbers
}
