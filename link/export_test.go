package link

import (
	"time"

	"leat/broker/record"
)

// Bare is up to where batches have nothing to copy.
func Bare(p []byte, from record.Offset) record.Offset { return bare(p, from) }

// Believe has answers without a batch believed after another time.
func (l *Linker) Believe(after time.Duration) { l.tailEmptyFor = after }
