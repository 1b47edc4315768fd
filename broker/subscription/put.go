package subscription

import (
	"encoding/binary"
	"slices"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/broker/record"
)

// Put makes a subscription, or changes the policy of one. id 0 makes one. What a policy no longer allows ends with the next step, not at
// once: a member that is one too many keeps what it has. class says what it looks for; another one counts from now on, and records
// from before are shown to it as they matched then.
func (h *Head) Put(id ID, p Policy, class ClassID, f *fact.Frame) (ID, *fault.Error) {
	if err := p.Check(); err != nil {
		return 0, err
	}
	old := h.Subs[id]
	switch {
	case h.Format < fact.Format3:
		return 0, fault.New(fault.Unsupported, "subscribe", "", "the data directory has format %d and this needs %d; run `leat upgrade --finalize`", h.Format, fact.Format3)
	case id != 0 && old == nil:
		return 0, noSub("subscribe")
	case old != nil && (old.Policy.Kind != p.Kind || old.Policy.Volatile != p.Volatile || old.Policy.Order != p.Order || old.Policy.Priorities != p.Priorities):
		return 0, fault.New(fault.Conflict, "subscribe", "", "kind, order, priorities and durability of a subscription stay as they were made")
	case old == nil && len(h.Subs) >= SubscriptionsMax:
		return 0, fault.New(fault.QuotaSpent, "subscribe", "", "there are %d subscriptions; the limit is %d", len(h.Subs), SubscriptionsMax)
	}
	if id == 0 {
		id = h.Next
	}
	f.Add(fact.SubscriptionPut, 1, func(dst []byte) []byte {
		return p.append(binary.AppendUvarint(binary.AppendUvarint(dst, uint64(id)), uint64(class)))
	})
	if d := h.desks[id]; d != nil && d.sub.Class != class {
		h.attend(d, d.sub.Class, class)
	}
	x, _ := h.evolvePut(id, p, class, nil)
	h.noteRefusing(x)
	if h.needsDesk(x) || h.desks[id] != nil {
		h.settleDown(h.desk(x))
	}
	return id, nil
}

func noSub(op string) *fault.Error {
	return fault.New(fault.NotFound, op, "", "the subscription was deleted")
}

// Start is where a subscription begins with a partition.
type Start struct {
	Place
	All  bool          // every record; otherwise what routes say
	From record.Offset // the first it wants; at most End
	End  record.Offset // of the partition now, that is: of the head that decides

	// Stable is up to where records may be handed over, where that is not the end, and Unstable the frame from which on they may not; 0: all may.
	Stable   record.Offset
	Unstable uint64
}

// Begin starts sources that a subscription does not have yet: all that it was made with, and later partitions and streams. From here on
// arrivals count; what lies between From and End is counted by whoever looks, and told by Counted.
func (h *Head) Begin(id ID, starts []Start, f *fact.Frame) *fault.Error {
	x := h.Subs[id]
	if x == nil {
		return noSub("subscribe")
	}
	if len(x.Sources)+len(starts) > SourcesMax {
		return fault.New(fault.QuotaSpent, "subscribe", "", "a subscription reads at most %d partitions", SourcesMax)
	}
	for _, s := range starts {
		if s.From < 0 || s.From > s.End {
			return fault.New(fault.Invalid, "subscribe", "from", "offset %d is outside partition %d, which ends at %d", s.From, s.Partition, s.End)
		}
		if x.source(s.Place) != nil {
			return fault.New(fault.Exists, "subscribe", "", "the subscription reads partition %d already", s.Partition)
		}
	}
	for _, s := range starts {
		h.start(x, s, f)
	}
	h.noteReads(x)
	if d := h.desks[id]; d != nil {
		h.sitDown(d)
		h.settleDown(d)
	}
	return nil
}

func (h *Head) start(x *Sub, s Start, f *fact.Frame) {
	v := started{sub: x.ID, at: s.Place, all: s.All, start: s.From, since: s.End}
	if a := h.Arrivals[s.Place]; a != nil {
		v.since = max(v.since, a.End)
	}
	v.known = s.From == v.since || x.Policy.Kind == Cursor
	if src := x.source(s.Place); src != nil {
		v.turn = src.Turn + 1
	}
	f.Add(fact.SourceStarted, 1, v.append)
	h.evolveStarted(&v, nil)
	if x.Policy.Kind == Delivery {
		e := end{seq: h.openSeq, at: s.Place, end: v.since, stable: v.since, sub: x.ID}
		if s.Unstable != 0 && s.Stable < v.since {
			e.stable, e.unstable = s.Stable, s.Unstable
		}
		h.ends = append(h.ends, e)
	}
}

// Counted tells how many records there were between where a source began and where its arrivals began to count. Without it they are counted
// when the subscription has caught up.
func (h *Head) Counted(id ID, at Place, n Amount, f *fact.Frame) {
	x := h.Subs[id]
	if x == nil || x.source(at) == nil || x.source(at).Known {
		return
	}
	d := h.desks[id]
	if d != nil && d.source(at).counted {
		return
	}
	h.count(x.source(at), n, f)
	if d != nil {
		d.source(at).backlog.add(n)
		h.settleDown(d)
	}
}

func (h *Head) count(src *Source, n Amount, f *fact.Frame) {
	f.Add(fact.Counted, 1, func(dst []byte) []byte {
		return binary.AppendVarint(binary.AppendVarint(appendSubPlace(dst, src.Sub, src.Place), n.Count), n.Bytes)
	})
	src.evolveCounted(n)
}

// unreads notes that a subscription reads a stream no more, if it does not.
func (h *Head) unreads(x *Sub, id record.StreamID) {
	if !slices.ContainsFunc(x.Sources, func(src *Source) bool { return src.Stream == id }) {
		h.noReader(x.ID, id)
	}
}

func (h *Head) noReader(id ID, stream record.StreamID) {
	ids := h.readers[stream]
	if i, there := slices.BinarySearch(ids, id); there {
		h.readers[stream] = slices.Delete(ids, i, i+1)
	}
	if len(h.readers[stream]) == 0 {
		delete(h.readers, stream)
	}
}

// Delete ends a subscription. Members are gone, and with them what they have.
func (h *Head) Delete(id ID, f *fact.Frame) {
	x := h.Subs[id]
	if x == nil {
		return
	}
	f.Add(fact.SubscriptionDeleted, 1, func(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(id)) })
	if d := h.desks[id]; d != nil {
		h.clear(d)
		h.close(d)
	}
	h.evolveDeleted(id)
	for _, src := range x.Sources {
		h.noReader(id, src.Stream)
	}
	delete(h.refusing, id)
	for _, src := range x.Sources {
		if h.Arrivals[src.Place] == nil {
			delete(h.visible, src.Place)
			delete(h.unstable, src.Place)
		}
	}
}
