package jsonschema

import "bytes"

// object looks at members. Their order is that of the payload.
func (p *run) object(o *objectRule, at uint32, c *cell, marks int) bool {
	ok := int(c.count) >= o.least && int(c.count) <= o.most
	if !ok && !p.all {
		return false
	}
	required, i := 0, 0
	for x := at + 1; x < c.next; x = p.cells[x].next {
		m := &p.cells[x]
		if m.flags&superseded != 0 {
			continue
		}
		known := false
		if e := o.names.find(m.hash, p.nameOf(m)); e != nil {
			if e.required {
				required++
			}
			if known = e.rule != nil; known {
				ok = p.value(e.rule, x, none) && ok
			}
		}
		if len(o.patterns) > 0 {
			fits, keeps := p.patterns(o, x, m)
			known, ok = known || fits, ok && keeps
		}
		if !known && o.covers {
			ok = !o.closed && (o.more == nil || p.value(o.more, x, none)) && ok
		}
		if o.nameRule != nil {
			ok = p.name(o.nameRule, m) && ok
		}
		if !ok && !p.all {
			return false
		}
		if marks != none && (known || o.covers) {
			p.marks[marks+i] = true
		}
		i++
	}
	return ok && required == o.required
}

// patterns looks at the rules whose patterns a member's name matches.
func (p *run) patterns(o *objectRule, x uint32, m *cell) (fits, keeps bool) {
	name, keeps := p.nameOf(m), true
	for i := range o.patterns {
		t := &o.patterns[i]
		p.steps += 1 + len(name)/lettersPerStep
		if t.re == nil || t.re.match(name, m.flags&nameASCII != 0) {
			fits = true
			if !p.value(t.rule, x, none) {
				if keeps = false; !p.all {
					return fits, keeps
				}
			}
		}
	}
	return fits, keeps
}

// name looks at a member's name as a value, which has not come by the way here.
func (p *run) name(r *rule, m *cell) bool {
	at := uint32(len(p.cells))
	x := cell{kind: isString, from: m.name, to: m.nameTo, next: at + 1}
	x.flags = m.flags & nameApart >> 1
	x.flags |= m.flags & nameASCII >> 1
	p.cells = append(p.cells, x)
	floor := p.floor
	p.floor = len(p.scopes)
	ok := p.value(r, at, none)
	p.floor = floor
	p.cells = p.cells[:at]
	return ok
}

// dependents look at what is asked for where a member is there.
func (p *run) dependents(o *objectRule, at uint32, c *cell, marks int) bool {
	if o == nil || c.kind != isObject {
		return true
	}
	ok := true
	for i := range o.depends {
		d := &o.depends[i]
		if !p.has(at, c, &d.name) {
			continue
		}
		for j := range d.needs {
			ok = ok && p.has(at, c, &d.needs[j])
		}
		if d.rule != nil && (ok || p.all) {
			ok = p.sub(d.rule, at, c, marks) && ok
		}
		if !ok && !p.all {
			return false
		}
	}
	return ok
}

func (p *run) has(at uint32, c *cell, k *nameKey) bool {
	p.steps += int(c.count) / namesPerStep
	for x := at + 1; x < c.next; x = p.cells[x].next {
		if m := &p.cells[x]; m.hash == k.hash && string(p.nameOf(m)) == k.text {
			return true // superseded or not
		}
	}
	return false
}

func (p *run) array(a *arrayRule, at uint32, c *cell, marks int) bool {
	n := int(c.count)
	ok := n >= a.least && n <= a.most && (!a.closed || n <= len(a.tuple))
	if !ok && !p.all {
		return false
	}
	i, found := 0, 0
	for x := at + 1; x < c.next; x = p.cells[x].next {
		rule := a.items
		if i < len(a.tuple) {
			rule = a.tuple[i]
		}
		if rule != nil && !p.value(rule, x, none) {
			if ok = false; !p.all {
				return false
			}
		}
		evaluated := a.covers || i < len(a.tuple)
		if a.contains != nil && p.value(a.contains, x, none) {
			found++
			evaluated = evaluated || a.containsIsEvaluated
		}
		if evaluated && marks != none {
			p.marks[marks+i] = true
		}
		i++
	}
	if a.contains != nil {
		ok = ok && found >= a.containsMin && found <= a.containsMax
	}
	if a.unique && (ok || p.all) {
		ok = p.distinct(at, c) && ok
	}
	return ok
}

