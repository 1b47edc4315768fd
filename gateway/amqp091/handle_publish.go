package amqp091

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// publisher gathers what is published into batches and hands them in; the confirmer waits for them.
//
//	frames of one read → batches, another one where the stream changes   → handed in together → queue → durable → confirmed
//	                     runs: channel, numbers, which batch
//
// A queue that several exchanges feed gets messages as they were published, so a batch ends where the next message is for another stream.
//
// A message is copied once, from where it was read into its batch. Batches are handed in and confirmed in the order of their messages, so
// what is confirmed of a channel has no gaps, and neighbours are confirmed in one method.
type publisher struct {
	targets map[string]*target // by exchange
	entries []broker.BatchEntry
	open    *target // that has the last entry's draft
	bytes   int     // of the others
	runs    []run
	rec     record.Record // scratch
	headers []record.Header
	now     time.Time // when the first message came

	held     int // bytes of the node's memory that are taken for what is being read
	holding  []func()
	releases []func() // the same for drafts

	lane    broker.Lane
	queue   chan *request // to the confirmer; nil: there is none yet
	pending sync.WaitGroup
	ended   sync.WaitGroup
	closed  bool
}

// target is what an exchange of one connection leads to.
type target struct {
	exchange   string
	stream     string
	partitions int32
	spread     uint32
	looked     time.Time
	lead       *lead
	draft      record.Draft
	entry      int32
}

// run is messages of one channel in a row, in the same batch.
type run struct {
	ch    *channel
	entry int32  // which batch, -1: none was stored
	first uint64 // number of the first one's confirmation, 0: they want none
	count uint64
}

// request is what was handed in at once.
type request struct {
	pending  *broker.PendingBatches
	entries  []broker.BatchEntry
	runs     []run
	begun    time.Time
	releases []func()
}

// Limits of what is gathered.
const (
	requestBytesMax  = 256 << 10 // handed in at once, but for a larger message
	requestsMax      = 64        // handed in by a connection and not confirmed
	entriesMax       = 1024      // batches handed in at once
	targetsMax       = 1024      // exchanges that a connection remembers
	targetAge        = time.Second
	reserveBytesStep = 64 << 10
)

// publish gathers a message.
func (k *conn) publish(ctx context.Context, ch *channel, m *session.Content) error {
	p := &k.pub
	ch.sent.Add(1)
	if p.now.IsZero() {
		p.now = clock.Now()
	}
	if token, is := bytes.CutPrefix(m.RoutingKey, []byte(replyPrefix)); is && len(m.Exchange) == 0 {
		return k.publishReply(ch, string(token), m)
	}
	t, err := k.target(ctx, m.Exchange)
	if err != nil {
		return err
	}
	if err := k.mayPublish(m); err != nil {
		return err
	}
	if err := k.requests(ch, m); err != nil {
		return err
	}
	if ch.tx != nil {
		return k.publishLater(ctx, ch, m)
	}
	keys, err := furtherKeys(m)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		return k.publishMany(ctx, ch, t, m, keys)
	}
	r := &p.rec
	*r = record.Record{Headers: p.headers[:0]}
	if t, err = k.recordFor(ctx, t, m, p.now, r); err != nil {
		return err
	}
	p.headers = r.Headers
	if m.Mandatory {
		if err := k.mandatory(ch, t, m, r); err != nil {
			return err
		}
	}
	return k.store(ctx, ch, t, r, ch.nextNumber())
}

// recordFor makes r the record of a message, and finds the target that it goes to in the end.
func (k *conn) recordFor(ctx context.Context, t *target, m *session.Content, now time.Time, r *record.Record) (*target, error) {
	recordOf(r, m)
	r.Timestamp = now.UnixMilli()
	if m.Properties.Flags&(wire.HasExpiration|wire.HasPriority) != 0 {
		if err := limit(r, m, now); err != nil {
			return nil, err
		}
	}
	if t.lead.special() {
		return k.divert(ctx, t, r, m)
	}
	return t, nil
}

// store adds a record to the batch of its target.
func (k *conn) store(ctx context.Context, ch *channel, t *target, r *record.Record, number uint64) error {
	p := &k.pub
	size := len(r.Value) + recordOverhead
	for i := range r.Headers {
		size += len(r.Headers[i].Value)
	}
	if p.open != nil && p.bytes+p.open.draft.Bytes()+size > requestBytesMax || len(p.entries) >= entriesMax {
		if err := k.submit(ctx); err != nil {
			return err
		}
		p.now = clock.Now()
	}
	if p.open != t {
		if err := k.begin(ctx, t, size); err != nil {
			return err
		}
	}
	t.draft.Add(r)
	p.note(ch, t.entry, number)
	return nil
}

// publishReply hands a reply to who waits for it. It is confirmed like a message that was stored.
func (k *conn) publishReply(ch *channel, token string, m *session.Content) error {
	if !k.reply(token, m) && m.Mandatory {
		if err := k.giveBackMessage(ch, m); err != nil {
			return err
		}
	}
	k.pub.note(ch, -1, ch.nextNumber())
	return nil
}

