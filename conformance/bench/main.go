package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run of the program: what is asked for and what has been measured.
type bench struct {
	leat, ceiling, yardstick string // programs
	dir                      string // on the disk to measure
	peers                    string // folder with the programs of others
	config                   string // more lines of the node's configuration
	pairs, latencyRuns       int
	volume, warmBytes        int   // bytes of a throughput run, and of its warm-up
	ring                     int64 // bytes zero-filled ahead
	latencyFor, workFor      time.Duration
	followers, pollers       int
	keys, manyKeys           int
	manyKeysFor              time.Duration
	streams                  int
	keep                     keeping
	quick                    bool
	match                    *regexp.Regexp // rows of the table against Apache Kafka; nil: all
	rows                     []*row
}

// wants says whether a row was asked for.
func (b *bench) wants(r *row) bool { return b.match == nil || b.match.MatchString(r.ID) }

// work is what -only chooses from.
type work struct {
	name, about string
	needs       func(*bench) string // "", or why it cannot be measured here
	run         func(*bench, context.Context) error
}

func works() []work {
	ceiling := func(b *bench) string { return missing(b.ceiling, "the ceiling; give make CEILING=its source folder") }
	yardstick := func(b *bench) string { return missing(b.yardstick, "the empty server, bin/yardstick") }
	nothing := func(*bench) string { return "" }
	own := []work{
		{"kafka-1k", "produce and consume, 1 KiB", ceiling, func(b *bench, ctx context.Context) error { return b.throughput(ctx, 1024) }},
		{"kafka-128", "produce and consume, 128 B", ceiling, func(b *bench, ctx context.Context) error { return b.throughput(ctx, 128) }},
		{"kafka-ack", "latency of acknowledgements", ceiling, (*bench).latency},
		{"kafka-streams", "1,000 streams written in turn", ceiling, (*bench).manyStreams},
		{"http", "durable publishing by HTTP", yardstick, (*bench).httpPublish},
		{"sse", "one publisher, 1,000 followers", nothing, (*bench).fanOut},
		{"append", "conditional appends, 1 million keys", nothing, (*bench).conditional},
		{"append-many", "conditional appends, 10 million keys, 100 s", nothing, (*bench).conditionalMany},
		{"start", "start and idle memory", nothing, (*bench).start},
		{"many-streams", "memory with 100,000 streams", nothing, (*bench).manyNames},
		{"binary", "size of the binary", nothing, (*bench).binary},
		{"poll", "1,000 clients that poll against 1,000 that follow", nothing, (*bench).pollOrFollow},
	}
	return slices.Concat(own, peerWorks(), amqpWorks(), sqsWorks(), registryWorks(), webhookWorks(), keepWorks())
}

// keepGroup names all that is about keeping events. It is long and needs room on the disk: it is measured only when asked for.
const keepGroup = "keep"

// amqpGroup names all that is about AMQP 0-9-1. It too is measured only when asked for: it needs RabbitMQ and nats-server.
const amqpGroup = "amqp"

// group is what w may be chosen by beside its own name.
func (w work) group() string {
	switch first, _, _ := strings.Cut(w.name, "-"); first {
	case "jvm":
		return "jvm"
	case "keep", "keys", "archive":
		return keepGroup
	case amqpGroup:
		return amqpGroup
	default:
		return w.name
	}
}

func missing(program, what string) string {
	if program == "" {
		return "not given: " + what
	}
	if _, err := os.Stat(program); err != nil {
		return "not found: " + what
	}
	return ""
}

