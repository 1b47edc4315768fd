package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/conformance/jepsen/history"
)

func (r *run) create(ctx context.Context) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(r.node.kafka))
	if err != nil {
		return err
	}
	defer c.Close()
	q := kmsg.NewPtrCreateTopicsRequest()
	for t, n := range inputs {
		for _, name := range []string{t, outputOf(t)} {
			x := kmsg.NewCreateTopicsRequestTopic()
			x.Topic, x.NumPartitions, x.ReplicationFactor = name, n, 1
			q.Topics = append(q.Topics, x)
		}
	}
	x := kmsg.NewCreateTopicsRequestTopic()
	x.Topic, x.NumPartitions, x.ReplicationFactor = stateTopic, 1, 1
	policy := kmsg.NewCreateTopicsRequestTopicConfig()
	policy.Name, policy.Value = "cleanup.policy", new("compact")
	x.Configs = append(x.Configs, policy)
	q.Topics = append(q.Topics, x)
	a, err := q.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	for _, t := range a.Topics {
		if t.ErrorCode != 0 {
			return fmt.Errorf("create %s: code %d", t.Topic, t.ErrorCode)
		}
	}
	return nil
}

// ends are the offsets behind the last record, or before the first open transaction.
func (r *run) ends(ctx context.Context, committed bool) (map[history.Part]int64, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(r.node.kafka))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := kmsg.NewPtrListOffsetsRequest()
	if committed {
		q.IsolationLevel = 1
	}
	for _, at := range parts() {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = at.Topic
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = at.Partition, -1
		t.Partitions = append(t.Partitions, p)
		q.Topics = append(q.Topics, t)
	}
	out := map[history.Part]int64{}
	for _, s := range c.RequestSharded(ctx, q) {
		if s.Err != nil {
			return nil, s.Err
		}
		for _, t := range s.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return nil, fmt.Errorf("end of %s/%d: code %d", t.Topic, p.Partition, p.ErrorCode)
				}
				out[history.Part{Topic: t.Topic, Partition: p.Partition}] = p.Offset
			}
		}
	}
	return out, nil
}

// until asks again and again, within settleTimeout.
func until(ctx context.Context, what string, is func() (bool, string, error)) error {
	said := ""
	for deadline := time.Now().Add(settleTimeout); time.Now().Before(deadline) && ctx.Err() == nil; wait(ctx, 300*time.Millisecond) {
		ok, how, err := is()
		if err != nil || ok {
			return err
		}
		said = how
	}
	return errors.Join(ctx.Err(), fmt.Errorf("within %v not so: %s: %s", settleTimeout, what, said))
}

// stable waits until no transaction is open: what nobody ends takes too long at last.
func (r *run) stable(ctx context.Context) error {
	return until(ctx, "no transaction is open", func() (bool, string, error) {
		stable, err := r.ends(ctx, true)
		if err != nil {
			return false, "", err
		}
		all, err := r.ends(ctx, false)
		return maps.Equal(stable, all), fmt.Sprint(stable, all), err
	})
}

// consumed waits until the group has come to the end of its inputs.
func (r *run) consumed(ctx context.Context) error {
	visible, err := r.visible(ctx)
	if err != nil {
		return err
	}
	return until(ctx, "the group has consumed all", func() (bool, string, error) {
		at, err := r.group(ctx)
		for part, seen := range visible {
			if inputs[part.Topic] > 0 && len(seen) > 0 && at[part] <= seen[len(seen)-1].Offset {
				return false, fmt.Sprintf("%v of %v at %d", at[part], part, seen[len(seen)-1].Offset), err
			}
		}
		return true, "", err
	})
}

