package history

// reading is what one reader was given of one partition, over all its lives.
type reading struct {
	who  string
	at   Part
	seen []Seen
}

// readers: each saw exactly what it was to see, once and in order, up to the end.
func (c *checker) readers(ls []Line) {
	committed, rs := map[string]bool{}, map[readerOf]*reading{}
	for i := range ls {
		switch l := &ls[i]; l.Kind {
		case KindReader:
			committed[l.Who] = l.Committed
		case KindRead:
			k := readerOf{l.Who, *l.Place}
			if rs[k] == nil {
				rs[k] = &reading{who: l.Who, at: *l.Place}
			}
			rs[k].seen = append(rs[k].seen, l.Seen...)
			c.Stats.Read += len(l.Seen)
		}
	}
	for who, only := range committed {
		for at := range c.f.Stored {
			r := rs[readerOf{who, at}]
			if r == nil {
				r = &reading{who: who, at: at}
			}
			want := c.f.Visible[at]
			if !only {
				want = data(c.f.Stored[at])
			}
			c.reader(r, want, only)
		}
	}
}

type readerOf struct {
	who string
	at  Part
}

func data(stored []Stored) (out []Seen) {
	for i := range stored {
		if !stored[i].Control {
			out = append(out, Seen{stored[i].Offset, stored[i].Value})
		}
	}
	return out
}

func (c *checker) reader(r *reading, want []Seen, committed bool) {
	last, k := int64(-1), 0
	for _, s := range r.seen {
		if s.Offset <= last {
			c.add("poll", "%s was given offset %d of %v after %d", r.who, s.Offset, r.at, last)
			return
		}
		last = s.Offset
		if k < len(want) && want[k].Offset < s.Offset {
			c.add("unseen", "%s was given offset %d of %v, and not %d (%s) before", r.who, s.Offset, r.at, want[k].Offset, want[k].Value)
			return
		}
		if k < len(want) && want[k] == s {
			k++
			continue
		}
		kind := "poll"
		if t, _ := c.owner(s.Value); committed && t != nil && c.seen[r.at][s.Offset] != s.Value {
			kind = "aborted"
		}
		c.add(kind, "%s was given %s at offset %d of %v, which is not among what it was to see", r.who, s.Value, s.Offset, r.at)
		return
	}
	if k < len(want) {
		c.add("unseen", "%s came to offset %d of %v; %d records follow, the first at %d (%s)", r.who, last, r.at, len(want)-k, want[k].Offset, want[k].Value)
	}
}

// moves: a visible input lies before the group's offset exactly if it has its output, which is there once, and in the order of inputs.
func (c *checker) moves() {
	done, last := map[Part]map[int64]string{}, map[Part]int64{}
	for at := range c.f.Group {
		done[at], last[at] = map[int64]string{}, -1
	}
	for at := range c.f.Visible {
		for _, s := range c.f.Visible[at] {
			t, i := c.owner(s.Value)
			if t == nil || i >= len(t.begin.Inputs) {
				continue
			}
			in := t.begin.Inputs[i]
			d := done[in.Part]
			if first, twice := d[in.Offset]; twice {
				c.add("duplicated", "offset %d of %v came out as %s and as %s", in.Offset, in.Part, first, s.Value)
				continue
			}
			if d == nil || c.seen[in.Part][in.Offset] != in.Value {
				c.add("aborted", "%s is the output of offset %d of %v (%s), which is not visible", s.Value, in.Offset, in.Part, in.Value)
				continue
			}
			d[in.Offset] = s.Value
			c.Stats.Moves++
			if in.Offset < last[in.Part] { // outputs of a partition are in one partition
				c.add("reordered", "offset %d of %v came out after %d", in.Offset, in.Part, last[in.Part])
			}
			last[in.Part] = in.Offset
		}
	}
	for at, to := range c.f.Group {
		for _, s := range c.f.Visible[at] {
			_, out := done[at][s.Offset]
			switch {
			case s.Offset < to && !out:
				c.add("offset", "the group's offset of %v is %d, and offset %d has no output", at, to, s.Offset)
			case s.Offset >= to && out:
				c.add("offset", "the group's offset of %v is %d, and offset %d has an output", at, to, s.Offset)
			}
		}
	}
}