func main() {
	b := &bench{}
	only := flag.String("only", "", "comma-separated; default all but the groups keep and amqp: "+names())
	out := flag.String("out", "", "write FILE.md and FILE.json")
	flag.StringVar(&b.leat, "leat", "../bin/leat", "the binary to measure")
	flag.StringVar(&b.ceiling, "ceiling", "", "program that Kafka rows are held against; without it they are skipped")
	flag.StringVar(&b.yardstick, "yardstick", "../bin/yardstick", "program that HTTP rows are held against")
	flag.StringVar(&b.peers, "peers", "", "folder with nats-server and kafka/*.jar, which make peers fetches")
	flag.StringVar(&b.dir, "dir", os.TempDir(), "folder on the disk to measure")
	flag.StringVar(&b.config, "config", "", "more lines of Leat's configuration file")
	flag.IntVar(&b.pairs, "pairs", 5, "pairs of runs")
	flag.IntVar(&b.latencyRuns, "latency-runs", 9, "pairs of runs of a latency row")
	volume := flag.Int("volume", 1000, "MB of a throughput run")
	ring := flag.Int("ring", 3072, "MiB that are zero-filled ahead, for either side")
	flag.DurationVar(&b.workFor, "time", 10*time.Second, "of one run by HTTP")
	flag.BoolVar(&b.quick, "quick", false, "a smoke run: one pair of everything, small")
	match := flag.String("rows", "", "only rows of jvm-table whose id matches this regular expression")
	free := flag.String(freeFlag, "", "LISTEN,NODE: be the broker that costs nothing; see free.go")
	b.keep.flags()
	flag.Parse()
	if *free != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveFree(*free))
		os.Exit(1)
	}
	if *match != "" {
		var err error
		if b.match, err = regexp.Compile(*match); err != nil {
			fmt.Fprintln(os.Stderr, "bench: -rows:", err)
			os.Exit(2)
		}
	}
	for _, program := range []*string{&b.leat, &b.ceiling, &b.yardstick, &b.peers} { // what is started has a folder of its own
		if *program != "" {
			if abs, err := filepath.Abs(*program); err == nil {
				*program = abs
			}
		}
	}
	b.volume, b.ring, b.warmBytes = *volume*1_000_000, int64(*ring)<<20, 64<<20
	b.latencyFor, b.manyKeysFor = 5*time.Second, 100*time.Second
	b.followers, b.pollers, b.keys, b.manyKeys, b.streams = 1000, 1000, 1_000_000, 10_000_000, 100_000
	if b.quick {
		b.pairs, b.latencyRuns, b.volume, b.ring, b.warmBytes = 1, 1, 32_000_000, 256<<20, 1<<20
		b.latencyFor, b.workFor, b.manyKeysFor = time.Second, time.Second, 2*time.Second
		b.followers, b.pollers, b.keys, b.manyKeys, b.streams = 50, 50, 50_000, 100_000, 1000
		b.keep = smallKeeping
	}
	if err := b.keep.check(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.run(ctx, *only)
	cancel()
	fmt.Println()
	b.markdown(os.Stdout)
	if *out != "" {
		err = errors.Join(err, b.write(*out))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func names() string {
	var n []string
	for _, w := range works() {
		n = append(n, w.name)
	}
	n = append(n, keepGroup, amqpGroup)
	return strings.Join(n, ",")
}

// run does the chosen work. A row that fails does not keep the others from being measured.
func (b *bench) run(ctx context.Context, only string) error {
	chosen, named := map[string]bool{}, map[string]bool{}
	for n := range strings.SplitSeq(only, ",") {
		if n != "" {
			chosen[n] = true
		}
	}
	var errs []error
	all := len(chosen) == 0
	for _, w := range works() {
		if group := w.group(); !chosen[w.name] && !chosen[group] && (!all || group == keepGroup || group == amqpGroup) {
			continue
		}
		named[w.name], named[w.group()] = true, true
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		if why := w.needs(b); why != "" {
			b.skip(w.name, why)
			continue
		}
		fmt.Printf("%s: %s\n", w.name, w.about)
		if err := w.run(b, ctx); err != nil {
			fmt.Fprintf(os.Stderr, "FAILED %s: %v\n", w.name, err)
			errs = append(errs, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	for n := range chosen {
		if named[n] {
			continue
		}
		errs = append(errs, fmt.Errorf("-only %s: there is %s", n, names()))
	}
	return errors.Join(errs...)
}

func (b *bench) write(name string) error {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".md"), ".json")
	var text strings.Builder
	b.markdown(&text)
	return errors.Join(os.WriteFile(name+".md", []byte(text.String()), 0o644), b.json(name+".json"))
}

func (b *bench) machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	load := "?"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Fields(string(text))[0]
	}
	return fmt.Sprintf("%s, %d cores, %s %s, load at the end %s, %s", model, runtime.NumCPU(), runtime.GOOS, filepath.Base(b.leat), load, time.Now().Format("2006-01-02 15:04"))
}
