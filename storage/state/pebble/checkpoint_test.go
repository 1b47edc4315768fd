package pebble

import (
	"encoding/binary"
	"path"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"leat/storage/state"
)

// A copy holds every apply up to its mark and none after, while applies and flushes go on beside it.
func TestCheckpoint_IsExactlyItsMark(t *testing.T) {
	fs := vfs.NewMem()
	cfg := Default()
	s, err := OpenFS(fs, "/state", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	stop, begun := make(chan struct{}), make(chan struct{})
	key := func(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'p'}, seq) }
	working.Go(func() {
		for seq := uint64(1); ; seq++ {
			select {
			case <-stop:
				return
			default:
			}
			b := s.NewBatch()
			b.Set(key(seq), make([]byte, 100))
			if err := s.Apply(b, state.Mark{Seq: seq, Place: 10 * seq}); err != nil {
				t.Error(err)
				return
			}
			if seq == 100 {
				close(begun)
			}
			if seq%1000 == 0 {
				if err := s.Flush(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	<-begun
	for i := range 5 {
		dir := path.Join("/copies", string(rune('a'+i)))
		if err := fs.MkdirAll("/copies", 0o755); err != nil {
			t.Fatal(err)
		}
		before := s.Applied()
		mark, err := s.Checkpoint(dir)
		if err != nil {
			t.Fatal(err)
		}
		if mark.Seq < before.Seq || mark.Place != 10*mark.Seq {
			t.Errorf("the copy has mark %+v, %+v was applied before", mark, before)
		}
		c, err := OpenFS(fs, dir, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if c.Applied() != mark {
			t.Errorf("mark %+v was said, %+v is there", mark, c.Applied())
		}
		for _, seq := range []uint64{1, before.Seq, mark.Seq} {
			if _, err := c.Get(key(seq)); err != nil {
				t.Errorf("row %d of %d: %v", seq, mark.Seq, err)
			}
		}
		if _, err := c.Get(key(mark.Seq + 1)); err == nil {
			t.Errorf("row %d is in a copy of mark %d", mark.Seq+1, mark.Seq)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	working.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
