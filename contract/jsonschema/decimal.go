package jsonschema

import (
	"math/big"
	"math/bits"
	"strconv"
)

// decimal is a number as its digits: mant·10^exp without zeros at the end, so each number has one decimal. Numbers of more than mantDigits have none,
// and are compared as rationals.
type decimal struct {
	mant uint64
	exp  int32
	neg  bool
	ok   bool
}

const mantDigits = 18

var tens = func() (t [mantDigits + 2]uint64) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = 10 * t[i-1]
	}
	return t
}()

// decimalOf reads a number that keeps to JSON's grammar.
func decimalOf(b []byte) (d decimal) {
	digits, zeros, point := 0, 0, int32(0)
	fraction := false
	for i, c := range b {
		switch {
		case c == '-':
			d.neg = true
		case c == '.':
			fraction = true
		case c == 'e' || c == 'E':
			e, err := strconv.Atoi(string(b[i+1:]))
			if err != nil {
				return decimal{}
			}
			return d.done(int32(e) - point + int32(zeros)) //nolint:gosec // an exponent has three digits at most: see tape
		default:
			if fraction {
				point++
			}
			switch {
			case c != '0':
				if digits += zeros + 1; digits > mantDigits {
					return decimal{}
				}
				d.mant, zeros = d.mant*tens[zeros+1]+uint64(c-'0'), 0
			case digits > 0:
				zeros++
			}
		}
	}
	return d.done(int32(zeros) - point)
}

func (d decimal) done(exp int32) decimal {
	if d.mant == 0 {
		return decimal{ok: true}
	}
	d.exp, d.ok = exp, true
	return d
}

// whole reports whether there is nothing behind the point.
func (d decimal) whole() bool { return d.exp >= 0 }

func digitsOf(x uint64) int32 {
	n := int32(bits.Len64(x)) * 1233 >> 12 // log10(2)
	if x >= tens[n] {
		n++
	}
	return n
}

func (d decimal) compare(o decimal) int {
	switch {
	case d == o:
		return 0
	case d.neg != o.neg:
		if d.neg {
			return -1
		}
		return 1
	case d.neg:
		d.neg, o.neg = false, false
		return o.compare(d)
	case d.mant == 0:
		return -1
	case o.mant == 0:
		return 1
	}
	if a, b := digitsOf(d.mant)+d.exp, digitsOf(o.mant)+o.exp; a != b {
		return int(a - b)
	}
	// The highest digits stand at one place, so the smaller exponents' difference is one of digits.
	if d.exp > o.exp {
		d.mant *= tens[d.exp-o.exp]
	} else {
		o.mant *= tens[o.exp-d.exp]
	}
	if d.mant < o.mant {
		return -1
	}
	return 1
}

// multipleOf reports whether d is a whole number of times o, which is not 0.
func (d decimal) multipleOf(o decimal) bool {
	e := d.exp - o.exp
	if e >= 0 {
		rest := d.mant % o.mant
		for ; e > 0 && rest != 0; e-- {
			hi, lo := bits.Mul64(rest, 10)
			rest = bits.Rem64(hi, lo, o.mant)
		}
		return rest == 0
	}
	if -e > mantDigits {
		return d.mant == 0
	}
	hi, by := bits.Mul64(o.mant, tens[-e])
	if hi != 0 {
		return d.mant == 0
	}
	return d.mant%by == 0
}

// quantity is a number of a schema.
type quantity struct {
	decimal
	rat *big.Rat
}

func quantityOf(r *big.Rat) *quantity {
	if r == nil {
		return nil
	}
	q := &quantity{rat: r}
	if n, exact := r.FloatPrec(); exact {
		q.decimal = decimalOf([]byte(r.FloatString(n)))
	}
	return q
}

func ratOf(b []byte) *big.Rat {
	r, ok := new(big.Rat).SetString(string(b))
	if !ok {
		panic("jsonschema: a number that was read is none: " + string(b))
	}
	return r
}

// compare compares a number as it is written.
func (q *quantity) compare(d decimal, text []byte) int {
	if d.ok && q.ok {
		return d.compare(q.decimal)
	}
	return ratOf(text).Cmp(q.rat)
}

func (q *quantity) divides(d decimal, text []byte) bool {
	switch {
	case q.rat.Sign() == 0: // no metaschema allows it
		return true
	case d.ok && q.ok:
		return d.multipleOf(q.decimal)
	}
	return new(big.Rat).Quo(ratOf(text), q.rat).IsInt()
}

// whole reports whether a number is an integer, as 1.0 and 1e2 are.
func whole(text []byte) bool {
	if d := decimalOf(text); d.ok {
		return d.whole()
	}
	return ratOf(text).IsInt()
}
