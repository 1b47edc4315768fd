package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

// Limits of what a benchmark is asked for.
const (
	benchConnectionsMax = 10_000
	benchFollowersMax   = 100_000
	benchBatchMax       = 10_000
	benchEventBytesMax  = 8 << 20
	benchKeysMax        = 100_000_000
)

// benchOptions are the flags of all workloads.
type benchOptions struct {
	stream      string
	connections int
	size        int
	batch       int
	followers   int
	keys        int
	order       string
	existing    bool
	rate        int
	runs        int
	duration    time.Duration
	keep        bool
	say         func(format string, args ...any) // what is going on
}

// measured is what one run of a workload came to.
type measured struct {
	events   uint64
	requests uint64
	seconds  float64
	latency  *histogram
}

func (m measured) rate() float64 { return float64(m.events) / m.seconds }

// workload runs once, until its time is over, and returns what it measured.
type workload func(ctx context.Context, c *client, stream string, o benchOptions) (measured, error)

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure a node over HTTP",
		Long: "Measure a running node from this machine, with a client that costs little. Each run makes a stream of its own and deletes it afterwards.\n" +
			"The line printed is that of the median run; p50 and p99 are of its requests (publish, append) or of its deliveries (follow).",
	}
	var o benchOptions
	pf := cmd.PersistentFlags()
	pf.IntVar(&o.runs, "runs", 1, "runs; the median is reported")
	pf.DurationVar(&o.duration, "duration", 10*time.Second, "of one run")
	pf.StringVar(&o.stream, "stream", "leat-bench", "beginning of the names of the streams that are made")
	pf.BoolVar(&o.keep, "keep", false, "do not delete the streams afterwards")

	publish := a.benchWork("publish", "Durable publishing, one event a request or --batch of them", "off", &o, benchPublish)
	publish.Flags().IntVar(&o.connections, "connections", 64, "connections, one request at a time on each")
	publish.Flags().IntVar(&o.size, "size", 1024, "bytes of an event's data")
	publish.Flags().IntVar(&o.batch, "batch", 1, "events in a request")

	follow := a.benchWork("follow", "One publisher, many followers by SSE", "off", &o, benchFollow)
	follow.Flags().IntVar(&o.followers, "followers", 1000, "followers, each on a connection of its own")
	follow.Flags().IntVar(&o.size, "size", 128, "bytes of an event's data")
	follow.Flags().IntVar(&o.batch, "batch", 1, "events in a request of the publisher")
	follow.Flags().IntVar(&o.rate, "rate", 0, "events a second that are published (default as fast as they are delivered)")

	appendCmd := a.benchWork("append", "Conditional appends: each event says which version its key must have", "versioned", &o, benchAppend)
	appendCmd.Flags().IntVar(&o.connections, "connections", 16, "connections, one request at a time on each")
	appendCmd.Flags().IntVar(&o.size, "size", 128, "bytes of an event's data")
	appendCmd.Flags().IntVar(&o.batch, "batch", 100, "events in a request, all or nothing")
	appendCmd.Flags().IntVar(&o.keys, "keys", 1_000_000, "how many keys, shared out to the connections")
	appendCmd.Flags().StringVar(&o.order, "order", orderRandom, "in which keys are taken: random (new ones and such as exist, as it comes) or sequence")
	appendCmd.Flags().BoolVar(&o.existing, "existing", false, "write every key once before the measurement, so that all exist")
	cmd.AddCommand(publish, follow, appendCmd)
	return cmd
}

// benchWork is the command around one workload.
func (a *app) benchWork(name, short, keys string, shared *benchOptions, work workload) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: exactly(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := *shared
			if err := o.read(cmd); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			p := a.progress()
			o.say = func(format string, args ...any) {
				p.last = time.Time{} // a step is always longer than a second
				p.say(format, args...)
			}
			var all []measured
			for run := range o.runs {
				o.say("%s: run %d of %d, %v", name, run+1, o.runs, o.duration)
				m, err := a.benchOnce(cmd.Context(), c, fmt.Sprintf("%s-%s-%d-%x", o.stream, name, run, clock.Now().UnixNano()), keys, o, work)
				if err != nil {
					p.done()
					return fmt.Errorf("run %d: %w", run+1, err)
				}
				all = append(all, m)
			}
			p.done()
			return a.benchReport(name, all)
		},
	}
}

