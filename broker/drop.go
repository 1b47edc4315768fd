package broker

import (
	"cmp"
	"context"
	"slices"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// DroppedRunsMax bounds what is remembered of dead letters that were dropped one by one: they are remembered as runs of letters, and dropping all up to
// some letter is one run.
const DroppedRunsMax = 4_096

// droppedLetters are the dead letters of one partition that are not to be shown any more. Runs are from one offset to another, ascending, apart.
type droppedLetters struct {
	Stream    record.StreamID    `json:"stream"`
	Partition record.PartitionID `json:"partition"`
	Runs      [][2]record.Offset `json:"runs"`
}

// dropped reports whether a letter was dropped.
func (x *subscribed) dropped(to *named, r record.Ref) bool {
	if len(x.doc.Dropped) == 0 || to == nil {
		return false
	}
	for i := range x.doc.Dropped {
		if d := &x.doc.Dropped[i]; d.Stream == to.id && d.Partition == r.Partition {
			k, _ := slices.BinarySearchFunc(d.Runs, r.Offset, func(run [2]record.Offset, o record.Offset) int {
				if run[1] <= o {
					return -1
				}
				return 1
			})
			return k < len(d.Runs) && d.Runs[k][0] <= r.Offset
		}
	}
	return false
}

// add adds a run and joins what touches.
func (d *droppedLetters) add(from, to record.Offset) {
	d.Runs = append(slices.Clone(d.Runs), [2]record.Offset{from, to})
	slices.SortFunc(d.Runs, func(a, b [2]record.Offset) int { return cmp.Compare(a[0], b[0]) })
	out := d.Runs[:1]
	for _, r := range d.Runs[1:] {
		if last := &out[len(out)-1]; r[0] <= last[1] {
			last[1] = max(last[1], r[1])
		} else {
			out = append(out, r)
		}
	}
	d.Runs = out
}

// DropDead has dead letters of a subscription shown no more, and not handed over again by a replay of what failed; refs are theirs. They stay in their stream
// until its retention takes them. Dropping one twice does nothing. It takes the right to alter the subscription and to read the letters.
func (b *Broker) DropDead(ctx context.Context, c *Caller, name string, refs []record.Ref) error {
	x, err := b.findSubscription(c, "drop", ActionAlter, name)
	if err != nil {
		return err
	}
	if len(refs) > subscription.ReviveMax {
		return fault.New(fault.TooLarge, "drop", name, "%d at once; the limit is %d", len(refs), subscription.ReviveMax)
	}
	for _, r := range refs {
		d, err := b.ReadRef(ctx, c, r)
		if err != nil {
			return err
		}
		if _, ok := readDead(d, name); !ok || r.Stream != x.deadStream() {
			return fault.New(fault.Invalid, "drop", r.String(), "%s is no dead letter of the subscription", r)
		}
	}
	runs := make(map[record.PartitionID][][2]record.Offset, len(refs))
	for _, r := range refs {
		runs[r.Partition] = append(runs[r.Partition], [2]record.Offset{r.Offset, r.Offset + 1})
	}
	return b.dropLetters(ctx, c, x, runs)
}

// DropAllDead does what DropDead does with all dead letters that are there now.
func (b *Broker) DropAllDead(ctx context.Context, c *Caller, name string) error {
	x, err := b.findSubscription(c, "drop", ActionAlter, name)
	if err != nil {
		return err
	}
	to := b.names.get(x.namespace, x.deadStream())
	if to == nil {
		return nil
	}
	runs := map[record.PartitionID][][2]record.Offset{}
	for p := range record.PartitionID(to.config.Partitions) {
		if part := b.shards[to.shard].Published().Part(to.id, p); part != nil {
			if start, end := part.Ends(); start < end {
				runs[p] = [][2]record.Offset{{0, end}}
			}
		}
	}
	return b.dropLetters(ctx, c, x, runs)
}

func (b *Broker) dropLetters(ctx context.Context, c *Caller, x *subscribed, runs map[record.PartitionID][][2]record.Offset) error {
	to := b.names.get(x.namespace, x.deadStream())
	if to == nil || len(runs) == 0 {
		return nil
	}
	var err error
	for range alterTriesMax {
		err = b.putSubscribed(ctx, c, x.name, func(d *subscriptionDocument) error { return b.noteDropped(d, to, runs) }, Start{Kind: StartLatest}, 0)
		if !again(err) {
			return err
		}
	}
	return err
}

// noteDropped puts runs into a document, and forgets those of letters that are gone.
func (b *Broker) noteDropped(d *subscriptionDocument, to *named, runs map[record.PartitionID][][2]record.Offset) error {
	var kept []droppedLetters
	at := map[record.PartitionID]int{}
	for _, l := range d.Dropped {
		part := b.shards[to.shard].Published().Part(l.Stream, l.Partition)
		if l.Stream != to.id || part == nil {
			continue // dead letters go elsewhere now
		}
		start := part.Start()
		l.Runs = slices.DeleteFunc(slices.Clone(l.Runs), func(r [2]record.Offset) bool { return r[1] <= start })
		at[l.Partition] = len(kept)
		kept = append(kept, l)
	}
	n := 0
	for p, rs := range runs {
		i, there := at[p]
		if !there {
			i = len(kept)
			kept = append(kept, droppedLetters{Stream: to.id, Partition: p})
		}
		for _, r := range rs {
			kept[i].add(r[0], r[1])
		}
	}
	for i := range kept {
		n += len(kept[i].Runs)
	}
	if n > DroppedRunsMax {
		return fault.New(fault.QuotaSpent, "drop", d.DeadLetters, "%d runs of letters would be dropped among others that are not; the limit is %d: drop neighbours, or all", n, DroppedRunsMax)
	}
	slices.SortFunc(kept, func(x, y droppedLetters) int { return cmp.Compare(x.Partition, y.Partition) })
	d.Dropped = kept
	return nil
}

// Cancel settles events of a subscription that nobody has: such as wait for their time. Outcomes: Done, Already where it was settled before, Lost where
// somebody has it, Unknown where the event does not reach the subscription. It takes the right to alter the subscription.
func (b *Broker) Cancel(ctx context.Context, c *Caller, name string, refs []record.Ref) ([]Outcome, error) {
	x, err := b.findSubscription(c, "cancel", ActionAlter, name)
	if err != nil {
		return nil, err
	}
	if len(refs) > SettleMax {
		return nil, fault.New(fault.TooLarge, "cancel", name, "%d at once; the limit is %d", len(refs), SettleMax)
	}
	cmd := &shard.Cancel{Sub: x.id, Records: make([]shard.Cancelled, len(refs))}
	for i, r := range refs {
		if cmd.Records[i], err = b.cancelled(ctx, c, x, r); err != nil {
			return nil, err
		}
	}
	if _, err := b.shards[x.shard].Do(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Outcomes, nil
}

// cancelled finds what is to be cancelled. What does not reach the subscription is not of a stream.
func (b *Broker) cancelled(ctx context.Context, c *Caller, x *subscribed, r record.Ref) (v shard.Cancelled, err error) {
	i := slices.Index(x.doc.Streams, r.Stream)
	if i < 0 {
		return v, nil
	}
	d, err := b.ReadRef(ctx, c, r)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Trimmed): // a copy may be there still
	case err != nil:
		return v, err
	default:
		k := b.subs.matchers.Get().(*matching)
		reaches, matches := k.judge(x, b.streamOf(x, x.doc.StreamIDs[i]), d, d.Position.Seq)
		b.freeMatching(k)
		if !reaches || !matches {
			return v, nil
		}
		v.There, v.Size = true, int32(min(recordBytes(d.Record), 1<<30))
	}
	v.At = subscription.At{Place: subscription.Place{Stream: x.doc.StreamIDs[i], Partition: r.Partition}, Offset: r.Offset}
	return v, nil
}
