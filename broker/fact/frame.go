package fact

// Frame collects what one journal frame will hold while machines decide. Facts starts with a head.
type Frame struct {
	Facts     []byte
	Data      [][]byte // batches, in the order of their Appended facts
	DataBytes int64
	scratch   []byte
}

// Reset empties the frame and starts it with h. The data slices are let go of.
func (f *Frame) Reset(h Head) {
	f.Facts = AppendHead(f.Facts[:0], h)
	clear(f.Data)
	f.Data = f.Data[:0]
	f.DataBytes = 0
}

// Add records one fact. body appends the fact's body to the slice it is given.
func (f *Frame) Add(k Kind, version uint64, body func(dst []byte) []byte) {
	f.scratch = body(f.scratch[:0])
	f.Facts = Append(f.Facts, k, version, f.scratch)
}

// Attach adds bytes to the data region.
func (f *Frame) Attach(p []byte) {
	f.Data = append(f.Data, p)
	f.DataBytes += int64(len(p))
}

// Empty reports whether nothing was recorded.
func (f *Frame) Empty() bool { return len(f.Facts) <= HeadBytes }