// group asks for the offsets of the group.
func (r *run) group(ctx context.Context) (map[history.Part]int64, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(r.node.kafka))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = groupName
	for t, n := range inputs {
		x := kmsg.NewOffsetFetchRequestGroupTopic()
		x.Topic = t
		for p := range n {
			x.Partitions = append(x.Partitions, p)
		}
		g.Topics = append(g.Topics, x)
	}
	q.Groups = append(q.Groups, g)
	a, err := q.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	out := map[history.Part]int64{}
	for _, g := range a.Groups {
		if g.ErrorCode != 0 {
			return nil, fmt.Errorf("offsets of the group: code %d", g.ErrorCode)
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				out[history.Part{Topic: t.Topic, Partition: p.Partition}] = max(p.Offset, 0)
			}
		}
	}
	return out, nil
}

func (r *run) readAll(ctx context.Context) (f *history.Final, err error) {
	f = &history.Final{}
	if f.Stored, err = r.stored(ctx, false); err != nil {
		return nil, err
	}
	if f.Visible, err = r.visible(ctx); err != nil {
		return nil, err
	}
	if f.Group, err = r.group(ctx); err != nil {
		return nil, err
	}
	f.State, err = r.state(ctx)
	return f, err
}

// state reads the compacted topic in pages: what is committed of what compaction has left.
func (r *run) state(ctx context.Context) (out []history.Seen, err error) {
	for from, more := "earliest", true; more; {
		p, err := r.page(ctx, stateTopic, from)
		if err != nil {
			return nil, err
		}
		for i := range p.Events {
			_, seen, err := p.seen(i)
			if err != nil {
				return nil, err
			}
			out = append(out, seen)
		}
		from, more = p.Next, !p.CaughtUp
	}
	return out, nil
}

func (r *run) visible(ctx context.Context) (map[history.Part][]history.Seen, error) {
	stored, err := r.stored(ctx, true)
	out := map[history.Part][]history.Seen{}
	for at, some := range stored {
		for i := range some {
			if !some[i].Control {
				out[at] = append(out[at], history.Seen{Offset: some[i].Offset, Value: some[i].Value})
			}
		}
	}
	return out, err
}

// stored reads everything to the end, with markers; committed: without what is not to be seen. The last of a partition where nothing is open is a marker or a
// record that is visible, so it is always given.
func (r *run) stored(ctx context.Context, committed bool) (map[history.Part][]history.Stored, error) {
	ends, err := r.ends(ctx, committed)
	if err != nil {
		return nil, err
	}
	from, left := map[string]map[int32]kgo.Offset{}, 0
	for at, end := range ends {
		if from[at.Topic] == nil {
			from[at.Topic] = map[int32]kgo.Offset{}
		}
		from[at.Topic][at.Partition] = kgo.NewOffset().AtStart()
		if end > 0 {
			left++
		}
	}
	opts := []kgo.Opt{kgo.SeedBrokers(r.node.kafka), kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchMaxWait(100 * time.Millisecond)}
	if committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	out := map[history.Part][]history.Stored{}
	for left > 0 {
		c.PollFetches(ctx).EachRecord(func(k *kgo.Record) {
			at := history.Part{Topic: k.Topic, Partition: k.Partition}
			s := history.Stored{Offset: k.Offset, Producer: k.ProducerID, Epoch: k.ProducerEpoch, Transactional: k.Attrs.IsTransactional(), Control: k.Attrs.IsControl()}
			if s.Control {
				s.Commit = len(k.Key) == 4 && k.Key[3] == 1 // version, type
			} else {
				s.Value = history.Head(k.Value)
			}
			out[at] = append(out[at], s)
			if k.Offset+1 == ends[at] {
				left--
			}
		})
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%d partitions were not read to their end within %v (committed: %v): %w", left, settleTimeout, committed, ctx.Err())
		}
	}
	return out, nil
}

