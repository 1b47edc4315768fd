package memory

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Mode says how much of what was not synced survives a crash.
type Mode int

const (
	KeepNone Mode = iota // only what was synced
	KeepAll              // all that was written: a kill of the process rather than of the power
	KeepSome             // any part: each sector of each page in any version it had since the last sync, each folder a prefix of its changes
)

// CrashClone returns what the machine finds after the power came back, and leaves the receiver as it is. Locks are not held in the clone.
//
// A sector in the clone is one that the page cache held at some moment since the last sync (or the synced one): a disk writes
// sectors whole, but the kernel writes pages back whenever it likes, in any order.
func (m *FS) CrashClone(rng *rand.Rand, mode Mode) *FS {
	m.mu.RLock()
	defer m.mu.RUnlock()
	clone := New()
	clone.bytesMax = m.bytesMax
	maps.Copy(clone.dirs, m.dirs)

	names := maps.Clone(m.durable)
	kept := map[string]int{} // per folder: how many more changes survive
	if mode == KeepSome {
		counts := map[string]int{}
		for _, op := range m.pending {
			counts[op.dir]++
		}
		for _, dir := range slices.Sorted(maps.Keys(counts)) {
			kept[dir] = rng.IntN(counts[dir] + 1)
		}
	}
	for _, op := range m.pending {
		if mode == KeepAll || kept[op.dir] > 0 {
			kept[op.dir]--
			op.apply(names)
		}
	}
	clones := map[*inode]*inode{} // two names of one file stay one file
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := names[name]
		if clones[node] == nil {
			clones[node] = node.crash(rng, mode)
		}
		clone.names[name] = clones[node]
	}
	maps.Copy(clone.durable, clone.names)
	return clone
}

func (n *inode) crash(rng *rand.Rand, mode Mode) *inode {
	after := newInode()
	after.size = n.diskSize
	// A size that was not synced may be on the disk all the same.
	if mode == KeepAll || mode == KeepSome && n.size != n.diskSize && rng.IntN(2) == 0 {
		after.size = n.size
	}
	maps.Copy(after.pages, n.disk)
	for _, number := range slices.Sorted(maps.Keys(n.dirty)) {
		versions := n.dirty[number]
		switch mode {
		case KeepAll:
			after.pages[number] = versions[len(versions)-1]
		case KeepSome:
			after.pages[number] = tear(rng, n.disk[number], versions)
		case KeepNone:
		}
	}
	for number, pg := range after.pages {
		start := number * pageBytes
		switch {
		case start >= after.size:
			delete(after.pages, number)
		case start+pageBytes > after.size:
			cut := *pg
			clear(cut[after.size-start:])
			after.pages[number] = &cut
		}
	}
	after.disk = maps.Clone(after.pages)
	after.diskSize = after.size
	return after
}

// tear picks a version for each sector. Half of the pages come whole, so that long writes have a fair chance to survive in part
// and in full.
func tear(rng *rand.Rand, synced *page, versions []*page) *page {
	all := append([]*page{synced}, versions...)
	if all[0] == nil {
		all[0] = new(page)
	}
	if rng.IntN(2) == 0 {
		return all[rng.IntN(len(all))]
	}
	torn := new(page)
	for at := 0; at < pageBytes; at += sectorBytes {
		from := all[rng.IntN(len(all))]
		copy(torn[at:at+sectorBytes], from[at:at+sectorBytes])
	}
	return torn
}
