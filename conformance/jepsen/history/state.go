package history

// compacted judges what is left of a topic to which each transaction of a producer has written one record, with the producer's name as the key. Which of
// the transactions are committed the other topics say, of which nothing is taken away:
//
//	x writes   1   2   3 (aborted)   4          then  x: 4, and of 1 and 2 nothing, or a record each; of 3 nothing
func (c *checker) compacted(ls []Line) {
	if c.f.State == nil {
		return // there was none
	}
	type place struct {
		producer int64
		epoch    int16
		n        int
	}
	less := func(a, b place) bool {
		if a.producer != b.producer {
			return a.producer < b.producer
		}
		return a.epoch < b.epoch || a.epoch == b.epoch && a.n < b.n
	}
	of := map[string]*Line{} // instances
	for i := range ls {
		if l := &ls[i]; l.Kind == KindInit {
			of[l.Who] = l
		}
	}
	want := map[string]*transaction{} // the last of each name that is visible
	at := func(t *transaction) place {
		return place{of[t.begin.Who].Producer, of[t.begin.Who].Epoch, t.begin.N}
	}
	for _, t := range c.order {
		if t.begin.Name == "" || len(t.begin.Inputs) > 0 || t.shown == 0 || of[t.begin.Who] == nil {
			continue
		}
		c.Stats.StateWritten++
		if w := want[t.begin.Name]; w == nil || less(at(w), at(t)) {
			want[t.begin.Name] = t
		}
	}
	got := map[string]*transaction{}
	for _, s := range c.f.State {
		t, _ := c.owner(s.Value)
		if t == nil {
			c.add("foreign", "the compacted topic holds %.100q at offset %d, which nobody sent", s.Value, s.Offset)
			continue
		}
		c.Stats.State++
		if t.shown == 0 {
			c.add("compacted", "at offset %d %s is left, of a transaction that was not committed", s.Offset, s.Value)
			continue
		}
		got[t.begin.Name] = t
	}
	for name, t := range want {
		c.Stats.StateKeys++
		if g := got[name]; g == nil {
			c.add("compacted", "nothing is left of %s, whose last transaction is %d of %s", name, t.begin.N, t.begin.Who)
		} else if g != t {
			c.add("compacted", "the newest of %s is of transaction %d of %s; the last one is %d of %s", name, g.begin.N, g.begin.Who, t.begin.N, t.begin.Who)
		}
	}
}
