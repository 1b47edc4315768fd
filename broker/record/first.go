package record

// FirstRecord is the first record of the uncompressed batch p, whose header is h, for those who only want to know what kind of records it has: nothing
// is checked, and nothing is allocated while room has room for its headers. What it lends is good as long as p and room are. ok is false where the batch
// is compressed, empty, or cannot be read.
func FirstRecord(p []byte, h *BatchHeader, room []Header) (r Record, ok bool) {
	if h.Codec() != None || h.Count < 1 || len(p) < BatchHeaderBytes {
		return r, false
	}
	d := recordDecoder{h: *h, p: p[BatchHeaderBytes:], headers: room[:0]}
	_, bad := d.next(&r)
	return r, bad == ""
}
