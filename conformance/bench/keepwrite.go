package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keepWrite writes without a pause, so that what is moved and merged meanwhile has to keep up, and counts what the disk had to write for it
// until the background has come to rest.
func (b *bench) keepWrite(ctx context.Context) error {
	const size = 1024
	volume := b.keep.volume()
	speed := b.row("keep-write", fmt.Sprintf("%s of 1 KiB records in a row, %d partitions", bytesText(volume), keepPartitions), "MB/s", "", 150)
	lag := b.row("keep-write-lag", "the same: most that waited to be moved; the ring is 1 GiB", "MiB", "", shippedRing>>20)
	cost := b.row("keep-write-amplification", "the same: written to the disk for each byte of payload until all is moved and merged", "×", "", 3)
	lag.less, cost.less = true, true
	p, err := b.startShipped(ctx, volume)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	if err := createTopic(ctx, p, "work", keepPartitions, nil); err != nil {
		return err
	}
	before, err := p.writtenBytes()
	if err != nil {
		return err
	}
	peak := p.peak("leat_segment_pending_bytes")
	n := int(volume / size)
	perSecond, _, err := load{topics: []string{"work"}, size: size, n: n}.run(ctx, p)
	most, peakErr := peak()
	if err := errors.Join(err, peakErr); err != nil {
		return err
	}
	began := time.Now()
	if err := p.settle(ctx); err != nil {
		return err
	}
	rest := time.Since(began) - settleQuiet
	after, err := p.writtenBytes()
	if err != nil {
		return err
	}
	m, err := p.metrics("leat_segment_windows_total", "leat_segment_merges_total", "leat_segment_slowed_total", "leat_segment_written_bytes_total", "leat_segment_pending_bytes")
	if err != nil {
		return err
	}
	payload := float64(n) * size
	speed.one(perSecond * size / 1e6)
	speed.Note = fmt.Sprintf("%s windows, %s merges, %s frames held back; at rest %.0f s later", number(m[0]), number(m[1]), number(m[2]), max(0, rest.Seconds()))
	lag.one(most / (1 << 20))
	cost.one(float64(after-before) / payload)
	cost.Note = fmt.Sprintf("of that to segment files %.2f ×; %.0f MiB were still in the journal only", m[3]/payload, m[4]/(1<<20))
	return nil
}

// nothingMoved is a window that no run here fills.
const nothingMoved = 512 << 30

// keepForeground holds a node that moves windows all the time against one that never moves any. A second producer, which costs both the same,
// gives it something to move.
func (b *bench) keepForeground(ctx context.Context) error {
	const yardstick = "nothing moved"
	with := fmt.Sprintf("while another producer writes %d MB/s", b.keep.fgRate)
	in := b.row("keep-fg-produce", "produce 1 KiB "+with, "records/s", yardstick, 0)
	out := b.row("keep-fg-consume", "consume 1 KiB "+with, "records/s", yardstick, 0)
	p50 := b.row("keep-fg-ack-p50", fmt.Sprintf("acknowledgement at %d requests/s, p50, %s", latencyRate, with), "ms", yardstick, 1.2)
	p99 := b.row("keep-fg-ack-p99", "the same, p99", "ms", yardstick, 1.5)
	p50.less, p99.less = true, true
	window, config := b.keep.window()
	room := int64(b.pairs*b.volume) + int64(float64(b.keep.fgRate)*1e6*(b.keep.fgFor.Seconds()*1.2+10)*float64(b.pairs))
	moving, err := b.startKeeping(ctx, b.ring, window, config, 2*room)
	if err != nil {
		return err
	}
	defer func() { _ = moving.stop() }()
	still, err := b.startKeeping(ctx, b.ring, nothingMoved, windowConfig(nothingMoved), 0)
	if err != nil {
		return err
	}
	defer func() { _ = still.stop() }()
	for _, p := range []*proc{moving, still} {
		if _, _, err := produce(ctx, p, []string{"warm"}, 1024, max(b.warmBytes, int(window))/1024); err != nil { // and there is a window to move
			return err
		}
	}
	n := b.volume / 1024
	for i := range b.pairs {
		var first [2]int64
		if err := in.pair(i, moving, still, b.besides(ctx, func(side int, p *proc) (v float64, err error) {
			v, first[side], err = produce(ctx, p, []string{"work"}, 1024, n)
			return v, err
		})); err != nil {
			return err
		}
		if err := out.pair(i, moving, still, b.besides(ctx, func(side int, p *proc) (float64, error) {
			return consume(ctx, p, "work", first[side], 1024, n)
		})); err != nil {
			return err
		}
	}
	before, err := moving.metric("leat_segment_windows_total")
	if err != nil {
		return err
	}
	for i := range b.pairs {
		var tails [2]float64
		if err := p50.pair(i, moving, still, b.besides(ctx, timed(&tails, func(_ int, p *proc) (*histogram, error) {
			return acks(ctx, p, 1024, b.keep.fgFor)
		}))); err != nil {
			return err
		}
		p99.add(tails[0], tails[1])
	}
	windows, err := moving.metric("leat_segment_windows_total")
	if err != nil {
		return err
	}
	if windows == before {
		return fmt.Errorf("no window was moved during the runs of acknowledgements: -fg-time %v is too short for -fg-rate %d", b.keep.fgFor, b.keep.fgRate)
	}
	if v, err := still.metric("leat_segment_windows_total"); err != nil || v != 0 {
		return errors.Join(err, fmt.Errorf("the side that should move nothing has moved %v windows", v))
	}
	alone, err := acks(ctx, still, 1024, b.keep.fgFor)
	if err != nil {
		return err
	}
	p50.Note = fmt.Sprintf("%s windows were moved meanwhile", number(windows-before))
	p99.Note = fmt.Sprintf("without the other producer p50 %s ms, p99 %s ms", number(alone.quantile(0.50)/1e6), number(alone.quantile(0.99)/1e6))
	return nil
}

// besides has the second producer write as long as f runs, and some time before.
func (b *bench) besides(ctx context.Context, f func(side int, p *proc) (float64, error)) func(int, *proc) (float64, error) {
	const ahead = time.Second
	return func(side int, p *proc) (float64, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- steady(ctx, p, "besides", b.keep.fgRate*1_000_000) }()
		select {
		case err := <-ended:
			return 0, err
		case <-time.After(ahead):
		}
		v, err := f(side, p)
		cancel()
		return v, errors.Join(err, <-ended)
	}
}

// steady writes so many bytes a second until ctx ends. When the node is late it catches up with a second's worth at most.
func steady(ctx context.Context, p *proc, topic string, perSecond int) error {
	const size, every = 1024, 2 * time.Millisecond
	c, err := kafkaClient(p)
	if err != nil {
		return err
	}
	defer c.Close()
	value, failed := make([]byte, size), make(chan error, 1)
	done := func(_ *kgo.Record, err error) {
		if err != nil && ctx.Err() == nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	began, sent := time.Now(), 0
	for ctx.Err() == nil {
		due := int(time.Since(began).Seconds() * float64(perSecond))
		if due-sent > perSecond {
			sent = due - perSecond
		}
		for ; sent < due; sent += size {
			c.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, done)
		}
		select {
		case err := <-failed:
			return fmt.Errorf("the second producer: %w", err)
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	return nil
}
