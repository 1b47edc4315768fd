package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keeping is how much the rows about keeping events do. The defaults are what their goals are about.
type keeping struct {
	volumeMiB      int // of a long run
	fgRate         int // MB a second that the second producer of keep-fg writes
	fgFor          time.Duration
	streams        int // interleaved, of keep-cold
	pieces         int // of either side that keep-cold reads in one run
	keyed          int // values that keys-latest takes keys from
	historyRecords int
	historyKeys    int
	sampled        int // keys of keep-history that have historyLength records
	memoryRecords  int
	windowBytes    int64 // 0: as shipped
}

// smallKeeping is for -quick: all that happens happens, but nothing is big enough to compare.
var smallKeeping = keeping{
	volumeMiB: 128, fgRate: 20, fgFor: 2 * time.Second, streams: 50, pieces: 3, keyed: 20_000, historyRecords: 200_000, historyKeys: 100_000, sampled: 300,
	memoryRecords: 500_000, windowBytes: 8 << 20,
}

func (k *keeping) flags() {
	flag.IntVar(&k.volumeMiB, "volume-keep", 10<<10, "MiB of a long run (keep-write, keep-cold twice, keep-start; a fifth of it for each size of keep-disk)")
	flag.IntVar(&k.fgRate, "fg-rate", 50, "MB/s of the second producer of keep-fg")
	flag.DurationVar(&k.fgFor, "fg-time", 12*time.Second, "of one run of acknowledgements in keep-fg; longer than a window takes to fill")
	flag.IntVar(&k.streams, "cold-streams", 1000, "interleaved streams of keep-cold")
	flag.IntVar(&k.pieces, "cold-pieces", 16, "streams that one run of keep-cold reads, and as many pieces of the big one")
	flag.IntVar(&k.keyed, "keyed", 1_000_000, "values of the keys of keys-latest")
	flag.IntVar(&k.historyRecords, "history-records", 20_000_000, "records of keep-history")
	flag.IntVar(&k.historyKeys, "history-keys", 10_000_000, "keys of keep-history")
	flag.IntVar(&k.sampled, "history-sample", 10_000, "keys of keep-history that have 20 records, spread over the whole load; they are what is asked for")
	flag.IntVar(&k.memoryRecords, "memory-records", 100_000_000, "records of keep-memory")
}

// check names the first that makes no sense.
func (k *keeping) check() error {
	for _, x := range []struct {
		flag            string
		is, least, most int
	}{
		{"volume-keep", k.volumeMiB, 16, 1 << 20},
		{"fg-rate", k.fgRate, 1, 10_000},
		{"cold-streams", k.streams, 1, k.volumeMiB << 10}, // a record each
		{"cold-pieces", k.pieces, 1, k.streams},
		{"keyed", k.keyed, 1, 1 << 40},
		{"history-records", k.historyRecords, historyLength, 1 << 40},
		{"history-keys", k.historyKeys, 2, 1 << 40},
		{"history-sample", k.sampled, 1, min(k.historyKeys-1, k.historyRecords/historyLength)},
		{"memory-records", k.memoryRecords, 1, 1 << 40},
	} {
		if x.is < x.least || x.is > x.most {
			return fmt.Errorf("-%s is %d: must be from %d to %d", x.flag, x.is, x.least, x.most)
		}
	}
	return nil
}

const (
	shippedWindow  = 512 << 20 // broker.segment_window_bytes
	shippedRing    = 1 << 30   // journal.ring_bytes
	keepPartitions = 16
	settleQuiet    = 5 * time.Second // as long as nothing was moved or merged, the background has come to rest
	settleMax      = 10 * time.Minute
	peakEvery      = 100 * time.Millisecond
)

func keepWorks() []work {
	linux := func(*bench) string {
		if runtime.GOOS != "linux" {
			return "it needs /proc and a page cache that can be dropped"
		}
		return ""
	}
	ceiling := func(b *bench) string {
		if why := linux(b); why != "" {
			return why
		}
		return missing(b.ceiling, "the ceiling; give make CEILING=its source folder")
	}
	return []work{
		{"keep-write", "a long run while segmenting keeps up", linux, (*bench).keepWrite},
		{"keep-fg", "the foreground while segmenting, against the same when nothing is moved", linux, (*bench).keepForeground},
		{"keys-latest-1k", "produce 1 KiB with keys, latest kept", ceiling, func(b *bench, ctx context.Context) error { return b.keysLatest(ctx, 1024) }},
		{"keys-latest-128", "produce 128 B with keys, latest kept", ceiling, func(b *bench, ctx context.Context) error { return b.keysLatest(ctx, 128) }},
		{"keep-consume", "consume from segment files, warm", ceiling, (*bench).keepConsume},
		{"keep-cold", "cold replay of one of many interleaved streams", linux, (*bench).keepCold},
		{"keep-history", "histories of keys among many", linux, (*bench).keepHistory},
		{"keep-start", "start after kill -9, cold", linux, (*bench).keepStart},
		{"keep-memory", "memory after many small records", linux, (*bench).keepMemory},
		{"keep-disk", "size of segment files", linux, (*bench).keepDisk},
		{"archive", "newest event in the archive after kill -9, and the restore", (*bench).archives, (*bench).archive},
	}
}

