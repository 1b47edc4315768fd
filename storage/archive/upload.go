package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// upload stores one pack, however often that has to be tried, and settles it.
func (s *Shipper) upload(ctx context.Context, p *pack) error {
	p.hash()
	var enc *zstd.Encoder
	if s.cfg.Compress && !p.hot {
		var err error
		if enc, err = newEncoder(); err != nil {
			return fmt.Errorf("archive: zstd: %w", err)
		}
	}
	object := p.encode(enc)
	if enc != nil {
		_ = enc.Close() // it wrote to no stream
	}
	err := s.retry(ctx, "upload", func() error { return s.put(ctx, p, object) })
	if err != nil {
		return err // the buffers may still be read by a Put that was given up; the collector of garbage has them
	}
	s.settled(p, object.size)
	object.free()
	p.free()
	return nil
}

// put tries once. When the name is taken it is by an earlier try whose answer was lost, or by somebody else.
func (s *Shipper) put(ctx context.Context, p *pack, object *piecesOf) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.UploadTimeout)
	defer cancel()
	err := s.bucket.Put(ctx, p.name, object.reader(), object.size)
	if !errors.Is(err, ErrExists) {
		return err
	}
	f, err := readFooter(ctx, s.bucket, PackInfo{Name: p.name, Prev: p.head.prev, Last: p.head.last, Size: object.size})
	var d *DamageError
	switch {
	case err == nil && f.hash == p.foot.hash:
		return nil
	case err == nil || errors.As(err, &d):
		return fmt.Errorf("%w: %s is there with other content", ErrTwoWriters, p.name)
	}
	return err
}

// settled notes that a pack is in the bucket and moves Archived over all that have no hole before them.
func (s *Shipper) settled(p *pack, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.done = true
	s.state.Packs++
	s.state.PackedBytes += p.head.content
	s.state.SentBytes += size
	n := 0
	for n < len(s.flying) && s.flying[n].done {
		s.archived = s.flying[n].head.last
		n++
	}
	if n > 0 {
		clear(s.flying[:n])
		s.flying = append(s.flying[:0], s.flying[n:]...)
		s.movedLocked()
	}
}

func (s *Shipper) movedLocked() {
	close(s.moved)
	s.moved = make(chan struct{})
}
