package jsonschema

import "hash/maphash"

const mixer = 0x9E3779B97F4A7C15

func mix(h, v uint64) uint64 {
	h = (h ^ v) * mixer
	return h ^ h>>29
}

// hashValue is the same for values that are equal.
func (t *tape) hashValue(at uint32) uint64 {
	c := &t.cells[at]
	h := mix(mixer, uint64(c.kind&^isInteger))
	switch c.kind {
	case isBool, isString:
		return mix(h, maphash.Bytes(seed, t.text(c)))
	case isArray:
		for x := at + 1; x < c.next; x = t.cells[x].next {
			h = mix(h, t.hashValue(x))
		}
	case isObject:
		sum := uint64(0) // in any order
		for x := at + 1; x < c.next; x = t.cells[x].next {
			if m := &t.cells[x]; m.flags&superseded == 0 {
				sum += mix(mix(mixer, uint64(m.hash)), t.hashValue(x))
			}
		}
		return mix(h, sum)
	case isNumber, isNumber | isInteger:
		d := decimalOf(t.text(c))
		if !d.ok {
			return mix(h, maphash.String(seed, ratOf(t.text(c)).RatString()))
		}
		if d.neg {
			h = mix(h, 1)
		}
		return mix(mix(h, d.mant), uint64(uint32(d.exp)))
	}
	return h
}