// recordOverhead is about what a record takes beside body, key and properties.
const recordOverhead = 64

// begin begins a batch. For the first one there is room for all that has been read and not looked at: probably it will be of it. Where it is of
// many, they grow, and what the first one took of the node's memory stands for them.
func (k *conn) begin(ctx context.Context, t *target, size int) error {
	p := &k.pub
	p.end()
	room := size + recordOverhead
	if len(p.entries) == 0 {
		room = min(size+k.in.left(), max(requestBytesMax, size)) + recordOverhead
		release, err := k.reserve(ctx, room)
		if err != nil {
			return err
		}
		p.releases = append(p.releases, release)
	}
	t.draft.Room(room)
	var partition record.PartitionID
	if t.partitions > 1 { // messages have no keys
		t.spread++
		partition = record.PartitionID(t.spread % uint32(t.partitions))
	}
	t.entry = int32(len(p.entries))
	p.entries = append(p.entries, broker.BatchEntry{Stream: t.stream, Partition: partition})
	p.open = t
	return nil
}

// end ends the open batch.
func (p *publisher) end() {
	if t := p.open; t != nil {
		b := t.draft.Finish()
		p.entries[t.entry].Batch = b
		p.open, p.bytes = nil, p.bytes+len(b)
	}
}

// note adds a message to the runs.
func (p *publisher) note(ch *channel, entry int32, number uint64) {
	if n := len(p.runs); n > 0 && p.runs[n-1].ch == ch && p.runs[n-1].entry == entry && (p.runs[n-1].first > 0) == (number > 0) {
		p.runs[n-1].count++
		return
	}
	p.runs = append(p.runs, run{ch: ch, entry: entry, first: number, count: 1})
}

// mayPublish refuses what a message must not say of its sender.
func (k *conn) mayPublish(m *session.Content) error {
	if m.Properties.Flags&wire.HasUserID == 0 || string(m.Properties.UserID) == k.login {
		return nil
	}
	return &wire.Error{
		Code: wire.PreconditionFailed, Method: wire.IDBasicPublish,
		Text: fmt.Sprintf("user_id property set to '%s' but authenticated user was '%s'", clip(string(m.Properties.UserID)), k.login),
	}
}

// mandatory returns a message that would reach nobody. The return is written before anything confirms the message.
func (k *conn) mandatory(ch *channel, t *target, m *session.Content, r *record.Record) error {
	reached, err := k.g.b.Reaches(k.caller, t.stream, r)
	if err != nil {
		return noExchange(err, k.host, t.exchange)
	}
	if reached {
		return nil
	}
	return k.giveBackMessage(ch, m)
}

// giveBackMessage is basic.return.
func (k *conn) giveBackMessage(ch *channel, m *session.Content) error {
	back := &wire.BasicReturn{ReplyCode: wire.NoRoute, ReplyText: []byte("NO_ROUTE"), Exchange: m.Exchange, RoutingKey: m.RoutingKey}
	k.mu.Lock()
	defer k.mu.Unlock()
	ch.counts.Returned++
	body := m.Body
	if len(body) > wire.BodyBytesCopied {
		body = append([]byte(nil), body...) // it may be written when the frame is gone
	}
	if err := k.w.Content(ch.number, back, m.RawProperties, body); err != nil {
		return err
	}
	return k.flush()
}

// target finds what an exchange leads to, and refuses one that is not there or that the user must not write to. It is looked for again from
// time to time.
func (k *conn) target(ctx context.Context, exchange []byte) (*target, error) {
	p := &k.pub
	t := p.targets[string(exchange)]
	if t != nil && p.now.Sub(t.looked) < targetAge && t.lead.changed == k.g.changed.Load() {
		return t, nil
	}
	name := string(exchange)
	if !k.g.b.Allowed(k.caller, broker.ActionWrite, broker.KindStream, streamOf(name)) {
		return nil, &wire.Error{
			Code: wire.AccessRefused, Method: wire.IDBasicPublish,
			Text: fmt.Sprintf("access to exchange '%s' in vhost '%s' refused for user '%s'", clip(exchangeName(name)), k.host, k.caller.Principal),
		}
	}
	l := k.g.leadOf(k.namespace(), name)
	switch {
	case l == nil:
		return nil, k.noExchange(name, wire.IDBasicPublish)
	case l.internal:
		return nil, &wire.Error{
			Code: wire.AccessRefused, Method: wire.IDBasicPublish, Text: fmt.Sprintf("cannot publish to internal exchange '%s' in vhost '%s'", name, k.vhost()),
		}
	}
	return k.lookAt(ctx, t, name, l)
}

