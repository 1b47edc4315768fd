package kafka

import (
	"context"
	"sync/atomic"

	"leat/gateway"
)

// large counts what the large requests of a connection that are not answered yet have in bytes: InFlightMax of them would be gigabytes. A producer to many partitions
// sends 16 MB at a time and does not wait for answers; more of them in memory than one that is written and one that is read make nothing faster, and
// memory that was not in use before costs the node more than the events in it.
type large struct {
	bytes atomic.Int64
	fewer chan struct{} // has one when bytes has become less
}

// largeBytesMin is from how much on a request is counted.
const largeBytesMin = 64 << 10

// wait returns when there are less than most. The writer, which answers all that was read and never waits for the reader, ends it.
func (l *large) wait(ctx context.Context, draining <-chan struct{}, most int64) error {
	for l.bytes.Load() >= most {
		select {
		case <-l.fewer:
		case <-draining:
			return gateway.ErrDraining
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// count adds n bytes, until what it returns is called, which calls release, too.
func (l *large) count(n int64, release func()) func() {
	l.bytes.Add(n)
	return func() {
		release()
		l.bytes.Add(-n)
		select {
		case l.fewer <- struct{}{}:
		default:
		}
	}
}
