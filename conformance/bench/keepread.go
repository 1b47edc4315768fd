package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// keyBytes is the length of keys, as hexadecimal digits of a number that is spread over all.
const keyBytes = 16

func appendKey(k []byte, value uint64) []byte {
	const digits = "0123456789abcdef"
	v := spread64(value)
	for shift := 60; shift >= 0; shift -= 4 {
		k = append(k, digits[v>>shift&15])
	}
	return k
}

// spread64 is splitmix64's last step: no two values give the same.
func spread64(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// keysLatest is what it costs to keep the latest record of each key. The ceiling gets the same records and keeps nothing of their keys.
func (b *bench) keysLatest(ctx context.Context, size int) error {
	row := b.row(fmt.Sprintf("keys-latest-%d", size), fmt.Sprintf("produce %d B with 16-byte keys over %s values, cleanup.policy=compact", size, number(float64(b.keep.keyed))),
		"records/s", "ceiling", 0.55)
	n, values := b.volume/size, uint64(b.keep.keyed)
	l := load{topics: []string{"keyed"}, size: size, n: n, key: func(i int, k []byte) []byte { return appendKey(k, spread64(uint64(i))%values) }}
	for i := range b.pairs {
		if err := b.withPair(ctx, func(leat, ceiling *proc) error {
			if err := createTopic(ctx, leat, "keyed", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
				return err
			}
			if err := row.pair(i, leat, ceiling, func(_ int, p *proc) (float64, error) {
				v, _, err := l.run(ctx, p)
				return v, err
			}); err != nil {
				return err
			}
			m, err := leat.metrics("leat_keys_added_total", "leat_keys_blocked_nanoseconds_total")
			if err != nil {
				return err
			}
			if int(m[0]) < n {
				return fmt.Errorf("of %d keyed records the node knows the keys of %.0f", n, m[0])
			}
			row.Note = fmt.Sprintf("frames waited %.2f s for key files in the last run", m[1]/1e9)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// keepConsume reads what is in segment files and nowhere else: the node has been started anew, and all that is read has been moved.
func (b *bench) keepConsume(ctx context.Context) error {
	const size, window = 1024, 32 << 20
	row := b.row("keep-consume", "consume 1 KiB from segment files, page cache warm", "records/s", "ceiling", 0.60)
	config := fmt.Sprintf("%s  hot_tail_bytes: 0\n", windowConfig(window))
	leat, err := b.startKeeping(ctx, b.ring, window, config, int64(b.volume))
	if err != nil {
		return err
	}
	defer func() { _ = leat.stop() }()
	ceiling, err := b.startCeiling(ctx, b.ring)
	if err != nil {
		return err
	}
	defer func() { _ = ceiling.stop() }()
	n, first := b.volume/size, [2]int64{}
	for side, p := range []*proc{leat, ceiling} {
		if _, first[side], err = produce(ctx, p, []string{"work"}, size, n); err != nil {
			return err
		}
	}
	// What is left of it in the journal is less than a window: as much again pushes it out.
	if _, _, err := produce(ctx, leat, []string{"after"}, size, 2*window/size); err != nil {
		return err
	}
	if err := leat.settle(ctx); err != nil {
		return err
	}
	if err := leat.end(syscall.SIGTERM); err != nil {
		return err
	}
	if err := leat.begin(ctx); err != nil {
		return err
	}
	run := func(side int, p *proc) (float64, error) { return consume(ctx, p, "work", first[side], size, n) }
	for side, p := range []*proc{leat, ceiling} { // both warm
		if _, err := run(side, p); err != nil {
			return err
		}
	}
	for i := range b.pairs {
		before, err := leat.metric("leat_segment_read_bytes_total")
		if err != nil {
			return err
		}
		if err := row.pair(i, leat, ceiling, run); err != nil {
			return err
		}
		after, err := leat.metric("leat_segment_read_bytes_total")
		if err != nil {
			return err
		}
		if after-before < float64(n*size) {
			return fmt.Errorf("of %d bytes %.0f were read from segment files", n*size, after-before)
		}
	}
	row.Note = "the node was started anew, has no hot tail, and all was moved"
	return nil
}

// keepCold reads single streams out of many that were written interleaved, and as much of one big stream, neither of them in the page cache.
func (b *bench) keepCold(ctx context.Context) error {
	const size = 1024
	volume := b.keep.volume()
	each := volume / int64(b.keep.streams) / size // records of a stream
	row := b.row("keep-cold", fmt.Sprintf("cold replay: whole streams of %s out of %d interleaved ones", bytesText(each*size), b.keep.streams), "MB/s", "as much of one big stream", 0.50)
	p, err := b.startShipped(ctx, 2*volume)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	names := make([]string, b.keep.streams)
	for i := range names {
		names[i] = fmt.Sprintf("stream-%04d", i)
	}
	for _, topics := range [][]string{names, {"big"}} {
		if _, _, err := produce(ctx, p, topics, size, int(each)*b.keep.streams); err != nil {
			return err
		}
	}
	window := p.window
	if _, _, err := produce(ctx, p, []string{"after"}, size, int(2*window/size)); err != nil { // pushes the rest out of the journal
		return err
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	dice, how := rand.New(rand.NewPCG(1, 2)), ""
	for i := range b.pairs {
		picks := dice.Perm(b.keep.streams)[:b.keep.pieces]
		if err := row.pair(i, p, p, func(side int, p *proc) (float64, error) {
			if how, err = b.dropCaches(p); err != nil {
				return 0, err
			}
			return fetchPieces(ctx, p, picks, func(pick int) (string, int64) {
				if side == 0 {
					return names[pick], 0
				}
				return "big", int64(pick) * each
			}, each)
		}); err != nil {
			return err
		}
	}
	row.Note = fmt.Sprintf("%d in a run, one after the other; %s before each run", b.keep.pieces, how)
	return nil
}

// fetchPieces reads some pieces, one after the other, and returns MB/s of batches. It is the requests alone, one at a time: neither a client's
// reading ahead nor its connecting is in it.
func fetchPieces(ctx context.Context, p *proc, picks []int, where func(pick int) (topic string, first int64), records int64) (float64, error) {
	byName := kversion.Stable()
	byName.SetMaxKeyVersion(int16(kmsg.Fetch), 12)
	c, err := kafkaClient(p, kgo.MaxVersions(byName))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Ping(ctx); err != nil {
		return 0, err
	}
	began, sum := time.Now(), 0
	for _, pick := range picks {
		topic, first := where(pick)
		for at, end := first, first+records; at < end; {
			batches, err := fetch(ctx, c, topic, at)
			if err != nil {
				return 0, fmt.Errorf("fetch %s from %d: %w", topic, at, err)
			}
			next, n, err := batchesEnd(batches, end)
			if err != nil || next <= at {
				return 0, errors.Join(err, fmt.Errorf("fetch %s from %d: %d bytes that go on at %d", topic, at, len(batches), next))
			}
			at, sum = next, sum+n
		}
	}
	return float64(sum) / time.Since(began).Seconds() / 1e6, nil
}

// fetch is one request for partition 0. Up to version 12 it names its topic, later ones give its id.
func fetch(ctx context.Context, c *kgo.Client, topic string, at int64) ([]byte, error) {
	r := kmsg.NewPtrFetchRequest()
	r.MaxWaitMillis, r.MinBytes, r.MaxBytes, r.SessionEpoch = 1000, 1, fetchBytesMax, -1
	t, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = at, fetchPartBytesMax, -1
	t.Topic, t.Partitions = topic, append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	answer, err := c.SeedBrokers()[0].RetriableRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("an answer about another partition")
	}
	got := resp.Topics[0].Partitions[0]
	return got.RecordBatches, kerr.ErrorForCode(got.ErrorCode)
}

// batchesEnd walks over whole batches (base offset 8, length 4, …, last offset delta at 23) up to the offset end; the last one may be cut. next
// is the offset after them and n their bytes.
func batchesEnd(b []byte, end int64) (next int64, n int, err error) {
	const headerBytes = 61
	for len(b)-n >= headerBytes {
		batch := b[n:]
		length := 12 + int(binary.BigEndian.Uint32(batch[8:]))
		if length < headerBytes {
			return 0, 0, fmt.Errorf("a batch of %d bytes", length)
		}
		if length > len(batch) {
			break
		}
		next = int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[23:])) + 1
		if n += length; next >= end {
			break
		}
	}
	return next, n, nil
}
