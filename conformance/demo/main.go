// Shop is a small synthetic shop around a Leat node, each role a process of its own with a stock client.
//
// # What
//
//	orders     publishes orders as CloudEvents by HTTP               → stream orders
//	payments   a Kafka client: reads orders, accepts or declines     → stream payments
//	shipments  a Kafka client: reads accepted payments, ships        → stream shipments
//	stock      follows orders and shipments by server-sent events    → stream stock
//
// # Promises
//
// A role says on standard output, one JSON object a line, when it is ready and how many events it has published ("count"). SIGTERM ends it
// with exit code 0; anything else that ends it is told on standard error.
//
// # Imports
//
// franz-go and the standard library; nothing of Leat's.
//
// # Where to start
//
// main, then the role's file.
//
// # How tested
//
// demo_test.go runs each role's pure part; `make demo` runs it all.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// options are what every role is told.
type options struct {
	kafka, http string
	rate        int
}

// roles are the programs.
var roles = map[string]func(context.Context, options, *status) error{
	"orders": orders, "payments": payments, "shipments": shipments, "stock": stock,
}

func main() {
	if len(os.Args) < 2 || roles[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: shop orders|payments|shipments|stock [-kafka HOST:PORT] [-http URL] [-rate N]")
		os.Exit(2)
	}
	var o options
	fs := flag.NewFlagSet("shop "+os.Args[1], flag.ExitOnError)
	fs.StringVar(&o.kafka, "kafka", "127.0.0.1:9092", "Kafka bootstrap server")
	fs.StringVar(&o.http, "http", "http://127.0.0.1:8080", "HTTP API")
	fs.IntVar(&o.rate, "rate", 5, "orders a second")
	_ = fs.Parse(os.Args[2:]) // exits by itself
	if o.rate < 1 {
		o.rate = 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &status{}
	said := make(chan struct{})
	go func() { s.say(ctx, os.Stdout); close(said) }()
	err := roles[os.Args[1]](ctx, o, s)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "shop", os.Args[1]+":", err)
		os.Exit(1)
	}
	stop()
	<-said
}

// status is what a role tells about itself.
type status struct {
	ready atomic.Bool
	count atomic.Uint64
	note  atomic.Pointer[string]
}

func (s *status) says(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note.Store(&text)
}

// say writes the state five times a second, when it is another than before.
func (s *status) say(ctx context.Context, w io.Writer) {
	type line struct {
		Ready bool   `json:"ready"`
		Count uint64 `json:"count"`
		Note  string `json:"note"`
	}
	var last line
	e := json.NewEncoder(w)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		now := line{Ready: s.ready.Load(), Count: s.count.Load()}
		if n := s.note.Load(); n != nil {
			now.Note = *n
		}
		if now != last && e.Encode(now) != nil {
			return // who started us has gone
		}
		last = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// again calls f until it succeeds or ctx ends, waiting longer each time: a shop outlives a restart of its broker.
func again(ctx context.Context, what string, f func() error) error {
	wait := 100 * time.Millisecond
	for {
		err := f()
		if err == nil || ctx.Err() != nil {
			return err
		}
		var final permanent
		if errors.As(err, &final) {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %v; again in %v\n", what, err, wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// permanent is an error that waiting does not mend.
type permanent struct{ error }
