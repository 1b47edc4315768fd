package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const readTimeout = 2 * time.Minute

// readKafka reads every partition from its first offset to where its end was when this began.
func (k *killer) readKafka(ctx context.Context) (map[partitionOf][]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	from := map[string]map[int32]kgo.Offset{}
	for _, s := range streams {
		from[s] = map[int32]kgo.Offset{}
		for p := range int32(partitions) {
			from[s][p] = kgo.NewOffset().AtStart()
		}
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(k.kafka), kgo.ConsumePartitions(from), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ends, left, err := endOffsets(ctx, c)
	if err != nil {
		return nil, err
	}
	history := map[partitionOf][]stored{}
	for left > 0 {
		f := c.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%d events were not given within %v: %w", left, readTimeout, ctx.Err())
		}
		f.EachRecord(func(r *kgo.Record) {
			p := partitionOf{r.Topic, r.Partition}
			if r.Offset >= ends[p] {
				return
			}
			if n := len(history[p]); n == 0 && r.Offset != 0 {
				left -= r.Offset // what is missing will not come; the checker says so
			} else if n > 0 {
				left -= r.Offset - history[p][n-1].at.offset - 1
			}
			history[p] = append(history[p], stored{place{r.Topic, r.Partition, r.Offset}, string(r.Key), string(r.Value)})
			left--
		})
	}
	return history, nil
}

func endOffsets(ctx context.Context, c *kgo.Client) (map[partitionOf]int64, int64, error) {
	q := kmsg.NewPtrListOffsetsRequest()
	for _, s := range streams {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = s
		for p := range int32(partitions) {
			x := kmsg.NewListOffsetsRequestTopicPartition()
			x.Partition, x.Timestamp = p, -1
			t.Partitions = append(t.Partitions, x)
		}
		q.Topics = append(q.Topics, t)
	}
	ends, all := map[partitionOf]int64{}, int64(0)
	for _, shard := range c.RequestSharded(ctx, q) {
		if shard.Err != nil {
			return nil, 0, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return nil, 0, fmt.Errorf("end of %s/%d: error code %d", t.Topic, p.Partition, p.ErrorCode)
				}
				ends[partitionOf{t.Topic, p.Partition}] = p.Offset
				all += p.Offset
			}
		}
	}
	if len(ends) != len(streams)*partitions {
		return nil, 0, fmt.Errorf("ends of %d partitions, want %d", len(ends), len(streams)*partitions)
	}
	return ends, all, nil
}

// sameByHTTP reads all streams in pages and compares them with what Kafka gave. The node is quiet meanwhile.
func (k *killer) sameByHTTP(ctx context.Context, history map[partitionOf][]stored, r *report) error {
	for _, s := range streams {
		at, from := map[int32]int{}, "earliest"
		for p := range int32(partitions) {
			at[p] = int(k.trimmer.startOf(partitionOf{s, p}))
		}
		for {
			page, err := k.page(ctx, s, from, "")
			if err != nil {
				return err
			}
			for i, e := range page.Events {
				if i >= len(page.Stored) {
					return fmt.Errorf("stream %s: %d events, %d places", s, len(page.Events), len(page.Stored))
				}
				ref, err := parsePlace(page.Stored[i].Ref)
				if err != nil {
					return err
				}
				want, n := history[partitionOf{s, ref.partition}], at[ref.partition]
				at[ref.partition]++
				data, err := e.text()
				if err != nil {
					return err
				}
				if n >= len(want) || want[n].at != ref || want[n].data != data || want[n].key != e.Key {
					r.add("HTTP gives key %q, %.60q at %v; Kafka does not, as number %d of %d", e.Key, data, ref, n, len(want))
				}
			}
			if page.CaughtUp {
				break
			}
			from = page.Next
		}
		for p := range int32(partitions) {
			if got, want := at[p], len(history[partitionOf{s, p}]); got != want {
				r.add("HTTP gives %d events of %s/%d, Kafka %d", got, s, p, want)
			}
		}
	}
	return nil
}

type page struct {
	Events []pageEvent `json:"events"`
	Stored []struct {
		Ref     string `json:"ref"`
		Version uint64 `json:"version"`
	} `json:"stored"`
	Next     string `json:"next"`
	CaughtUp bool   `json:"caught_up"`
}

type pageEvent struct {
	Key    string          `json:"partitionkey"`
	Data   json.RawMessage `json:"data"`
	Base64 string          `json:"data_base64"`
}

func (e pageEvent) text() (string, error) {
	if e.Base64 != "" {
		b, err := base64.StdEncoding.DecodeString(e.Base64)
		return string(b), err
	}
	var s string
	if err := json.Unmarshal(e.Data, &s); err != nil {
		return string(e.Data), nil // data that is JSON stands for itself
	}
	return s, nil
}

func (k *killer) page(ctx context.Context, stream, from, more string) (page, error) {
	var p page
	status, text, err := k.request(ctx, http.MethodGet, "/v1/streams/"+stream+"/events?limit=1000&from="+url.QueryEscape(from)+more, "", nil)
	if err != nil {
		return p, err
	}
	if status != http.StatusOK {
		return p, fmt.Errorf("read %s from %s: %d %.300s", stream, from, status, text)
	}
	return p, json.Unmarshal(text, &p)
}
