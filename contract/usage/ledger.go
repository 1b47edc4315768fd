package usage

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Limits.
const (
	UsesMax    = 20_000 // uses of one ledger
	TypesMax   = 64     // types that one party has in one stream; the rest is counted as Others
	makeRoom   = 16     // one part of so many of the lines goes when the ledger is full
	linesMax   = UsesMax / 2
	viasMax    = 8   // groups told of one party
	textsBytes = 256 // of each name; what is longer is cut
)

// lineKey is who does what, where.
type lineKey struct {
	place Place
	party Party
	role  Role
}

// Ledger counts uses. Its methods may be called by many.
type Ledger struct {
	mu        sync.RWMutex
	lines     map[lineKey]*Line
	uses      atomic.Int64
	forgotten atomic.Int64

	linesMax int // a test has less
}

// New is an empty ledger.
func New() *Ledger { return &Ledger{lines: map[lineKey]*Line{}, linesMax: linesMax} }

// Line is what one party does in one stream, by kind of event.
type Line struct {
	ledger *Ledger
	key    lineKey
	looked atomic.Int64 // ms, when a batch was looked into last

	mu   sync.Mutex
	gone bool // made room
	vias []string
	mix  []share
	sum  int64 // of the weights
}

// share is one kind of event of a line. weight is how many records of the last look were of it.
type share struct {
	What
	firstMS, lastMS int64
	records, bytes  int64
	weight          int64
}

// Line is that of a party in a place; it is made where there is none.
func (l *Ledger) Line(place Place, party Party, role Role, nowMS int64) *Line {
	k := lineKey{place, party, role}
	l.mu.RLock()
	x := l.lines[k]
	l.mu.RUnlock()
	if x != nil {
		return x
	}
	k = lineKey{Place{clone(place.Namespace), clone(place.Stream)}, Party{clone(party.Principal), clone(party.Protocol), clone(party.Client), clone(party.Via)}, role}
	l.mu.Lock()
	defer l.mu.Unlock()
	if x = l.lines[k]; x != nil {
		return x
	}
	if len(l.lines) >= l.linesMax || l.uses.Load() >= UsesMax {
		l.forget()
	}
	x = &Line{ledger: l, key: k}
	x.looked.Store(nowMS - LookEveryMS)
	l.lines[k] = x
	return x
}

// forget has lines go that were seen longest ago. mu is held.
func (l *Ledger) forget() {
	all := make([]*Line, 0, len(l.lines))
	last := make(map[*Line]int64, len(l.lines))
	for _, x := range l.lines {
		all = append(all, x)
		last[x] = x.last()
	}
	slices.SortFunc(all, func(a, b *Line) int { return cmp.Compare(last[a], last[b]) })
	for _, x := range all[:max(1, len(all)/makeRoom)] {
		x.mu.Lock()
		x.gone = true
		n := int64(len(x.mix))
		x.mu.Unlock()
		l.uses.Add(-n)
		l.forgotten.Add(n)
		delete(l.lines, x.key)
	}
}

func (x *Line) last() (ms int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.mix {
		ms = max(ms, x.mix[i].lastMS)
	}
	return ms
}

// LookEveryMS is how often a batch of a line is looked into record by record.
const LookEveryMS = 1000

// Due reports, to one of all who ask, whether the line's next batch is to be looked into.
func (x *Line) Due(nowMS int64) bool {
	last := x.looked.Load()
	return (nowMS-last >= LookEveryMS || nowMS < last) && x.looked.CompareAndSwap(last, nowMS)
}

// Wants reports whether Due would say so now.
func (x *Line) Wants(nowMS int64) bool {
	last := x.looked.Load()
	return nowMS-last >= LookEveryMS || nowMS < last
}

// Count counts records of which the first is of one kind, where the last look tells what the others are: alone says there are none. Else it counts
// nothing and reports false. The texts of w are looked at, not kept.
func (x *Line) Count(w What, alone bool, records, bytes, nowMS int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.mix {
		switch s := &x.mix[i]; {
		case s.What != w || s.weight == 0 && !alone:
		case alone || s.weight == x.sum:
			s.add(records, bytes, nowMS)
			return true
		default:
			x.spread(records, bytes, nowMS)
			return true
		}
	}
	return false
}

// Add counts records of one kind. The texts of w may be the caller's.
func (x *Line) Add(w What, records, bytes, nowMS int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.share(w, nowMS).add(records, bytes, nowMS)
}

// Looked takes over what a look has found, and counts the records of the batch it was made of, or of several like it.
func (x *Line) Looked(found *Look, records, bytes, nowMS int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.mix {
		x.mix[i].weight = 0
	}
	x.sum = 0
	for i := range found.n {
		s := x.share(found.what[i], nowMS)
		s.weight += found.count[i]
		x.sum += found.count[i]
	}
	x.spread(records, bytes, nowMS)
}

