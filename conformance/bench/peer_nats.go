package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	natsPending    = 4096 // published and not yet acknowledged
	natsAckTimeout = 30 * time.Second
)

// natsPeer is one nats-server with a stream in files. By default it syncs every two minutes; always is what Leat promises.
func natsPeer(always bool) peer {
	name, interval := "NATS JetStream", ""
	if always {
		name, interval = "NATS JetStream, sync always", "sync_interval: always"
	}
	return peer{
		name: name, scale: 4,
		start: func(b *bench, ctx context.Context) (*proc, error) {
			p := &proc{}
			dir, err := b.place(&p.http)
			if err != nil {
				return nil, err
			}
			file := filepath.Join(dir, "nats.conf")
			config := fmt.Sprintf("listen: %q\njetstream {\n  store_dir: %q\n  %s\n}\n", p.http, filepath.Join(dir, "data"), interval)
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				return nil, err
			}
			return launch(ctx, name, dir, func(p *proc) bool { return opens(p.http) }, p, filepath.Join(b.peers, "nats-server"), "-c", file)
		},
		produce: natsProduce, consume: natsConsume, acks: natsAcks,
	}
}

func natsStream(ctx context.Context, p *proc, name string) (*nats.Conn, jetstream.JetStream, error) {
	c, err := nats.Connect("nats://" + p.http)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(c, jetstream.WithPublishAsyncMaxPending(natsPending))
	if err == nil {
		_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage})
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, js, nil
}

func natsProduce(ctx context.Context, p *proc, n int) (float64, error) {
	c, js, err := natsStream(ctx, p, peerStream)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	value := bytes.Repeat([]byte("x"), peerEventBytes)
	began := time.Now()
	for range n {
		if _, err := js.PublishAsync(peerStream, value, jetstream.WithStallWait(natsAckTimeout)); err != nil {
			return 0, err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	seconds := time.Since(began).Seconds()
	s, err := js.Stream(ctx, peerStream)
	if err != nil {
		return 0, err
	}
	if stored := s.CachedInfo().State.Msgs; stored < uint64(n) {
		return 0, fmt.Errorf("%d of %d events were stored", stored, n)
	}
	return float64(n) / seconds, nil
}

func natsConsume(ctx context.Context, p *proc, n int) (float64, error) {
	c, js, err := natsStream(ctx, p, peerStream)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	cons, err := js.OrderedConsumer(ctx, peerStream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	messages, err := cons.Messages(jetstream.PullMaxMessages(natsPending))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for range n {
		m, err := messages.Next()
		if err != nil {
			return 0, err
		}
		if len(m.Data()) != peerEventBytes {
			return 0, fmt.Errorf("an event of %d bytes", len(m.Data()))
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func natsAcks(ctx context.Context, p *proc, d time.Duration) (*histogram, error) {
	c, js, err := natsStream(ctx, p, "latency")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	value := bytes.Repeat([]byte("x"), peerEventBytes)
	h := &histogram{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	err = pace(ctx, latencyRate, d, func() {
		began := time.Now()
		f, err := js.PublishAsync("latency", value, jetstream.WithStallWait(natsAckTimeout))
		if err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
			return
		}
		wg.Go(func() {
			var err error
			select {
			case <-f.Ok():
			case err = <-f.Err():
			case <-time.After(natsAckTimeout):
				err = errors.New("no acknowledgement")
			}
			took := int64(time.Since(began))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			h.add(took)
		})
	})
	wg.Wait()
	return h, errors.Join(err, failed)
}

// natsWorkQueue makes a stream and a consumer that wants each message acknowledged.
func natsWorkQueue(ctx context.Context, p *proc, name string) (*nats.Conn, error) {
	c, js, err := natsStream(ctx, p, name)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateOrUpdateConsumer(ctx, name, jetstream.ConsumerConfig{
		Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: amqpPrefetch,
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
