package pebble

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"leat/storage/state"
)

// durable answers which mark a crash would leave, exactly.
//
// The hard way is to guess which applies were in a memtable that was flushed. Memtables rotate inside Commit, a flush may take one
// or several, and by the time FlushEnd is called newer applies have happened:
//
//	Apply 7     goes to memtable A, which is then full
//	Apply 8     rotates: A is immutable, 8 goes to B
//	flush of A  begins
//	Apply 9     goes to B
//	FlushEnd    "a flush has ended" - is that 7, 8 or 9?
//
// Noting Applied at FlushBegin says 8 and would let the journal be trimmed past what the disk holds. So we do not guess: the mark is a
// row like any other, in the same batch as the rows it stands for. A batch lies whole in one memtable, memtables are flushed in
// order, and a flush makes a new version of the set of tables, whose manifest record is synced before the version is installed. So the
// mark row that an iterator finds when it looks at installed tables only (OnlyReadGuaranteedDurable) is the mark of the last apply
// that is on the disk, and all applies before it are there as well.
//
// Such a read takes some microseconds, so its answer is kept until the next FlushEnd:
//
//	reader: ended = 4                          flush: version installed
//	reader: reads mark (old or new version)    flush: FlushEnd, ended = 5
//	reader: keeps (mark, 4)
//	next reader: 4 != 5, reads again
//
// The count is taken before the read, so an answer that may be older than the last flush is never taken for current. Compactions move
// the row and do not change it.
type durable struct {
	ended atomic.Uint64 // flushes that have ended

	mu   sync.Mutex
	at   uint64 // value of ended before mark was read
	mark state.Mark
}

// flushEnded is called by Pebble with its lock held: it must not call back.
func (d *durable) flushEnded() { d.ended.Add(1) }

// Durable never fails: when the tables cannot be read, the last known answer is still true.
func (s *Store) Durable() state.Mark {
	d := &s.durable
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := d.ended.Load()
	if d.at == ended || s.closed.Load() {
		return d.mark
	}
	mark, err := s.readDurable()
	if err != nil {
		s.log.Warn("durable mark cannot be read; the journal is not trimmed further", "error", err)
		return d.mark
	}
	d.at, d.mark = ended, mark
	return mark
}

func (s *Store) readDurable() (state.Mark, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true, LowerBound: markKey, UpperBound: state.After(markKey)})
	if err != nil {
		return state.Mark{}, err
	}
	var mark state.Mark
	if it.First() {
		mark, err = decodeMark(it.Value())
	}
	if err == nil {
		err = it.Error()
	}
	if e := it.Close(); err == nil {
		err = e
	}
	return mark, err
}

// Flush waits until the memtables of now are on the disk, or until Pebble reports that it could not write: it then goes on trying by
// itself, and so may the caller.
func (s *Store) Flush() error {
	if err := s.usable(); err != nil {
		return err
	}
	if s.Durable() == s.Applied() {
		return nil
	}
	failed := s.trouble.watch()
	done, err := s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("state: flush: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-failed:
		return fmt.Errorf("state: flush: %w", s.trouble.last())
	}
}
