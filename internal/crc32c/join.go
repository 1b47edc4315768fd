package crc32c

import "hash/crc32"

// A checksum is a polynomial over GF(2), modulo the one of Castagnoli, P (RFC 3720, section 12.1). Its bits are stored backwards: x⁰ is the highest bit.
//
//	bytes     a ‖ b
//	checksum  a · x^(8·|b|)  +  b     modulo P
//
// hash/crc32 inverts before and after, and both cancel each other out in the sum, because the inversion before b is one after a.
const (
	one = 1 << 31
	x   = 1 << 30
)

// powers are x^(2^i).
var powers = func() (p [64]uint32) {
	p[0] = x
	for i := 1; i < len(p); i++ {
		p[i] = times(p[i-1], p[i-1])
	}
	return p
}()

// Join is the checksum of a‖b, where a and b are those of the parts and n is the length of the second one. It takes less than a microsecond, which is worth
// it from some thousand bytes on.
func Join(a, b uint32, n int64) uint32 {
	shift := uint32(one)
	for i, bits := 3, uint64(n); bits != 0; i, bits = i+1, bits>>1 { // 8·n is n, three places on
		if bits&1 != 0 {
			shift = times(shift, powers[i])
		}
	}
	return times(a, shift) ^ b
}

// times multiplies modulo P.
func times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)          // all ones when the bit is set: no branch that nobody can foretell
		b = b>>1 ^ crc32.Castagnoli&-(b&1) // b·x
	}
	return product
}
