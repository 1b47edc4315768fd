package shard

import (
	"leat/broker/record"
	"leat/broker/stream"
)

// Walk calls fn for the runs of a partition in order, from the one that holds from on, until fn returns false. Runs that begin before
// the partition does are among them when they end behind its start. fn must not call back.
func (p *Published) Walk(src Source, from record.Offset, fn func(*stream.Run) bool) error {
	l, err := p.locate(src)
	if err != nil {
		return damaged(err)
	}
	defer l.close()
	for ok := l.seek(from); ok; ok = l.next() {
		if !fn(&l.run) {
			break
		}
	}
	if l.err != nil {
		return damaged(l.err)
	}
	return nil
}
