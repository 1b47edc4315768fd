package record

// Draft is an uncompressed batch that is written where it will lie, so that each record is copied once. The zero Draft is empty and ready;
// it is for one goroutine at a time.
type Draft struct {
	p     []byte // header, not written yet, and records
	count int32
	base  int64 // timestamp of the first record
	max   int64
}

// draftBytesLeast is what an empty draft takes at once.
const draftBytesLeast = 512

// Room takes memory for a batch of about n bytes. It is called on an empty draft; without it, memory is taken as records come.
func (d *Draft) Room(n int) { d.p = make([]byte, BatchHeaderBytes, max(n, draftBytesLeast)) }

// Len is the number of records added.
func (d *Draft) Len() int { return int(d.count) }

// Bytes is the length of the batch so far.
func (d *Draft) Bytes() int { return max(len(d.p), BatchHeaderBytes) }

// Add appends a copy of r; its Offset is not looked at: records are numbered from 0 in the order they are added.
func (d *Draft) Add(r *Record) {
	if d.p == nil {
		d.Room(0)
	}
	if d.count == 0 {
		d.base, d.max = r.Timestamp, r.Timestamp
	}
	d.max = max(d.max, r.Timestamp)
	d.p = appendRecord(d.p, r, r.Timestamp-d.base, int64(d.count))
	d.count++
}

// Finish gives the batch away, as Builder.Finish makes it, and leaves the draft empty. There is at least one record in it.
func (d *Draft) Finish() []byte {
	p := d.p
	putHeader(p, None, d.count, d.count-1, d.base, d.max)
	seal(p)
	*d = Draft{}
	return p
}
