package history

import "strings"

// Final is what is there when all is over.
type Final struct {
	Stored  map[Part][]Stored // everything, markers too
	Visible map[Part][]Seen   // what a reader of committed records is given
	Group   map[Part]int64    // the offsets of the group that consumes, transforms and produces
	State   []Seen            // what is committed and left in a compacted topic to which each transaction of a name has written, with its name as the key
}

// transaction is one of an instance, or a record that is of none.
type transaction struct {
	begin      *Line
	end, ended *Line
	shown      int // records that are visible
}

type number struct {
	who string
	n   int
}

// outcome is what is known of it. Without a request to commit it cannot have been committed.
func (t *transaction) outcome() string {
	switch {
	case t.begin.Name == "" && t.ended == nil:
		return Unknown
	case t.begin.Name == "":
		return t.ended.Outcome
	case t.end == nil || !t.end.Commit:
		return Aborted
	case t.ended == nil:
		return Unknown
	}
	return t.ended.Outcome
}

type checker struct {
	Report
	f     *Final
	txns  map[number]*transaction
	order []*transaction
	seen  map[Part]map[int64]string // visible, by offset
}

// Check judges.
func Check(ls []Line, f *Final) *Report {
	c := &checker{f: f, txns: map[number]*transaction{}, seen: map[Part]map[int64]string{}}
	c.collect(ls)
	for at, stored := range f.Stored {
		want := visible(at, stored, &c.Report)
		sameVisible(at, want, f.Visible[at], &c.Report)
		c.stored(at, stored)
	}
	for at, seen := range f.Visible {
		c.seen[at] = make(map[int64]string, len(seen))
		for _, s := range seen {
			c.seen[at][s.Offset] = s.Value
			if t, _ := c.owner(s.Value); t != nil {
				t.shown++
			}
		}
		c.Stats.Visible += len(seen)
	}
	for _, t := range c.order {
		c.whole(t)
		c.acknowledged(t)
	}
	c.fenced(ls)
	c.compacted(ls)
	c.readers(ls)
	c.moves()
	return &c.Report
}

func (c *checker) collect(ls []Line) {
	for i := range ls {
		l := &ls[i]
		k := number{l.Who, l.N}
		switch l.Kind {
		case KindInit:
			c.Stats.Instances++
		case KindBegin:
			if c.txns[k] != nil {
				c.add("foreign", "%s begins its transaction %d twice", l.Who, l.N)
			}
			t := &transaction{begin: l}
			c.txns[k] = t
			c.order = append(c.order, t)
		case KindEnd, KindEnded:
			t := c.txns[k]
			switch {
			case t == nil:
				c.add("foreign", "%s ends its transaction %d, which it has not begun", l.Who, l.N)
			case l.Kind == KindEnd:
				t.end = l
			default:
				t.ended = l
			}
		}
	}
}

// owner finds the transaction that a value is of, and its place there.
func (c *checker) owner(head string) (*transaction, int) {
	who, n, i, err := parse(head)
	if err != nil {
		return nil, 0
	}
	t := c.txns[number{who, n}]
	if t == nil || i < 0 || i >= len(t.begin.Records) {
		return nil, 0
	}
	return t, i
}

// stored judges what a partition holds: sent by somebody to there, once, and in the order of its sender.
func (c *checker) stored(at Part, stored []Stored) {
	type last struct{ n, i int }
	was, once := map[string]last{}, make(map[string]int64, len(stored))
	for j := range stored {
		s := &stored[j]
		if s.Control {
			c.Stats.Markers++
			continue
		}
		c.Stats.Records++
		t, i := c.owner(s.Value)
		if t == nil || t.begin.Records[i] != at {
			c.add("foreign", "%v: offset %d holds %.100q, which nobody sent there", at, s.Offset, s.Value)
			continue
		}
		if first, twice := once[s.Value]; twice {
			c.add("duplicated", "%v: %s is at offsets %d and %d", at, s.Value, first, s.Offset)
			continue
		}
		once[s.Value] = s.Offset
		now := last{t.begin.N, i}
		if w, known := was[t.begin.Who]; known && (w.n > now.n || w.n == now.n && w.i > now.i) {
			c.add("reordered", "%v: %s at offset %d comes after %d %d", at, s.Value, s.Offset, w.n, w.i)
		}
		was[t.begin.Who] = now
	}
}

// whole judges how much of a transaction is visible.
func (c *checker) whole(t *transaction) {
	all, b := len(t.begin.Records), t.begin
	switch o := t.outcome(); {
	case o == Committed && t.shown < all:
		kind := "torn"
		if t.shown == 0 {
			kind = "lost"
		}
		c.add(kind, "transaction %d of %s was committed; %d of its %d records are visible", b.N, b.Who, t.shown, all)
	case o == Aborted && t.shown > 0:
		c.add("aborted", "transaction %d of %s was not committed; %d of its %d records are visible", b.N, b.Who, t.shown, all)
	case o == Unknown && t.shown != 0 && t.shown != all:
		c.add("torn", "nobody knows how transaction %d of %s ended, but %d of its %d records are visible", b.N, b.Who, t.shown, all)
	case b.Name == "":
	case o == Committed:
		c.Stats.Committed++
		parts := map[Part]struct{}{}
		for _, p := range b.Records {
			parts[p] = struct{}{}
		}
		c.Stats.Parts += len(parts)
	case o == Aborted:
		c.Stats.Aborted++
	default:
		c.Stats.Unknown++
		if t.shown > 0 {
			c.Stats.UnknownSeen++
		}
	}
}

// acknowledged: what was answered with an offset is there, whatever became of its transaction.
func (c *checker) acknowledged(t *transaction) {
	var acks []Ack
	if t.end != nil {
		acks = t.end.Acks
	}
	if t.ended != nil {
		acks = append(acks[:len(acks):len(acks)], t.ended.Acks...)
	}
	for _, a := range acks {
		at := t.begin.Records[a.Record]
		head := headOf(t.begin.Who, t.begin.N, a.Record)
		stored := c.f.Stored[at]
		if len(stored) == 0 || a.Offset < stored[0].Offset || a.Offset > stored[len(stored)-1].Offset {
			c.add("lost", "%v: %s was acknowledged at offset %d, which is not there", at, head, a.Offset)
		} else if i := a.Offset - stored[0].Offset; int(i) < len(stored) && stored[i].Value != head {
			c.add("lost", "%v: %s was acknowledged at offset %d, which holds %q", at, head, a.Offset, stored[i].Value)
		}
	}
}

// fenced: when an instance was told that it is the one, an older one of that name commits nothing any more.
func (c *checker) fenced(ls []Line) {
	inits, of := map[string][]*Line{}, map[string]*Line{}
	for i := range ls {
		if l := &ls[i]; l.Kind == KindInit {
			inits[l.Name] = append(inits[l.Name], l)
			of[l.Who] = l
		}
	}
	for _, t := range c.order {
		if t.ended != nil && strings.Contains(strings.ToUpper(t.ended.Error), "FENCED") {
			c.Stats.Fenced++
		}
		mine := of[t.begin.Who]
		if mine == nil || t.outcome() != Committed {
			continue
		}
		for _, other := range inits[t.begin.Name] {
			if other.From > mine.At && t.end.At > other.At {
				c.add("zombie", "%s committed its transaction %d after %s had taken over the name %s", t.begin.Who, t.begin.N, other.Who, t.begin.Name)
			}
		}
	}
}