// caughtUp waits until the readers have written down the last record that is for them. A reader that does not come there is judged by the checker.
func (r *run) caughtUp(ctx context.Context, f *history.Final) error {
	last := map[string]map[history.Part]int64{"committed": {}, "all": {}}
	for at, seen := range f.Visible {
		last["committed"][at] = seen[len(seen)-1].Offset
	}
	for at, stored := range f.Stored {
		for i := range stored {
			if !stored[i].Control {
				last["all"][at] = stored[i].Offset
			}
		}
	}
	err := until(ctx, "readers have come to the end", func() (bool, string, error) {
		for who, want := range last {
			ls, err := history.Load(historyFile(r.dir, who))
			if err != nil {
				return false, "", err
			}
			at := map[history.Part]int64{}
			for i := range ls {
				if l := &ls[i]; l.Kind == history.KindRead {
					at[*l.Place] = l.Seen[len(l.Seen)-1].Offset
				}
			}
			for part, o := range want {
				if at[part] < o {
					return false, fmt.Sprintf("%s is at %d of %v, which ends at %d", who, at[part], part, o), nil
				}
			}
		}
		return true, "", nil
	})
	if err != nil {
		fmt.Println(err)
	}
	return ctx.Err()
}

func same(a, b *history.Final) error {
	switch {
	case !reflect.DeepEqual(a.Stored, b.Stored):
		return errors.New("WRONG: after an orderly restart something else is stored")
	case !reflect.DeepEqual(a.Visible, b.Visible):
		return errors.New("WRONG: after an orderly restart something else is visible")
	case !maps.Equal(a.Group, b.Group):
		return fmt.Errorf("WRONG: after an orderly restart the group's offsets are %v, before %v", b.Group, a.Group)
	case len(a.State) == 0 || len(b.State) == 0 || a.State[len(a.State)-1] != b.State[len(b.State)-1]: // compaction goes on, and leaves the newest
		return errors.New("WRONG: after an orderly restart the compacted topic ends with something else")
	}
	return nil
}

// sameByHTTP reads all topics in pages: they tell what is committed, and nothing else.
func (r *run) sameByHTTP(ctx context.Context, f *history.Final) error {
	got := map[history.Part][]history.Seen{}
	for t := range inputs {
		for _, name := range []string{t, outputOf(t)} {
			for from, more := "earliest", true; more; {
				p, err := r.page(ctx, name, from)
				if err != nil {
					return err
				}
				for i := range p.Events {
					at, seen, err := p.seen(i)
					if err != nil {
						return err
					}
					got[at] = append(got[at], seen)
				}
				from, more = p.Next, !p.CaughtUp
			}
		}
	}
	for at := range f.Stored {
		if !slices.Equal(got[at], f.Visible[at]) {
			return fmt.Errorf("WRONG: %v: HTTP tells %d records, Kafka %d, or others", at, len(got[at]), len(f.Visible[at]))
		}
	}
	return nil
}

type page struct {
	Events []struct {
		Data   json.RawMessage `json:"data"`
		Base64 string          `json:"data_base64"`
	} `json:"events"`
	Stored []struct {
		Ref string `json:"ref"`
	} `json:"stored"`
	Next     string `json:"next"`
	CaughtUp bool   `json:"caught_up"`
}

func (p *page) seen(i int) (at history.Part, s history.Seen, err error) {
	ref := strings.Split(p.Stored[i].Ref, "/")
	if len(ref) != 3 {
		return at, s, fmt.Errorf("ref %q", p.Stored[i].Ref)
	}
	at.Topic = ref[0]
	if _, err = fmt.Sscan(ref[1]+" "+ref[2], &at.Partition, &s.Offset); err != nil {
		return at, s, fmt.Errorf("ref %q: %w", p.Stored[i].Ref, err)
	}
	var text string
	var value []byte
	if p.Events[i].Base64 != "" {
		value, err = base64.StdEncoding.DecodeString(p.Events[i].Base64)
	} else {
		err = json.Unmarshal(p.Events[i].Data, &text)
		value = []byte(text)
	}
	s.Value = history.Head(value)
	return at, s, err
}

func (r *run) page(ctx context.Context, stream, from string) (*page, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.node.http+"/v1/streams/"+stream+"/events?limit=1000&from="+url.QueryEscape(from), http.NoBody)
	if err != nil {
		return nil, err
	}
	a, err := r.node.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	p := &page{}
	if err := json.NewDecoder(a.Body).Decode(p); err != nil || a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("page of %s: %s %w", stream, a.Status, err)
	}
	return p, nil
}
