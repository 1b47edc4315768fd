package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// smallFiles makes a run pass through many journal files, and keeps the directory small.
const smallFiles = `journal:
  file_bytes: 4MiB
  ring_bytes: 16MiB
  frame_bytes_max: 2MiB
`

// smallWindows moves events out of the journal all the time, so that kills fall into windows, those that are moved early among them, merges, trims and their manifests.
const smallWindows = `broker:
  segment_window_bytes: 512KiB
  segment_early_bytes: 128KiB
  segment_backlog_bytes_max: 64MiB
  keep_interval: 50ms
  hot_tail_bytes: 1MiB
journal:
  file_bytes: 1MiB
  ring_bytes: 4MiB
  frame_bytes_max: 512KiB
segments:
  shared_bytes_max: 1MiB
  own_bytes_min: 128KiB
  block_bytes: 16KiB
  merge_files: 3
keys:
  chunk_bytes: 64KiB
  block_bytes: 1KiB
  fan_in: 3
`

func main() {
	o := options{out: os.Stdout}
	flag.StringVar(&o.leat, "leat", "../bin/leat", "the binary to kill")
	flag.StringVar(&o.dir, "dir", "", "new folder for data and log, kept when something is wrong (default a temporary one)")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "fixes what is sent and when it is killed")
	flag.IntVar(&o.cycles, "cycles", 200, "how often it is killed")
	flag.IntVar(&o.producers, "producers", 12, "how many write; they are in turn "+strings.Join(kindNames(), ", "))
	flag.DurationVar(&o.within, "for", 0, "no new cycle after this time")
	flag.DurationVar(&o.life, "life", time.Second, "the longest time between ready and kill")
	flag.IntVar(&o.checkEvery, "check", 20, "check after so many kills, and at the end")
	flag.StringVar(&o.config, "config", "", "configuration file's text")
	flag.BoolVar(&o.keeping, "keeping", false, "move events to segment files all the time, truncate streams, read by key")
	flag.BoolVar(&o.queues, "queues", false, "clients of SQS send, receive and delete, a third of the producers each with a standard queue, a FIFO queue and poisoned messages")
	flag.BoolVar(&o.aside, "aside", false, "contracts put aside what breaks them, and every producer sends such events among others, by Kafka, HTTP, SQS and AMQP")
	flag.Parse()
	if o.config == "" {
		o.config = smallFiles
		if o.keeping {
			o.config = smallWindows
		}
	}
	if o.cycles < 1 || o.producers < 1 || o.checkEvery < 1 || o.life <= 0 {
		fmt.Fprintln(os.Stderr, "crash: -cycles, -producers, -check and -life must be positive")
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runIn(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// runIn makes the folder, runs, and removes it when all was well.
func runIn(ctx context.Context, o options) (err error) {
	if o.leat, err = filepath.Abs(o.leat); err != nil {
		return err
	}
	if o.dir == "" {
		o.dir, err = os.MkdirTemp("", "leat-crash-")
	} else {
		err = os.Mkdir(o.dir, 0o700)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "seed %d, %d cycles, %d producers, data in %s\n", o.seed, o.cycles, o.producers, o.dir)
	what := run
	switch {
	case o.queues:
		what = runQueues
	case o.aside:
		what = runAside
	}
	if err := what(ctx, o); err != nil {
		return err
	}
	return os.RemoveAll(o.dir)
}
