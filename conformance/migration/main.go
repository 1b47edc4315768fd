package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are what a run is asked for.
type options struct {
	leat, jars, dir string
	seed            uint64
	length          time.Duration
	keep            bool
}

func main() {
	o := options{}
	flag.StringVar(&o.leat, "leat", "../bin/leat", "the binary to move to")
	flag.StringVar(&o.jars, "kafka", "../bin/peers/kafka", "folder of the jars of Apache Kafka")
	flag.StringVar(&o.dir, "dir", "", "new folder for all that is written, kept when something is wrong (default a temporary one)")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "fixes what is sent and when it is killed")
	flag.DurationVar(&o.length, "for", 10*time.Minute, "how long it goes on before the switch")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder in any case")
	flag.Parse()
	if _, err := exec.LookPath("java"); err != nil {
		fmt.Println("SKIPPED migration: java is not installed")
		return
	}
	if found, _ := filepath.Glob(filepath.Join(o.jars, "kafka_*.jar")); len(found) == 0 {
		fmt.Println("SKIPPED migration: there is no Apache Kafka in " + o.jars)
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := inFolder(ctx, &o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "migration:", err)
		os.Exit(1)
	}
}

// inFolder makes the folder, runs, and removes it when all was well.
func inFolder(ctx context.Context, o *options) (err error) {
	if o.leat, err = filepath.Abs(o.leat); err != nil {
		return err
	}
	if o.dir == "" {
		o.dir, err = os.MkdirTemp("", "leat-migration-")
	} else {
		err = os.Mkdir(o.dir, 0o700)
	}
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, for %v, all is written to %s\n", o.seed, o.length, o.dir)
	if err := migrate(ctx, o); err != nil || o.keep {
		return err
	}
	return os.RemoveAll(o.dir)
}
