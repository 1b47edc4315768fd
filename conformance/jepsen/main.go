package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	o := options{}
	role := flag.String("role", "", "used by the run itself: which client to be")
	what := flag.String("what", "transactions", "transactions or versions")
	flag.StringVar(&o.leat, "leat", "../bin/leat", "the binary to run")
	flag.StringVar(&o.dir, "dir", "", "new folder for all that is written, kept when something is wrong (default a temporary one)")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "fixes the order of faults")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long things break")
	flag.StringVar(&o.group, "group", "", "what members of the group speak: classic, or consumer (KIP-848); by default the seed says")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder in any case")
	flag.StringVar(&o.node, "node", "", "of a client: where the node is")
	flag.StringVar(&o.who, "who", "", "of a client: its name")
	flag.StringVar(&o.id, "id", "", "of a client: its transactional id")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case *role != "":
		err = be(ctx, *role, &o)
	case *what == "versions":
		err = inFolder(ctx, &o, versions)
	case *what == "transactions":
		err = inFolder(ctx, &o, transactions)
	default:
		err = fmt.Errorf("-what is transactions or versions, not %q", *what)
	}
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "jepsen:", err)
		os.Exit(1)
	}
}

// options are what a run is asked for, and what a client is told.
type options struct {
	leat, dir     string
	seed          uint64
	length        time.Duration
	keep          bool
	group         string
	node, who, id string
}

// consumer reports whether members of the group are of KIP-848.
func (o *options) consumer() bool { return o.group == "consumer" || o.group == "" && o.seed%2 == 1 }

// inFolder makes the folder, runs, and removes it when all was well.
func inFolder(ctx context.Context, o *options, run func(context.Context, *options) error) (err error) {
	if o.leat, err = filepath.Abs(o.leat); err != nil {
		return err
	}
	if o.dir == "" {
		o.dir, err = os.MkdirTemp("", "leat-jepsen-")
	} else {
		err = os.Mkdir(o.dir, 0o700)
	}
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, for %v, all is written to %s\n", o.seed, o.length, o.dir)
	if err := run(ctx, o); err != nil || o.keep {
		return err
	}
	return os.RemoveAll(o.dir)
}