// read takes the flags this workload has (they share no values: each default is the workload's own) and checks them.
func (o *benchOptions) read(cmd *cobra.Command) error {
	for _, f := range []struct {
		name        string
		into        *int
		least, most int
	}{
		{"connections", &o.connections, 1, benchConnectionsMax}, {"size", &o.size, stampBytes, benchEventBytesMax}, {"batch", &o.batch, 1, benchBatchMax},
		{"followers", &o.followers, 1, benchFollowersMax}, {"keys", &o.keys, 1, benchKeysMax}, {"rate", &o.rate, 0, math.MaxInt32}, {"runs", &o.runs, 1, 1000},
	} {
		flag := cmd.Flags().Lookup(f.name)
		if flag == nil {
			continue
		}
		n, ok := wholeNumber(flag.Value.String())
		if !flag.Changed {
			n, ok = wholeNumber(flag.DefValue)
		}
		if !ok || n < int64(f.least) || n > int64(f.most) {
			return usageError("--%s must be from %d to %d", f.name, f.least, f.most)
		}
		*f.into = int(n)
	}
	if o.duration < 100*time.Millisecond || o.duration > 24*time.Hour {
		return usageError("--duration must be from 100ms to 24h")
	}
	if o.order != "" && o.order != orderRandom && o.order != orderSequence {
		return usageError("--order is random or sequence")
	}
	if o.keys > 0 && o.connections > 0 && o.keys < o.batch*o.connections {
		return usageError("--keys %d: a request needs --batch different keys on each of the connections, that is %d", o.keys, o.batch*o.connections)
	}
	return nil
}

// benchOnce makes the stream, runs, and takes the stream away again.
func (a *app) benchOnce(ctx context.Context, c *client, stream, keys string, o benchOptions, work workload) (measured, error) {
	if err := c.call(ctx, "PUT", streamPath(stream), map[string]any{"keys": keys}, nil); err != nil {
		return measured{}, err
	}
	m, err := work(ctx, c, stream, o)
	if !o.keep {
		// Also when interrupted: what was made is taken away.
		if gone := c.call(context.WithoutCancel(ctx), "DELETE", streamPath(stream), nil, nil); gone != nil {
			err = errors.Join(err, fmt.Errorf("stream %s stays: %w", stream, gone))
		}
	}
	if err == nil && m.events == 0 {
		err = errors.New("nothing was measured: no request ended within the time")
	}
	return m, err
}

func (a *app) benchReport(name string, all []measured) error {
	slices.SortFunc(all, func(x, y measured) int { return cmp.Compare(x.rate(), y.rate()) })
	m := all[len(all)/2]
	row := map[string]any{
		"work": name, "runs": len(all), "events": m.events, "requests": m.requests, "seconds": round(m.seconds, 2),
		"events_s": math.Round(m.rate()), "requests_s": math.Round(float64(m.requests) / m.seconds),
		"p50_ms": round(m.latency.quantile(0.50)/1e6, 3), "p99_ms": round(m.latency.quantile(0.99)/1e6, 3),
		"least_s": math.Round(all[0].rate()), "most_s": math.Round(all[len(all)-1].rate()),
	}
	columns := []string{"work", "runs", "events_s", "requests_s", "p50_ms", "p99_ms", "events", "requests", "seconds", "least_s", "most_s"}
	if a.output != "json" {
		for _, c := range []string{"events_s", "requests_s", "least_s", "most_s"} {
			row[c] = int64(row[c].(float64))
		}
	}
	return a.list([]map[string]any{row}, columns)
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
