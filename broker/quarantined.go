package broker

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// Quarantined is a record that waits in quarantine.
type Quarantined struct {
	*Delivered // as it lies there

	Contract  string
	Subject   string
	Version   int // 0: it could not be told
	Field     string
	Reason    string
	Stream    string             // where it was to go
	Partition record.PartitionID // record.NoPartition: the key was to say it
	Offset    record.Offset      // where it is missing; -1: nowhere
	Index     int
	Protocol  string
	User      string
	Taken     bool // a receiver of the subscription has it just now
}

// Limits of one request about quarantine.
const (
	QuarantinePageMax   = 1000
	QuarantineReplayMax = 1000
	quarantinePagesMax  = 100 // that are looked through for one list
)

// readQuarantined reads what the headers of a record say; false when it was not put there by contracts.
func readQuarantined(d *Delivered) (q Quarantined, ok bool) {
	q = Quarantined{Delivered: d, Partition: record.NoPartition, Offset: -1}
	for _, h := range d.Record.Headers {
		v := string(h.Value)
		n, err := strconv.ParseInt(v, 10, 64)
		switch h.Key {
		case HeaderQuarantineContract:
			q.Contract = v
		case HeaderQuarantineSubject:
			q.Subject = v
		case HeaderQuarantineField:
			q.Field = v
		case HeaderQuarantineReason:
			q.Reason = v
		case HeaderQuarantineStream:
			q.Stream = v
		case HeaderQuarantineProtocol:
			q.Protocol = v
		case HeaderQuarantineUser:
			q.User = v
		}
		if err != nil {
			continue
		}
		switch h.Key {
		case HeaderQuarantineVersion:
			q.Version = int(n)
		case HeaderQuarantinePartition:
			q.Partition = record.PartitionID(n)
		case HeaderQuarantineOffset:
			q.Offset = record.Offset(n)
		case HeaderQuarantineIndex:
			q.Index = int(n)
		}
	}
	return q, q.Stream != ""
}

// AsItCame is the record as its producer sent it, without what quarantine has added.
func (q *Quarantined) AsItCame() record.Record {
	r := *q.Record
	r.Headers = asItCame(r.Headers)
	return r
}

// known is the quarantine of the caller's namespace; to is nil when it has none. It takes the right to read the stream, and a to the subscription.
func (b *Broker) knownQuarantine(c *Caller, op string, a Action) (q quarantine, err error) {
	if err := b.allow(c, op, ActionRead, KindStream, QuarantineStream); err != nil {
		return q, err
	}
	if err := b.allow(c, op, a, KindSubscription, QuarantineStream); err != nil {
		return q, err
	}
	q = quarantine{b.names.get(c.namespace(), QuarantineStream), b.subs.get(c.namespace(), QuarantineStream)}
	if q.sub == nil {
		q.to = nil
	}
	return q, nil
}

// QuarantineQuery asks for what waits in quarantine.
type QuarantineQuery struct {
	Contract, Stream string        // "": any
	From             record.Offset // in QuarantineStream
	Limit            int           // 1 to QuarantinePageMax
}

// QuarantineList is what waits in the quarantine of the caller's namespace, oldest first, and where to go on: -1 when that was all. It takes the right
// to read QuarantineStream and to describe the subscription of that name.
func (b *Broker) QuarantineList(ctx context.Context, c *Caller, x QuarantineQuery) (out []Quarantined, next record.Offset, err error) {
	q, err := b.knownQuarantine(c, "list", ActionDescribe)
	if err != nil || q.to == nil {
		return nil, -1, err
	}
	x.Limit = min(max(x.Limit, 1), QuarantinePageMax)
	part := b.shards[q.to.shard].Published().Part(q.to.id, 0)
	if part == nil {
		return nil, -1, nil
	}
	next = max(x.From, part.Start())
	from := Start{Kind: StartOffset, Offset: next}
	for range quarantinePagesMax {
		p, err := b.ReadPage(ctx, c, PageRequest{Streams: []string{QuarantineStream}, From: from, Limit: QuarantinePageMax})
		if err != nil {
			return nil, -1, err
		}
		found, err := b.waiting(ctx, q, p.Events)
		if err != nil {
			return nil, -1, err
		}
		for i := range found {
			if r := &found[i]; (x.Contract == "" || r.Contract == x.Contract) && (x.Stream == "" || r.Stream == x.Stream) {
				if out = append(out, *r); len(out) == x.Limit {
					return out, r.Ref.Offset + 1, nil
				}
			}
		}
		if p.CaughtUp {
			return out, -1, nil
		}
		if n := len(p.Events); n > 0 {
			next = p.Events[n-1].Ref.Offset + 1
		}
		from = Start{Kind: StartPosition, Position: p.Next}
	}
	return out, next, nil
}

// waiting are those of some records of QuarantineStream that nobody has settled.
func (b *Broker) waiting(ctx context.Context, q quarantine, ds []*Delivered) (out []Quarantined, err error) {
	cmd := &shard.Standing{Sub: q.sub.id}
	for _, d := range ds {
		cmd.Records = append(cmd.Records, q.at(d.Ref.Offset))
	}
	if _, err := b.shards[q.sub.shard].Do(ctx, cmd); err != nil {
		return nil, err
	}
	for i, d := range ds {
		if x, ok := readQuarantined(d); ok && !cmd.Settled[i] {
			x.Taken = cmd.Leased[i]
			out = append(out, x)
		}
	}
	return out, nil
}