// Spread counts records among the kinds of the last look, as they were then.
func (x *Line) Spread(records, bytes, nowMS int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.spread(records, bytes, nowMS)
}

func (x *Line) spread(records, bytes, nowMS int64) {
	if x.sum == 0 {
		x.share(What{}, nowMS).add(records, bytes, nowMS)
		return
	}
	leftRecords, leftBytes, left := records, bytes, x.sum
	for i := range x.mix {
		s := &x.mix[i]
		if s.weight == 0 {
			continue
		}
		r, n := leftRecords, leftBytes // the last one gets what is left: the sum is exact
		if left > s.weight {
			r, n = part(records, s.weight, x.sum), part(bytes, s.weight, x.sum)
		}
		leftRecords, leftBytes, left = leftRecords-r, leftBytes-n, left-s.weight
		if r > 0 || s.weight == x.sum {
			s.add(r, n, nowMS)
		}
	}
}

func part(n, weight, sum int64) int64 { return int64(float64(n) * (float64(weight) / float64(sum))) }

func (s *share) add(records, bytes, nowMS int64) {
	if s.firstMS == 0 {
		s.firstMS = nowMS
	}
	s.lastMS = max(s.lastMS, nowMS)
	s.records += records
	s.bytes += bytes
}

// share is that of a kind, made where there is none. mu is held.
func (x *Line) share(w What, nowMS int64) *share {
	for i := range x.mix {
		if x.mix[i].What == w {
			return &x.mix[i]
		}
	}
	if w.Type != Others && (len(x.mix) >= TypesMax || x.ledger.uses.Load() >= UsesMax && len(x.mix) > 0) {
		return x.share(What{Type: Others}, nowMS)
	}
	x.mix = append(x.mix, share{What: What{clone(w.Type), w.Schema, clone(w.GUID)}, firstMS: nowMS})
	if !x.gone {
		x.ledger.uses.Add(1)
	}
	return &x.mix[len(x.mix)-1]
}

// clone is a text of its own, not longer than textsBytes: what is counted may lie in a batch that goes.
func clone(s string) string {
	return string(append([]byte(nil), s[:min(len(s), textsBytes)]...))
}

// Look is what one look into a batch has found. Its zero value has found nothing.
type Look struct {
	what  [lookTypesMax]What
	count [lookTypesMax]int64
	n     int
}

// LookRecordsMax is how many records of a batch a look sees, lookTypesMax how many kinds.
const (
	LookRecordsMax = 256
	lookTypesMax   = 16
)

// Saw notes one record. The texts of w are to stay as they are until the look is taken over.
func (k *Look) Saw(w What) {
	for i := range k.n {
		if k.what[i] == w {
			k.count[i]++
			return
		}
	}
	if k.n == lookTypesMax {
		return
	}
	k.what[k.n], k.count[k.n] = w, 1
	k.n++
}

// Via names the subscription or group by which a party reads that reads without one: groups that keep only positions.
func (l *Ledger) Via(place Place, party Party, via string) {
	l.mu.RLock()
	x := l.lines[lineKey{place, party, Consumes}]
	l.mu.RUnlock()
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.vias) < viasMax && !slices.Contains(x.vias, via) {
		x.vias = append(x.vias, clone(via))
	}
}

// each calls fn for what was counted in a namespace; the line is locked meanwhile.
func (l *Ledger) each(namespace string, fn func(x *Line, s *share)) {
	l.mu.RLock()
	all := make([]*Line, 0, len(l.lines))
	for k, x := range l.lines {
		if k.place.Namespace == namespace {
			all = append(all, x)
		}
	}
	l.mu.RUnlock()
	for _, x := range all {
		x.mu.Lock()
		for i := range x.mix {
			if x.mix[i].records > 0 {
				fn(x, &x.mix[i])
			}
		}
		x.mu.Unlock()
	}
}

// Uses are all there are of a namespace, by type, stream, role and party.
func (l *Ledger) Uses(namespace string) (out []Use) {
	l.each(namespace, func(x *Line, s *share) {
		p := x.key.party
		if p.Via == "" {
			p.Via = strings.Join(x.vias, ", ")
		}
		out = append(out, Use{x.key.place, p, s.What, x.key.role, s.firstMS, s.lastMS, s.records, s.bytes})
	})
	slices.SortFunc(out, func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Principal, b.Principal),
			cmp.Compare(a.Client, b.Client), cmp.Compare(a.Via, b.Via), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.GUID, b.GUID))
	})
	return out
}

// Forgotten is how many uses have made room for others since the start.
func (l *Ledger) Forgotten() int64 { return l.forgotten.Load() }

// merge adds what a share has. mu is held.
func (x *Line) merge(o *share) {
	s := x.share(o.What, o.firstMS)
	s.firstMS, s.lastMS = min(s.firstMS, o.firstMS), max(s.lastMS, o.lastMS)
	s.records += o.records
	s.bytes += o.bytes
}