// lookAt notes what an exchange leads to.
func (k *conn) lookAt(ctx context.Context, t *target, name string, l *lead) (*target, error) {
	p := &k.pub
	info, err := k.exchangeStream(ctx, name)
	if err != nil {
		return nil, noExchange(err, k.host, name)
	}
	if t == nil {
		if len(p.targets) >= targetsMax || p.targets == nil {
			p.targets = map[string]*target{}
		}
		t = &target{exchange: name}
		p.targets[name] = t
	}
	t.stream, t.partitions, t.looked, t.lead = streamOf(name), info.Config.Partitions, p.now, l
	return t, nil
}

// divert gives a message what it needs to find its way, and goes on by alternates while it would reach nobody. Where none does it stays with
// the first.
func (k *conn) divert(ctx context.Context, t *target, r *record.Record, m *session.Content) (*target, error) {
	t.lead.dress(r, m.Properties.Headers)
	first := t
	for range pathMax {
		reached, err := k.g.b.Reaches(k.us(), t.stream, r)
		if err != nil || reached {
			return t, err
		}
		if !t.lead.another {
			break
		}
		name := t.lead.alternate
		l := k.g.leadOf(k.namespace(), name)
		if l == nil {
			break
		}
		next := k.pub.targets[name]
		if next == nil || next.lead.changed != l.changed {
			if next, err = k.lookAt(ctx, next, name, l); err != nil {
				return nil, err
			}
		}
		if t == first {
			r.Headers = append(r.Headers, record.Header{Key: headerExchange, Value: m.Exchange})
		}
		t = next
	}
	return first, nil
}

func noExchange(err error, host, name string) error {
	if !fault.Is(err, fault.NotFound) {
		return refusal(err, wire.IDBasicPublish)
	}
	return &wire.Error{Code: wire.NotFound, Method: wire.IDBasicPublish, Text: fmt.Sprintf("no exchange '%s' in vhost '%s'", clip(name), host)}
}

// exchangeName is how errors name the exchange without a name.
func exchangeName(name string) string {
	if name == "" {
		return "amq.default"
	}
	return name
}

// submit hands in what was gathered. It waits while too much of the connection is not durable yet.
func (k *conn) submit(ctx context.Context) error {
	p := &k.pub
	if len(p.runs) == 0 {
		p.now = time.Time{}
		return nil
	}
	if err := k.awaitDisk(ctx); err != nil {
		return err
	}
	p.end()
	r := &request{entries: p.entries, runs: p.runs, begun: p.now, releases: p.releases}
	p.entries, p.bytes, p.runs, p.releases, p.now = make([]broker.BatchEntry, 0, len(p.entries)), 0, make([]run, 0, len(p.runs)), nil, time.Time{}
	if len(r.entries) > 0 {
		r.pending = k.g.b.SubmitBatches(ctx, k.caller, broker.BatchAppend{Entries: r.entries, Reserved: r.begun, Lane: &p.lane})
	}
	if p.queue == nil {
		p.queue = make(chan *request, requestsMax)
		p.ended.Go(func() { k.confirm(context.WithoutCancel(ctx), p.queue) })
	}
	p.pending.Add(1)
	p.queue <- r // the confirmer takes from it until it is closed
	if r.pending != nil && r.pending.Throttle() > 0 {
		return clock.Sleep(ctx, min(r.pending.Throttle(), throttleMax))
	}
	return nil
}

// throttleMax is how long a client that spent its quota is not read from.
const throttleMax = 5 * time.Second

// diskPause is how long it is waited before it is looked again whether there is room on the disk.
const diskPause = 250 * time.Millisecond

// awaitDisk waits while the disk is full: nothing is read meanwhile, and nothing that was sent is lost.
func (k *conn) awaitDisk(ctx context.Context) error {
	for k.g.b.DiskFull() != nil {
		if err := k.pause(ctx, "low on disk", diskPause); err != nil {
			return err
		}
	}
	k.unblock()
	return nil
}

// hold takes memory of the node for what is being read and is not whole.
func (k *conn) hold(ctx context.Context, n int) error {
	p := &k.pub
	if n <= 0 {
		for _, release := range p.holding {
			release()
		}
		p.held, p.holding = 0, p.holding[:0]
		return nil
	}
	for p.held < n {
		step := max(n-p.held, reserveBytesStep)
		release, err := k.reserve(ctx, step)
		if err != nil {
			return err
		}
		p.held += step
		p.holding = append(p.holding, release)
	}
	return nil
}

// finish waits until what has come is done: what was published, and what was acknowledged.
func (k *conn) finish(ctx context.Context) error {
	if err := k.submit(ctx); err != nil {
		return err
	}
	k.pub.pending.Wait()
	k.acks.wait()
	return nil
}

// close ends the confirmer when it has done what was handed in.
func (p *publisher) close() {
	if p.queue != nil && !p.closed {
		p.closed = true
		close(p.queue)
	}
	p.ended.Wait()
}

// free gives memory back to the node.
func (p *publisher) free() {
	for _, release := range append(p.holding, p.releases...) {
		release()
	}
	p.holding, p.releases = nil, nil
}
