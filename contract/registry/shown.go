package registry

import (
	"bytes"
	"slices"
	"sync"

	"leat/contract"
)

// Shown is a version as most are asked for and as most are: a text, and neither references nor metadata nor rules. The text is quoted as JSON quotes it, so
// that nothing has to be taken apart and put together again.
type Shown struct {
	Place
	TimeMS int64
	Type   string
	GUID   string
	Quoted []byte // is not to be changed
}

// Shown is the version at a place; false: it is gone, or has more than can be shown so, see At.
func (r *Registry) Shown(p Place) (Shown, bool) {
	return r.shown(r.version(p.Subject, p.Version, true))
}

// ShownVersion is what Version says, likewise.
func (r *Registry) ShownVersion(subject string, n int, deleted bool) (Shown, bool) {
	return r.shown(r.version(r.places(subject)[0], n, deleted))
}

func (r *Registry) shown(e *entry) (s Shown, ok bool) {
	if e == nil {
		return s, false
	}
	if s := e.shown.Load(); s != nil {
		return *s, true
	}
	body := e.body
	if body == nil {
		var err error
		if body, err = r.documents(e.name()); err != nil || body == nil {
			return s, false
		}
	}
	// What json escapes for the sake of HTML is shown as it is: that is left to those who take the text apart.
	d, ok := readDocument(body)
	if !ok || !d.plain || string(d.subject) != e.subject || bytes.Contains(d.text, []byte(`\u00`)) {
		return s, false
	}
	s = Shown{e.place(), int64(d.timeMS), formatName(d.kind), contract.FormatGUID(e.guid()), d.text}
	if e.body == nil {
		s.Quoted = bytes.Clone(d.text) // the document has more
		r.seen.put(e, &s, cap(s.Quoted)+shownBytes)
	}
	return s, true
}

// shownCache lets entries remember how they are shown, as far as there is room; whoever was asked for first forgets first. It is for those that are asked
// for all the time: a row is found in some microseconds, and what is remembered in none. An entry stands for one document, and goes with it.
type shownCache struct {
	mu    sync.Mutex
	queue []seenEntry
	first int // of the queue: those before are gone
	bytes int
}

type seenEntry struct {
	e     *entry
	bytes int
}

const (
	shownBytesMax = 8 << 20
	shownBytes    = 200 // of one, beside its document
)

func (x *shownCache) put(e *entry, s *Shown, bytes int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !e.shown.CompareAndSwap(nil, s) {
		return
	}
	x.queue, x.bytes = append(x.queue, seenEntry{e, bytes}), x.bytes+bytes
	for x.bytes > shownBytesMax {
		old := &x.queue[x.first]
		old.e.shown.Store(nil)
		x.bytes -= old.bytes
		*old = seenEntry{}
		if x.first++; x.first > len(x.queue)/2 {
			x.queue, x.first = slices.Delete(x.queue, 0, x.first), 0
		}
	}
}
