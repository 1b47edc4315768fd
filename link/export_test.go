package link

import "leat/broker/record"

// Bare is up to where batches have nothing to copy.
func Bare(p []byte, from record.Offset) record.Offset { return bare(p, from) }
