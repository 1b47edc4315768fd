package avrofile

import "encoding/binary"

// AppendLong appends an int or a long.
func AppendLong(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

// AppendBytes appends bytes or a string.
func AppendBytes(dst, p []byte) []byte { return append(AppendLong(dst, int64(len(p))), p...) }

// AppendOptional appends a union of null and bytes.
func AppendOptional(dst, p []byte) []byte {
	if p == nil {
		return AppendLong(dst, 0)
	}
	return AppendBytes(AppendLong(dst, 1), p)
}

// Data reads values one after the other. The first that cannot be makes it bad, and everything behind it zero.
type Data struct {
	Rest []byte
	Bad  bool
}

// Long reads an int or a long.
func (d *Data) Long() int64 {
	v, n := binary.Varint(d.Rest)
	if n <= 0 {
		d.Bad, d.Rest = true, nil
		return 0
	}
	d.Rest = d.Rest[n:]
	return v
}

// Bytes reads bytes or a string. They are a slice of the data, and never nil.
func (d *Data) Bytes() []byte {
	n := d.Long()
	if n < 0 || n > int64(len(d.Rest)) {
		d.Bad, d.Rest = true, nil
		return []byte{}
	}
	p := d.Rest[:n:n]
	d.Rest = d.Rest[n:]
	return p
}

// Optional reads a union of null and bytes.
func (d *Data) Optional() []byte {
	switch d.Long() {
	case 0:
		return nil
	case 1:
		return d.Bytes()
	}
	d.Bad, d.Rest = true, nil
	return nil
}

// Array calls fn for each element of an array, until the data is bad.
func (d *Data) Array(fn func()) {
	for n := d.Long(); n != 0 && !d.Bad; n = d.Long() {
		if n < 0 { // then its bytes follow
			d.Long()
			n = -n
		}
		if n < 0 || n > int64(len(d.Rest)) { // an element of ours has at least a byte
			d.Bad, d.Rest = true, nil
			return
		}
		for ; n > 0 && !d.Bad; n-- {
			fn()
		}
	}
}
