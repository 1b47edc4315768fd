package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	asShipped    = -1 // ring: what the node does without configuration
	idleFor      = 5 * time.Second
	createdAtOne = 1000 // streams in one request
)

// start is the time from exec to a node that says it is ready, on a new data directory, as shipped; and its memory when nothing happens.
func (b *bench) start(ctx context.Context) error {
	took := b.row("start", "start, empty", "s", "", 0.15)
	idle := b.row("idle", "memory, idle", "MiB resident", "", 40)
	took.less, idle.less = true, true
	for range b.pairs {
		p, err := b.startLeat(ctx, asShipped)
		if err != nil {
			return err
		}
		took.one(p.took.Seconds())
		time.Sleep(idleFor)
		rss, err := p.rss()
		_ = p.stop()
		if err != nil {
			return err
		}
		idle.one(float64(rss) / (1 << 20))
	}
	return nil
}

// binary is the size of the program that is measured; make build strips it.
func (b *bench) binary(context.Context) error {
	info, err := os.Stat(b.leat)
	if err != nil {
		return err
	}
	row := b.row("binary", "binary, stripped", "MB", "", 60)
	row.less = true
	row.one(float64(info.Size()) / 1e6)
	return nil
}

// manyNames is the memory of a node with many streams, after somebody asked for all of them in both ways there are.
func (b *bench) manyNames(ctx context.Context) error {
	row := b.row("many-streams", fmt.Sprintf("memory, %s streams, after a scrape and a full Metadata", number(float64(b.streams))), "MiB resident", "", 500)
	row.less = true
	p, err := b.startLeat(ctx, asShipped)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	c, err := kafkaClient(p)
	if err != nil {
		return err
	}
	defer c.Close()
	began := time.Now()
	for first := 0; first < b.streams; first += createdAtOne {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.TimeoutMillis = 60_000
		for i := range createdAtOne {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = fmt.Sprintf("team-%02d.stream-%06d", i%50, first+i), 1, 1
			r.Topics = append(r.Topics, t)
		}
		resp, err := r.RequestWith(ctx, c)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
				return fmt.Errorf("create %s: %w", t.Topic, err)
			}
		}
	}
	row.Note = fmt.Sprintf("created at %s/s", number(float64(b.streams)/time.Since(began).Seconds()))
	scrape, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, scrape.Body); err != nil {
		return err
	}
	_ = scrape.Body.Close()
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = nil // all
	all, err := q.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	if len(all.Topics) < b.streams { // the platform has one of its own
		return fmt.Errorf("metadata has %d streams, fewer than %d", len(all.Topics), b.streams)
	}
	rss, err := p.rss()
	if err != nil {
		return err
	}
	row.one(float64(rss) / (1 << 20))
	return nil
}
