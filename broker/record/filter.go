package record

import (
	"encoding/binary"
	"slices"

	"leat/broker/fault"
)

// Filter makes of the batch p one without the records that keep refuses; i counts the records that are there from 0. p is exactly one batch
// and is not changed. Everything else stays as it is: base offset and last offset delta, and so every offset; times, producer, sequence,
// attributes and codec. Where all records are kept the answer is p itself; where none is, it is nil. Otherwise it is a batch of its own:
//
//	before   base 10, last delta 3, count 4   [0] [1] [2] [3]
//	after    base 10, last delta 3, count 2       [1]     [3]     records byte for byte as they were
//
// A reader of the answer meets offsets with holes, as EachRecord and every client of the format expects. What *r lends ends with the call of
// keep. A batch that cannot be read is refused as by EachRecord, one that would inflate beyond DefaultInflateLimits with TooLarge.
func Filter(p []byte, keep func(i int, r *Record) bool) (out []byte, kept int, err error) {
	return filter(p, DefaultInflateLimits(), keep)
}

func filter(p []byte, lim InflateLimits, keep func(i int, r *Record) bool) (out []byte, kept int, err error) {
	h, err := ParseBatchHeader(p)
	if err != nil {
		return nil, 0, err
	}
	if h.Bytes != len(p) {
		return nil, 0, invalid("batch", "%d bytes follow it; one batch was expected", len(p)-h.Bytes)
	}
	section, release, err := Inflated(p, lim)
	if err != nil {
		return nil, 0, err
	}
	defer release()
	d := recordDecoder{h: h, p: section}
	left := make([]byte, 0, len(section))
	at := 0
	err = d.each(func(i int, r *Record) error {
		end := len(section) - len(d.p)
		if keep(i, r) {
			left = append(left, section[at:end]...)
			kept++
		}
		at = end
		return nil
	})
	switch {
	case err != nil:
		return nil, 0, err
	case kept == 0:
		return nil, 0, nil
	case kept == int(h.Count):
		return p, kept, nil
	}
	out, err = rebuild(p, h.Codec(), left, kept)
	return out, kept, err
}

// rebuild puts other records behind the header of p.
func rebuild(p []byte, codec Codec, section []byte, count int) ([]byte, error) {
	b := builders.Get().(*Builder)
	defer builders.Put(b)
	out, err := b.comp.compress(slices.Clone(p[:BatchHeaderBytes]), codec, section)
	if err != nil {
		return nil, fault.New(fault.Internal, opBatch, "batch", "it cannot be compressed with %s", codec).From(err)
	}
	be := binary.BigEndian
	be.PutUint32(out[atLength:], uint32(len(out)-batchLengthEnd))
	be.PutUint32(out[atCount:], uint32(count))
	seal(out)
	return out, nil
}