func (k *keeping) volume() int64 { return int64(k.volumeMiB) << 20 }

// window is the size of windows in these rows, and the configuration that makes it so.
func (k *keeping) window() (bytes int64, config string) {
	if k.windowBytes == 0 {
		return shippedWindow, ""
	}
	return k.windowBytes, windowConfig(k.windowBytes)
}

func windowConfig(bytes int64) string {
	return fmt.Sprintf("broker:\n  segment_window_bytes: %d\n  segment_backlog_bytes_max: %d\n", bytes, min(8*bytes, 1<<40))
}

// startKeeping starts a node on a new data directory, when the disk has room for what will be written.
func (b *bench) startKeeping(ctx context.Context, ring int64, window int64, config string, room int64) (*proc, error) {
	if err := b.hasRoom(room); err != nil {
		return nil, err
	}
	c := *b
	c.config += config
	p, err := c.startLeat(ctx, ring)
	if err != nil {
		return nil, err
	}
	p.window = window
	if ring == asShipped {
		if err := p.ringReady(); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	return p, nil
}

// startShipped starts a node as shipped (smaller windows with -quick) whose ring is ready.
func (b *bench) startShipped(ctx context.Context, room int64) (*proc, error) {
	window, config := b.keep.window()
	return b.startKeeping(ctx, asShipped, window, config, room)
}

// hasRoom refuses to fill a disk up. Beside what is written there are the ring, what waits to be moved, and files that are being merged.
func (b *bench) hasRoom(bytes int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(b.dir, &fs); err != nil {
		return err
	}
	if free, need := int64(fs.Bavail)*fs.Bsize, bytes+bytes/4+8<<30; free < need {
		return fmt.Errorf("%s has %d MB free, this row wants %d MB", b.dir, free/1e6, need/1e6)
	}
	return nil
}

// settle waits until less than a window is to be moved and nothing has been moved or merged for a while.
func (p *proc) settle(ctx context.Context) error { return p.settleFor(ctx, settleQuiet) }

func (p *proc) settleFor(ctx context.Context, quietFor time.Duration) error {
	var last [5]float64
	quiet, deadline := time.Now(), time.Now().Add(settleMax)
	for {
		v, err := p.metrics("leat_segment_pending_bytes", "leat_segment_windows_total", "leat_segment_merges_total", "leat_segment_written_bytes_total",
			"leat_keys_written_bytes_total", "leat_keys_merge_written_bytes_total")
		if err != nil {
			return err
		}
		if now := [5]float64(v[1:]); now != last || v[0] >= float64(p.window) {
			last, quiet = now, time.Now()
		}
		if time.Since(quiet) >= quietFor {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v %.0f bytes still wait to be moved: %s", settleMax, v[0], p.tail())
		}
		if err := pause(ctx, peakEvery); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// peak watches a metric until done is called, which returns the greatest value that was seen.
func (p *proc) peak(name string) (done func() (float64, error)) {
	stop, out := make(chan struct{}), make(chan error, 1)
	most := 0.0
	go func() {
		for {
			v, err := p.metric(name)
			most = max(most, v)
			if err != nil {
				out <- err
				return
			}
			select {
			case <-stop:
				out <- nil
				return
			case <-time.After(peakEvery):
			}
		}
	}()
	return func() (float64, error) {
		close(stop)
		err := <-out
		return most, err
	}
}

// createTopic makes a topic with so many partitions and settings.
func createTopic(ctx context.Context, p *proc, name string, partitions int32, settings map[string]string) error {
	c, err := kafkaClient(p)
	if err != nil {
		return err
	}
	defer c.Close()
	r := kmsg.NewPtrCreateTopicsRequest()
	r.TimeoutMillis = 60_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for k, v := range settings {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = k, &v
		t.Configs = append(t.Configs, s)
	}
	r.Topics = append(r.Topics, t)
	resp, err := r.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", t.Topic, err)
		}
	}
	return nil
}

// filesBytes sums up the files below folders of each shard of a node's data directory: their sizes, not what the file system took for them.
func (p *proc) filesBytes(folder string) (sum int64, err error) {
	found, err := filepath.Glob(filepath.Join(p.dir, "data", "shard-*", folder))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no folder %s in the data directory", folder)
	}
	for _, dir := range found {
		err = errors.Join(err, filepath.Walk(dir, func(_ string, f os.FileInfo, err error) error {
			if err == nil && f.Mode().IsRegular() {
				sum += f.Size()
			}
			return err
		}))
	}
	return sum, err
}

// bytesText is a size for the name of a row.
func bytesText(n int64) string {
	if n >= 1<<30 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<30)), ".0") + " GiB"
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
