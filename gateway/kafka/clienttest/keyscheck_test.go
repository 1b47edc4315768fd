package clienttest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keyPage does not divide what a key has, so that pages begin and end anywhere.
const keyPage = 7

// keyEvent is one event as a reader by key gets it.
type keyEvent struct {
	ref     string
	version int
	key     string
	data    string
}

// checkKeys reads every key forwards and backwards and holds the two against each other, against what was acknowledged, against the
// order of the whole stream, and against what a Kafka consumer sees.
func checkKeys(t *testing.T, ctx context.Context, n *keptNode, acked map[string]int) {
	t.Helper()
	order := n.streamOrder(t, ctx) // ref → place in the journal's order
	byKey := make([][]keyEvent, keyCount)
	errs := make([]error, keyCount)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < keyCount; i += 4 {
				byKey[i], errs[i] = n.checkKey(ctx, fmt.Sprintf("k%d", i), acked[fmt.Sprintf("k%d", i)], order)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%.3000s", err.Error())
	}
	total := 0
	for _, events := range byKey {
		total += len(events)
	}
	if total != len(order) {
		t.Errorf("the keys have %d events, the stream %d", total, len(order))
	}
	n.checkConsumer(t, ctx, byKey, total)
}

func (n *keptNode) checkKey(ctx context.Context, key string, want int, order map[string]int) ([]keyEvent, error) {
	forward, err := n.history(ctx, key, "forward")
	if err != nil {
		return nil, err
	}
	backward, err := n.history(ctx, key, "backward")
	if err != nil {
		return nil, err
	}
	slices.Reverse(backward)
	if !slices.Equal(forward, backward) {
		return nil, fmt.Errorf("key %s: %d events forwards are not the %d backwards", key, len(forward), len(backward))
	}
	if len(forward) != want {
		return nil, fmt.Errorf("key %s has %d events, %d were acknowledged", key, len(forward), want)
	}
	last := map[string]int{} // of each writer
	for i, e := range forward {
		if e.key != key || e.version != i+1 {
			return nil, fmt.Errorf("key %s: event %d is of key %s, version %d: %s", key, i+1, e.key, e.version, e.ref)
		}
		at, known := order[e.ref]
		if !known || i > 0 && at <= order[forward[i-1].ref] {
			return nil, fmt.Errorf("key %s: %s is not after %s in the order of the stream", key, e.ref, forward[max(0, i-1)].ref)
		}
		var writer string
		var round int
		if _, err := fmt.Sscanf(e.data, "%s %d", &writer, &round); err != nil {
			return nil, fmt.Errorf("key %s: data %.40q of %s", key, e.data, e.ref)
		}
		if before, wrote := last[writer]; wrote && round != before+1 || !wrote && round != 0 {
			return nil, fmt.Errorf("key %s: %s wrote %d after %d (%s)", key, writer, round, before, e.ref)
		}
		last[writer] = round
	}
	return forward, nil
}

type eventPage struct {
	Events []struct {
		Key    string          `json:"partitionkey"`
		Data   json.RawMessage `json:"data"`
		Base64 string          `json:"data_base64"`
	}
	Stored []struct {
		Ref     string
		Version int
	}
	Next     string
	CaughtUp bool `json:"caught_up"`
}

func (n *keptNode) page(ctx context.Context, query string) (eventPage, error) {
	var p eventPage
	status, body, err := n.request(ctx, "GET", "/v1/streams/"+keyStream+"/events?"+query, nil, "")
	if err != nil || status != 200 {
		return p, fmt.Errorf("%s: %d %s %w", query, status, body, err)
	}
	err = json.Unmarshal(body, &p)
	if err == nil && len(p.Events) != len(p.Stored) {
		err = fmt.Errorf("%s: %d events, %d places", query, len(p.Events), len(p.Stored))
	}
	return p, err
}

// history is all of a key, in pages of keyPage.
func (n *keptNode) history(ctx context.Context, key, direction string) (events []keyEvent, err error) {
	from := ""
	for {
		p, err := n.page(ctx, fmt.Sprintf("key=%s&direction=%s&limit=%d%s", key, direction, keyPage, from))
		if err != nil {
			return nil, err
		}
		if len(p.Events) > keyPage {
			return nil, fmt.Errorf("key %s: %d events in a page of %d", key, len(p.Events), keyPage)
		}
		for i, e := range p.Events {
			text := ""
			if raw, err := base64.StdEncoding.DecodeString(e.Base64); e.Base64 != "" && err == nil {
				text = string(raw)
			} else if json.Unmarshal(e.Data, &text) != nil {
				text = string(e.Data)
			}
			events = append(events, keyEvent{p.Stored[i].Ref, p.Stored[i].Version, e.Key, text})
		}
		if p.CaughtUp {
			return events, nil
		}
		from = "&from=" + url.QueryEscape(p.Next)
	}
}

// streamOrder reads the stream as a whole, which is in the order of the journal.
func (n *keptNode) streamOrder(t *testing.T, ctx context.Context) map[string]int {
	t.Helper()
	order, from := map[string]int{}, "earliest"
	for {
		p, err := n.page(ctx, "limit=1000&from="+url.QueryEscape(from))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Stored {
			if _, twice := order[s.Ref]; twice {
				t.Fatalf("%s came twice", s.Ref)
			}
			order[s.Ref] = len(order)
		}
		if p.CaughtUp {
			return order
		}
		from = p.Next
	}
}

// checkConsumer holds what docs/kafka.md says: a consumer gets every event, in each partition the events of a key in the order of their
// versions, and no order between partitions; that there are keys in several partitions is why the page says it.
func (n *keptNode) checkConsumer(t *testing.T, ctx context.Context, byKey [][]keyEvent, total int) {
	t.Helper()
	versions, spread := map[string]int{}, 0
	for _, events := range byKey {
		partitions := map[string]bool{}
		for _, e := range events {
			versions[e.ref] = e.version
			partitions[e.ref[:strings.LastIndexByte(e.ref, '/')]] = true
		}
		if len(partitions) > 1 {
			spread++
		}
	}
	if spread < keyCount/2 {
		t.Errorf("only %d of %d keys are in more than one partition: this tests nothing", spread, keyCount)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(n.kafka), kgo.ConsumeTopics(keyStream), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	last, behind, newest := map[string]int{}, 0, map[string]int{}
	for got := 0; got < total; {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", got, total, err)
		}
		for _, r := range f.Records() {
			got++
			key, v := string(r.Key), versions[fmt.Sprintf("%s/%d/%d", keyStream, r.Partition, r.Offset)]
			in := fmt.Sprintf("%d %s", r.Partition, key)
			if v <= last[in] {
				t.Fatalf("partition %d has version %d of key %s after version %d", r.Partition, v, key, last[in])
			}
			if v < newest[key] {
				behind++
			}
			last[in], newest[key] = v, max(v, newest[key])
		}
	}
	t.Logf("%d of %d keys are in more than one partition; a consumer got %d of %d records after a newer one of their key", spread, keyCount, behind, total)
}
