package link

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/kafkagroup"
)

// promise is a position that a group has committed there.
type promise struct {
	at       int64
	metadata string
}

// groups copies what groups have committed for topics that are copied. Positions go as they are, also behind what is copied yet: the records
// come.
func (w *worker) groups(ctx context.Context) error {
	if len(w.known) == 0 {
		return nil
	}
	all, err := w.admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("the groups cannot be listed: %w", err)
	}
	var want []string
	for _, g := range all.Groups() {
		if matches(w.settings.Groups, g) {
			want = append(want, g)
		}
	}
	slices.Sort(want)
	if len(want) > GroupsMax {
		w.halt("groups", fmt.Sprintf("%d groups are over the limit of %d for one link", len(want)-GroupsMax, GroupsMax))
		want = want[:GroupsMax]
	}
	if len(want) == 0 {
		return nil
	}
	for name, r := range w.admin.FetchManyOffsets(ctx, want...) {
		if r.Err != nil {
			return fmt.Errorf("what group %q has committed cannot be fetched: %w", name, r.Err)
		}
		if err := w.group(ctx, name, r.Fetched); err != nil {
			if !final(err) {
				return err
			}
			w.halt("group "+name, reason(err))
			continue
		}
		w.goesOn("group " + name)
	}
	return nil
}

// group copies one group's positions, those that have changed.
func (w *worker) group(ctx context.Context, name string, fetched kadm.OffsetResponses) error {
	was := w.committed[name]
	var moves []broker.PositionCommit
	now := map[part]promise{}
	var failed error
	fetched.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil {
			failed = fmt.Errorf("what group %q has committed for %s/%d is not known: %w", name, o.Topic, o.Partition, o.Err)
			return
		}
		k := part{o.Topic, o.Partition}
		if w.copies[k] == nil || o.At < 0 {
			return
		}
		now[k] = promise{o.At, o.Metadata}
		if was[k] != now[k] {
			moves = append(moves, broker.PositionCommit{
				Stream: o.Topic, Partition: record.PartitionID(o.Partition), Offset: record.Offset(o.At), LeaderEpoch: -1, Metadata: o.Metadata,
			})
		}
	})
	if failed != nil || len(now) == 0 {
		return failed
	}
	if was == nil {
		if err := w.subscription(ctx, name); err != nil {
			return err
		}
	}
	slices.SortFunc(moves, func(a, b broker.PositionCommit) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Partition, b.Partition))
	})
	for some := range slices.Chunk(moves, commitsChunk) {
		if err := w.l.broker.CommitPositions(ctx, w.caller, kafkagroup.Name(name), some); err != nil {
			return err
		}
	}
	w.committed[name] = now
	return nil
}

// subscription makes the cursor subscription of a group, as the gateway would. One that is there is left as it is.
func (w *worker) subscription(ctx context.Context, id string) error {
	name := kafkagroup.Name(id)
	info, err := w.l.broker.DescribeSubscription(ctx, w.caller, name)
	switch {
	case err == nil && (info.Config.Policy.Kind != broker.SubscriptionCursor || len(info.Config.Streams) > 0):
		return fault.New(fault.Conflict, "link", name, "there is a subscription %q that is no group", name)
	case !fault.Is(err, fault.NotFound):
		return err
	}
	_, err = w.l.broker.PutSubscription(ctx, w.caller, name, func(c *broker.SubscriptionConfig) error {
		c.Policy.Kind, c.Policy.Yields = broker.SubscriptionCursor, true
		c.Documents = map[string]string{kafkagroup.DocumentKey: kafkagroup.Document(id)}
		return nil
	}, broker.Start{Kind: broker.StartLatest}, 0)
	return err
}
