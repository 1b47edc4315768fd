package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// cliResult is the line that `leat bench -o json` prints.
type cliResult struct {
	EventsS   float64 `json:"events_s"`
	RequestsS float64 `json:"requests_s"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Seconds   float64 `json:"seconds"`
}

// cli runs `leat bench` against a server. It is a separate process with ready-made requests on raw keep-alive connections, the cheapest
// client at hand, and it is the same program for Leat and for the yardstick.
func (b *bench) cli(ctx context.Context, p *proc, args ...string) (cliResult, error) {
	cmd := exec.CommandContext(ctx, b.leat, append([]string{"bench", "--url", "http://" + p.http, "-o", "json"}, args...)...)
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return cliResult{}, fmt.Errorf("leat bench %v against %s: %w: %s", args, p.name, err, errText.Bytes()[:min(errText.Len(), 2000)])
	}
	return parseCLI(out)
}

func parseCLI(out []byte) (cliResult, error) {
	var many []cliResult
	if err := json.Unmarshal(out, &many); err != nil || len(many) != 1 {
		var one cliResult
		if err := json.Unmarshal(out, &one); err != nil {
			return one, fmt.Errorf("leat bench printed %q", out)
		}
		many = []cliResult{one}
	}
	if many[0].EventsS <= 0 {
		return many[0], fmt.Errorf("leat bench measured nothing: %q", out)
	}
	return many[0], nil
}

// httpPublish holds durable publishing against a server that does nothing but syncing.
func (b *bench) httpPublish(ctx context.Context) error {
	for _, w := range []struct {
		id, work    string
		size, batch int
		goal, least float64
	}{
		{"http-single", "HTTP, one event a request (1 KiB), 64 connections, durable", 1024, 1, 0.80, 0},
		{"http-batch", "HTTP, batches of 100 (128 B), 64 connections, durable", 128, 100, 0, 150_000},
	} {
		row := b.row(w.id, w.work, "events/s", "empty server", w.goal)
		if w.least > 0 {
			row.Least = w.least
		}
		args := []string{"publish", "--connections", "64", "--size", strconv.Itoa(w.size), "--batch", strconv.Itoa(w.batch)}
		for i := range b.pairs {
			if err := b.httpPair(ctx, func(leat, yardstick *proc) error {
				for _, p := range []*proc{leat, yardstick} {
					if _, err := b.cli(ctx, p, append(args, "--duration", (b.workFor/5).String())...); err != nil {
						return err
					}
				}
				return row.pair(i, leat, yardstick, func(_ int, p *proc) (float64, error) {
					r, err := b.cli(ctx, p, append(args, "--duration", b.workFor.String())...)
					return r.EventsS, err
				})
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) httpPair(ctx context.Context, f func(leat, yardstick *proc) error) error {
	leat, err := b.startLeat(ctx, b.ring)
	if err != nil {
		return err
	}
	defer func() { _ = leat.stop() }()
	yardstick, err := b.startYardstick(ctx, min(b.ring, 1<<30))
	if err != nil {
		return err
	}
	defer func() { _ = yardstick.stop() }()
	return f(leat, yardstick)
}

// fanOut is one publisher and many followers by SSE.
func (b *bench) fanOut(ctx context.Context) error {
	followers := strconv.Itoa(b.followers)
	single := b.row("sse-single", fmt.Sprintf("SSE, one publisher, %d followers, one event a write", b.followers), "deliveries/s", "", 120_000)
	coalesced := b.row("sse-coalesced", fmt.Sprintf("SSE, one publisher, %d followers, coalesced", b.followers), "deliveries/s", "", 600_000)
	tail := b.row("sse-p99", "SSE, p99 of a delivery at 75,000 deliveries/s", "ms", "", 50)
	tail.less = true
	for range b.pairs {
		for _, run := range []struct {
			config string
			args   []string
			take   func(cliResult)
		}{
			{"gateways:\n  http:\n    flush_events_max: 1\n", nil, func(r cliResult) { single.one(r.EventsS) }},
			{"", []string{"--batch", "100"}, func(r cliResult) { coalesced.one(r.EventsS) }},
			{"", []string{"--rate", strconv.Itoa(max(1, 75_000/b.followers))}, func(r cliResult) { tail.one(r.P99) }},
		} {
			r, err := b.withLeat(ctx, run.config, func(p *proc) (cliResult, error) {
				return b.cli(ctx, p, append([]string{"follow", "--followers", followers, "--duration", b.workFor.String()}, run.args...)...)
			})
			if err != nil {
				return err
			}
			run.take(r)
		}
	}
	return nil
}

// conditional is appends that say which version their key must have, all of a batch or nothing: to keys that all exist, and to keys taken
// from anywhere, which are new the first time.
func (b *bench) conditional(ctx context.Context) error {
	for _, w := range []struct {
		id, what string
		args     []string
	}{
		{"append-keys", "that exist", []string{"--existing"}},
		{"append-new-keys", "new and existing", nil},
	} {
		row := b.row(w.id, fmt.Sprintf("conditional appends, %s keys %s, in random order, batches of 100", number(float64(b.keys)), w.what), "appends/s", "", 200_000)
		for range b.pairs {
			r, err := b.appendKeys(ctx, b.keys, b.workFor, w.args...)
			if err != nil {
				return err
			}
			row.one(r.EventsS)
		}
	}
	return nil
}

// conditionalMany is the same over more keys than memory should hold; one run, it is long.
func (b *bench) conditionalMany(ctx context.Context) error {
	row := b.row("append-many-keys", fmt.Sprintf("conditional appends, %s keys new and existing, in random order, batches of 100, %v", number(float64(b.manyKeys)), b.manyKeysFor),
		"appends/s", "", 60_000)
	r, err := b.appendKeys(ctx, b.manyKeys, b.manyKeysFor)
	if err != nil {
		return err
	}
	row.one(r.EventsS)
	row.Note = fmt.Sprintf("%s appends in all", number(r.EventsS*r.Seconds))
	return nil
}

func (b *bench) appendKeys(ctx context.Context, keys int, d time.Duration, more ...string) (cliResult, error) {
	args := append([]string{"append", "--order", "random", "--keys", strconv.Itoa(keys), "--batch", "100", "--connections", "16", "--duration", d.String()}, more...)
	return b.withLeat(ctx, "", func(p *proc) (cliResult, error) { return b.cli(ctx, p, args...) })
}

// withLeat runs f on a new node with more lines of configuration.
func (b *bench) withLeat(ctx context.Context, config string, f func(*proc) (cliResult, error)) (cliResult, error) {
	c := *b
	c.config += config
	p, err := c.startLeat(ctx, b.ring)
	if err != nil {
		return cliResult{}, err
	}
	defer func() { _ = p.stop() }()
	return f(p)
}
