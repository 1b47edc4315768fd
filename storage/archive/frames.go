package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"leat/storage/journal"
)

const (
	// aheadPacks is how many packs are fetched and verified ahead of the one whose frames are handed out.
	aheadPacks = 4
	// keptContent is the largest content buffer that is used for more than one pack.
	keptContent = 64 << 20
)

// errStop ends a walk that has what it wants.
var errStop = errors.New("archive: enough")

// Frames hands out the frames after From up to the wanted moment, in order, each verified with its pack and the chain. The first error of fn
// ends it and is returned. It is called by one goroutine; packs are fetched by others ahead of it.
func (p *Plan) Frames(ctx context.Context, progress Progress, fn func(Frame) error) error {
	from := p.From()
	t := newTold(progress, p.PackBytes())
	err := walk(ctx, p.bucket, p.Packs, func(k *unpacked, err error) error {
		if err != nil {
			return err
		}
		if k.head.lineage != p.Lineage || k.head.shard != p.Shard {
			return fmt.Errorf("%w: %s is of lineage %s and shard %d", ErrLineage, k.name, k.head.lineage, k.head.shard)
		}
		t.add(k.foot.at + footerBytes)
		return k.each(func(f Frame) error {
			switch {
			case f.Seq <= from:
				return nil
			case p.Until.Seq > 0 && f.Seq > p.Until.Seq, p.Until.Seq == 0 && p.Until.TimeMS != 0 && f.TimeMS > p.Until.TimeMS:
				return errStop
			}
			return fn(f)
		})
	})
	if err == nil || errors.Is(err, errStop) {
		t.end()
		return nil
	}
	return err
}

// WriteJournal appends the frames to a journal and returns the last Seq that it has then. Frames that the journal has already (Seq up to its
// tail) are passed over, so that a restore that was stopped can go on.
//
// Each frame is an append of its own, because positions name frames. What that costs is the journal's sync; a journal on a Bulk file system
// has none until the end.
func (p *Plan) WriteJournal(ctx context.Context, j journal.Journal, progress Progress) (journal.Seq, error) {
	last := max(j.Tail().Seq, p.From())
	err := p.Frames(ctx, progress, func(f Frame) error {
		if f.Seq <= last {
			return nil
		}
		if _, err := j.Append(journal.Frame{Seq: f.Seq, Facts: f.Facts, Data: [][]byte{f.Data}}); err != nil {
			return fmt.Errorf("archive: restore frame %d: %w", f.Seq, err)
		}
		last = f.Seq
		return nil
	})
	return last, err
}

// fetched is a pack on its way from its fetcher to the walk.
type fetched struct {
	pack *unpacked
	err  error
}

// walk fetches packs side by side and hands them to fn in order, each checked against the one before; fn gets what is wrong with one as an
// error, and goes on to the next by returning nil. A pack is only valid during the call.
//
// Steps: a fetcher for pack i starts when pack i-aheadPacks was handed back, so that at most aheadPacks contents are in memory beside the one in
// fn. Each puts its pack into its own channel of one; the walk reads the channels in order; nobody waits for a walk that has ended.
func walk(ctx context.Context, b Bucket, packs []PackInfo, fn func(*unpacked, error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var fetchers sync.WaitGroup
	free := make(chan *unpacker, aheadPacks)
	contents := make(chan []byte, aheadPacks+1)
	defer func() {
		cancel()
		fetchers.Wait()
		for len(free) > 0 {
			(<-free).close()
		}
	}()
	ready := make([]chan fetched, len(packs))
	start := func(i int) {
		if i >= len(packs) {
			return
		}
		ready[i] = make(chan fetched, 1)
		fetchers.Go(func() {
			k, err := fetchPack(ctx, b, packs[i], free, contents)
			ready[i] <- fetched{k, err}
		})
	}
	for i := range aheadPacks {
		start(i)
	}
	var before *unpacked
	for i, info := range packs {
		f := <-ready[i]
		ready[i] = nil
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.err == nil && before != nil && before.head.last == info.Prev {
			f.err = follows(info.Name, f.pack.head, before)
		}
		if err := fn(f.pack, f.err); err != nil {
			return err
		}
		before = nil
		if f.pack != nil {
			before = &unpacked{name: f.pack.name, head: f.pack.head, foot: f.pack.foot}
			if cap(f.pack.content) <= keptContent {
				contents <- f.pack.content // there are never more than it has room for
			}
		}
		start(i + aheadPacks)
	}
	return nil
}

// fetchPack fetches one pack with what an earlier fetch has left, and holds it against its name.
func fetchPack(ctx context.Context, b Bucket, info PackInfo, free chan *unpacker, contents chan []byte) (*unpacked, error) {
	var u *unpacker
	select {
	case u = <-free:
	default:
		var err error
		if u, err = newUnpacker(); err != nil {
			return nil, err
		}
	}
	var content []byte
	select {
	case content = <-contents:
	default:
	}
	k, err := u.fetch(ctx, b, info.Name, content)
	free <- u // there are never more than aheadPacks
	if err == nil {
		err = info.fits(k.head)
	}
	return k, err
}
