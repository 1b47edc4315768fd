package record

// Blank is a place in an uncompressed batch for an offset that is not known yet when the batch is made: that of a record of another batch, so many
// behind the first offset of that one.
type Blank struct{ End, Behind int32 }

// BlankBytes is how long the text of an offset is that is filled in: decimal, with zeros before it.
const BlankBytes = 20

// BlankOffset is the value of a header that is to be filled in. It must be that of the last header of its record: the Blank ends where the record does.
const BlankOffset = "00000000000000000000"

// FillBlanks writes the offsets into the batch that p is exactly, now that the first one is known, and renews the checksum.
func FillBlanks(p []byte, blanks []Blank, base Offset) {
	for _, b := range blanks {
		v := uint64(base) + uint64(b.Behind)
		for i := b.End - 1; i >= b.End-BlankBytes; i-- {
			p[i] = byte('0' + v%10)
			v /= 10
		}
	}
	seal(p)
}
