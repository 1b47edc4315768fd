package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// archives says whether the binary at hand can archive and restore.
func (b *bench) archives() string {
	config, err := exec.Command(b.leat, "config").Output()
	if err != nil {
		return fmt.Sprintf("leat config: %v", err)
	}
	help, _ := exec.Command(b.leat, "restore", "--help").CombinedOutput() // it fails where there is no such command
	if !bytes.Contains(config, []byte("\narchive:")) || !bytes.Contains(help, []byte("--from")) {
		return "this leat has no archive in its configuration, or no restore"
	}
	return ""
}

// archive kills a node at full speed, throws its data directory away, and brings it back from the archive: how much of what was acknowledged is
// not there, in time, and how fast it came back.
func (b *bench) archive(ctx context.Context) error {
	const size = 1024
	volume := b.keep.volume() / 2
	exposed := b.row("archive-exposure", fmt.Sprintf("archive to a folder of the same disk, kill -9 at full speed after %s: span of acknowledged events that are not in it", bytesText(volume)), "s", "", 2)
	restored := b.row("archive-restore", "restore of that to a new data directory", "MB/s", "", 150)
	exposed.less = true
	place, err := b.newDir()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(place) }()
	window, config := b.keep.window()
	p, err := b.startKeeping(ctx, asShipped, window, config+fmt.Sprintf("archive:\n  url: %q\n", "file://"+place), 2*volume)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	if err := createTopic(ctx, p, "work", 1, nil); err != nil {
		return err
	}
	t, err := produceUntilKilled(ctx, p, size, volume/size)
	if err != nil {
		return err
	}
	data, file := filepath.Join(p.dir, "data"), filepath.Join(p.dir, "leat.yaml")
	if err := errors.Join(os.RemoveAll(data), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		return err
	}
	how, err := b.dropCaches(&proc{dir: place})
	if err != nil {
		return err
	}
	began := time.Now()
	if text, err := exec.CommandContext(ctx, b.leat, "restore", "--from", "file://"+place, "--data", data).CombinedOutput(); err != nil {
		return fmt.Errorf("leat restore: %w: %.2000s", err, text)
	}
	took := time.Since(began)
	if err := p.begin(ctx); err != nil {
		return err
	}
	end, err := endOffsets(ctx, p, "work", 1)
	if err != nil {
		return err
	}
	lost, span := t.after(end)
	exposed.one(span.Seconds())
	exposed.Note = fmt.Sprintf("%d of %d acknowledged events; they came at %s MB/s", lost, t.last.offset+1, number(float64(t.last.offset)*size/t.took.Seconds()/1e6))
	restored.one(float64(end) * size / took.Seconds() / 1e6)
	restored.Note = fmt.Sprintf("%s of payload in %s s; %s before", bytesText(end*size), number(took.Seconds()), how)
	return nil
}

// ackTimes is when events were acknowledged.
type ackTimes struct {
	mu   sync.Mutex
	took time.Duration
	last ackTime
	some []ackTime // every ackTimesEvery-th, in order
}

type ackTime struct {
	offset int64
	at     time.Time
}

const ackTimesEvery = 64

func (t *ackTimes) add(offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = ackTime{offset, time.Now()}
	if offset%ackTimesEvery == 0 {
		t.some = append(t.some, t.last)
	}
}

func (t *ackTimes) upTo() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last.offset
}

// after says how many acknowledged events are at or behind the offset end, and how long before the last of them the first was acknowledged.
func (t *ackTimes) after(end int64) (lost int64, span time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if lost = t.last.offset + 1 - end; lost <= 0 {
		return 0, 0
	}
	for i := len(t.some) - 1; i >= 0; i-- {
		if first := t.some[i]; first.offset <= end {
			return lost, t.last.at.Sub(first.at) // at most ackTimesEvery events too early
		}
	}
	return lost, t.took
}

// produceUntilKilled writes at full speed and kills the node when n records are acknowledged, while more are on their way.
func produceUntilKilled(ctx context.Context, p *proc, size int, n int64) (*ackTimes, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := kafkaClient(p)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t, failed := &ackTimes{}, make(chan error, 1)
	value, began := bytes.Repeat([]byte("x"), size), time.Now()
	producer := make(chan struct{})
	go func() {
		defer close(producer)
		for ctx.Err() == nil {
			c.Produce(ctx, &kgo.Record{Topic: "work", Value: value}, func(r *kgo.Record, err error) {
				if err == nil {
					t.add(r.Offset)
					return
				}
				select {
				case failed <- err:
				default:
				}
			})
		}
	}()
	for t.upTo() < n {
		select {
		case err := <-failed:
			cancel()
			<-producer
			return nil, fmt.Errorf("produce: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	t.took = time.Since(began)
	err = p.end(syscall.SIGKILL)
	cancel()
	<-producer
	return t, err
}