const pairsMax = 8 // so few items are compared with each other

// distinct reports whether no two items are equal. Many are compared by their hashes first, so that it stays linear.
func (p *run) distinct(at uint32, c *cell) bool {
	if c.count <= 1 {
		return true
	}
	p.steps += int(c.next-at) / 4
	items := p.names[:0] // free while nothing is read
	for x := at + 1; x < c.next; x = p.cells[x].next {
		items = append(items, x)
	}
	p.names = items[:0]
	if len(items) <= pairsMax {
		for i, x := range items {
			for _, y := range items[:i] {
				if p.equal(x, &p.tape, y) {
					return false
				}
			}
		}
		return true
	}
	slots, mask := p.table(len(items))
	hashes := p.hashes[:0]
	for i, x := range items {
		h := p.hashValue(x)
		hashes = append(hashes, h)
		s := uint32(h) & mask
		for ; slots[s] != 0; s = (s + 1) & mask {
			j := slots[s] - 1
			if hashes[j] == h && p.equal(x, &p.tape, items[j]) {
				p.hashes = hashes
				return false
			}
		}
		slots[s] = uint32(i + 1)
	}
	p.hashes = hashes
	return true
}

// oneOf reports whether a value is among choices.
func (p *run) oneOf(c *choices, at uint32, x *cell) bool {
	if x.kind == isString {
		b := p.tape.text(x)
		return c.texts.find(hashOf(b), b) != nil
	}
	if len(c.others) == 0 {
		return false
	}
	hash := uint64(0)
	if x.kind&(isObject|isArray) != 0 {
		p.steps += int(x.next-at) / 4
		hash = p.hashValue(at)
	}
	for i := range c.others {
		l := &c.others[i]
		if (hash == 0 || hash == l.hash) && p.equal(at, l.tape, 0) {
			return true
		}
	}
	return false
}

// equal compares two values: numbers by what they are, members in any order.
func (p *run) equal(x uint32, o *tape, y uint32) bool {
	a, b := &p.cells[x], &o.cells[y]
	switch {
	case a.kind&isNumber != 0:
		if b.kind&isNumber == 0 {
			return false
		}
		s, t := p.tape.text(a), o.text(b)
		if bytes.Equal(s, t) {
			return true
		}
		d, e := decimalOf(s), decimalOf(t)
		if d.ok && e.ok {
			return d == e
		}
		return d.ok == e.ok && ratOf(s).Cmp(ratOf(t)) == 0
	case a.kind != b.kind || a.count != b.count:
		return false
	case a.kind == isString, a.kind == isBool:
		return bytes.Equal(p.tape.text(a), o.text(b))
	case a.kind == isArray:
		for i, j := x+1, y+1; i < a.next; i, j = p.cells[i].next, o.cells[j].next {
			if !p.equal(i, o, j) {
				return false
			}
		}
	case a.kind == isObject:
		for i := x + 1; i < a.next; i = p.cells[i].next {
			if m := &p.cells[i]; m.flags&superseded == 0 && !p.equalMember(i, m, o, y) {
				return false
			}
		}
	}
	return true
}

// equalMember looks for a member in an object of as many.
func (p *run) equalMember(i uint32, m *cell, o *tape, y uint32) bool {
	name := p.nameOf(m)
	for j := y + 1; j < o.cells[y].next; j = o.cells[j].next {
		if p.steps++; p.steps > p.most {
			p.spent = true
			return false
		}
		if n := &o.cells[j]; n.hash == m.hash && n.flags&superseded == 0 && bytes.Equal(o.nameOf(n), name) {
			return p.equal(i, o, j)
		}
	}
	return false
}