func (q *quarantine) at(o record.Offset) subscription.At {
	return subscription.At{Place: subscription.Place{Stream: q.to.id}, Offset: o}
}

// QuarantineRead is one record of quarantine, by its ref. NotFound also where it does not wait any more.
func (b *Broker) QuarantineRead(ctx context.Context, c *Caller, ref record.Ref) (*Quarantined, error) {
	q, err := b.knownQuarantine(c, "read", ActionDescribe)
	if err != nil {
		return nil, err
	}
	if q.to == nil || ref.Stream != QuarantineStream {
		return nil, notQuarantined(ref)
	}
	d, err := b.ReadRef(ctx, c, ref)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Trimmed) {
		return nil, notQuarantined(ref)
	}
	if err != nil {
		return nil, err
	}
	found, err := b.waiting(ctx, q, []*Delivered{d})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notQuarantined(ref)
	}
	return &found[0], nil
}

func notQuarantined(r record.Ref) error {
	return fault.New(fault.NotFound, "read", r.String(), "%s does not wait in quarantine", r)
}

// ReplayQuarantined appends a record of quarantine to its stream, as c and under its contracts as they are now, and settles it in quarantine, in one
// frame: so it happens once, however often it is asked for. mend may change the record; nil: as it came. Where it breaks a contract still, or may not be
// appended, it stays where it is and the fault says why. It takes the right to alter the subscription, to read QuarantineStream, and to write to the stream.
func (b *Broker) ReplayQuarantined(ctx context.Context, c *Caller, ref record.Ref, mend func(*record.Record)) (EventResult, error) {
	if err := b.allow(c, "replay", ActionAlter, KindSubscription, QuarantineStream); err != nil {
		return EventResult{}, err
	}
	x, err := b.QuarantineRead(ctx, c, ref)
	if err != nil {
		return EventResult{}, err
	}
	q, err := b.knownQuarantine(c, "replay", ActionAlter)
	if err != nil {
		return EventResult{}, err
	}
	e := EventEntry{Stream: x.Stream, Partition: x.Partition, Record: x.AsItCame(), Dated: true}
	if mend != nil {
		e.Record.Headers = slices.Clone(e.Record.Headers)
		mend(&e.Record)
	}
	back := &comingBack{q.sub.id, q.at(ref.Offset), int32(min(recordBytes(x.Record), 1<<30))}
	rs, err := b.appendEvents(ctx, c, EventsAppend{Events: []EventEntry{e}}, back)
	if err != nil {
		if f := fault.As(err); f.Kind == fault.Conflict && f.Subject == "" {
			if o, ok := f.Detail.(Outcome); ok {
				return EventResult{}, fault.New(fault.Conflict, "replay", ref.String(), "%s is not replayed: %s", ref, standing(o))
			}
		}
		return EventResult{}, err
	}
	return rs[0], nil
}

func standing(o Outcome) string {
	switch o {
	case OutcomeLost:
		return "a receiver of the subscription has it just now"
	case OutcomeAlready:
		return "somebody was faster"
	case OutcomeDone, OutcomeLate, OutcomeUnknown:
	}
	return "it does not wait any more"
}

// comesBack has the command settle what comes back.
func (x *eventsCommand) comesBack() {
	if k := x.back; k != nil {
		x.cmd.LetGo = &shard.LetGo{Sub: k.sub, Cancelled: shard.Cancelled{At: k.at, Size: k.size, There: true}}
	}
}

// DropQuarantined has records wait in quarantine no more; they go with the retention of QuarantineStream. The outcomes are those of Cancel. It takes the
// right to alter the subscription and to read QuarantineStream.
func (b *Broker) DropQuarantined(ctx context.Context, c *Caller, refs []record.Ref) ([]Outcome, error) {
	q, err := b.knownQuarantine(c, "drop", ActionAlter)
	if err != nil {
		return nil, err
	}
	if q.to == nil {
		return slices.Repeat([]Outcome{OutcomeUnknown}, len(refs)), nil
	}
	return b.Cancel(ctx, c, QuarantineStream, refs)
}

// ContractNumbers are the numbers of one contract.
type ContractNumbers struct {
	Namespace, Contract string
	ContractSeen
}

// ContractNumbers are those of the contracts that have seen something since the start, by namespace and name, up to a limit, and how many more there are.
func (b *Broker) ContractNumbers(limit int) (all []ContractNumbers, more int) {
	b.contracts.mu.RLock()
	for namespace, r := range b.contracts.all {
		r.checks.stats.Range(func(name, s any) bool {
			if _, err := r.registry.Binding(name.(string)); err == nil { // of one that was deleted nothing is told
				all = append(all, ContractNumbers{namespace, name.(string), s.(*ContractStats).seen()})
			}
			return true
		})
	}
	b.contracts.mu.RUnlock()
	slices.SortFunc(all, func(x, y ContractNumbers) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Contract, y.Contract))
	})
	more = max(0, len(all)-limit)
	return all[:len(all)-more], more
}
