package broker

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
)

// SystemStream is the stream of the default namespace in which the platform tells of its own changes. Nobody else may write to it, or make
// or delete a stream whose name begins with platformPrefix.
const SystemStream = "leat.system"

// SystemPrincipal is the name under which the platform itself acts. No user can have it.
const SystemPrincipal = "leat"

const platformPrefix = "leat."

// The types of system events.
const (
	TypeStreamCreated    = "leat.stream.created"
	TypeStreamAltered    = "leat.stream.altered"
	TypeStreamDeleted    = "leat.stream.deleted"
	TypeStreamUndeleted  = "leat.stream.undeleted"
	TypeStreamPurged     = "leat.stream.purged" // a deleted stream is gone for good
	TypeStreamTruncated  = "leat.stream.truncated"
	TypeSubscriptionGap  = "leat.subscription.gap"  // events went before a subscription had them
	TypePushPaused       = "leat.push.paused"       // nothing is sent to an endpoint until somebody resumes
	TypePushResumed      = "leat.push.resumed"      //
	TypePushFailing      = "leat.push.failing"      // an endpoint is not well and left alone for a while
	TypePushRecovered    = "leat.push.recovered"    //
	TypePushRefused      = "leat.push.refused"      // it did not consent
	TypeStreamRetained   = "leat.stream.retained"   // retention removed events
	TypeStreamCompacted  = "leat.stream.compacted"  // older events of keys were removed
	TypeStreamKeysBuilt  = "leat.stream.keys-built" // a change of the key mode took effect
	TypeUserCreated      = "leat.user.created"
	TypeUserAltered      = "leat.user.altered"
	TypeUserDeleted      = "leat.user.deleted"
	TypeHookCreated      = "leat.hook.created"
	TypeHookAltered      = "leat.hook.altered"
	TypeHookDeleted      = "leat.hook.deleted"
	TypeLinkStopped      = "leat.link.stopped"  // a link copies a partition, or anything, no more
	TypeLinkSwitched     = "leat.link.switched" // what it copied stands by itself
	TypeContractChanged  = "leat.contract.changed"
	TypeContractBroken   = "leat.contract.broken"
	TypeLoginRefused     = "leat.login.refused"
	TypeArchiveFailing   = "leat.archive.failing"
	TypeArchiveRecovered = "leat.archive.recovered"
	TypeDiskLow          = "leat.disk.low"
	TypeDiskRecovered    = "leat.disk.recovered"
	TypeLagHigh          = "leat.lag.high"
	TypeLagRecovered     = "leat.lag.recovered"
	TypeJobFailed        = "leat.job.failed" // background work, once when it begins to
	TypeJobRecovered     = "leat.job.recovered"
	TypeClockJumped      = "leat.clock.jumped"
	TypeNodeStarted      = "leat.node.started"
	TypeNodeStopped      = "leat.node.stopped"
	TypeFormatFinalized  = "leat.format.finalized"
	TypeSystemDropped    = "leat.system.dropped" // events of this stream that were not written
)

// SystemEvent is something that the platform has to tell.
type SystemEvent struct {
	Type    string
	Subject string         // the name of what it is about
	Caller  *Caller        // who caused it; nil is the platform itself
	Data    map[string]any // members of the event's data beside those of the caller
}

// Limits of the system stream's writer.
const (
	systemWaitingMax   = 1024 // events waiting to be written
	systemBatchMax     = 256  // events in one append
	systemDataBytesMax = 64 << 10
	systemTryTime      = 10 * time.Second // for one append
	systemPauseMin     = 100 * time.Millisecond
	systemPauseMax     = 5 * time.Second
	systemCloseTime    = 2 * time.Second // for what waits at the end
	systemTick         = 5 * time.Second // how often summaries, the disk and background work are looked at
)

// system writes events of the platform, in their order, through the append path that everything else takes.
type system struct {
	on      bool // set before the shards are opened, whose background may have something to tell at once
	writes  bool // the writer was started
	waiting chan EventEntry
	dropped atomic.Int64 // since the start
	told    int64        // of them, how many the stream knows of; of the writer
	boot    string       // makes ids unique over starts
	made    atomic.Uint64
	logins  refusedLogins
	stop    chan struct{}
	done    chan struct{}
}

// initSystem has events taken from now on. They wait for the writer.
func (b *Broker) initSystem() {
	s := &b.system
	s.on, s.waiting = true, make(chan EventEntry, systemWaitingMax)
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	s.boot = strconv.FormatInt(b.opt.Clock.Now().UnixNano(), 36)
}

// openSystem starts the writer and makes the stream when it is not there. A disk that takes nothing now is no reason not to start: the
// writer makes the stream with its first event.
func (b *Broker) openSystem() {
	if b.names.get(DefaultNamespace, SystemStream) == nil {
		ctx, cancel := context.WithTimeout(context.Background(), systemTryTime)
		err := b.create(ctx, b.platform(), SystemStream, systemConfig())
		cancel()
		if err != nil {
			b.opt.Log.Warn("the system stream could not be made; it will be tried again", "error", err)
		}
	}
	b.system.writes = true
	go b.writeSystem()
}

func systemConfig() StreamConfig { return StreamConfig{Partitions: 1, Keys: KeysHistory} }

// closeSystem writes what waits, for a limited time. No event is taken afterwards.
func (b *Broker) closeSystem() {
	if b.system.writes {
		close(b.system.stop)
		<-b.system.done
	}
}

// platform is the caller for what the platform does by itself.
func (b *Broker) platform() *Caller { return platformIn(DefaultNamespace) }

func platformIn(namespace string) *Caller {
	return &Caller{Principal: SystemPrincipal, Namespace: namespace, Protocol: SystemPrincipal, platform: true}
}

// System has an event written to the system stream. It returns at once and never fails what it tells of: when more than systemWaitingMax
// wait, the event is dropped and counted, and the count is told in the stream. Without Options.System it does nothing.
func (b *Broker) System(e SystemEvent) {
	if b.system.on {
		b.hold(b.systemEntry(&e))
	}
}

func (b *Broker) hold(e EventEntry) {
	select {
	case b.system.waiting <- e:
	default:
		b.system.dropped.Add(1)
	}
}

// SystemDropped counts the system events that were not written since the start.
func (b *Broker) SystemDropped() int64 { return b.system.dropped.Load() }

// systemEntry makes the event of what happened now.
func (b *Broker) systemEntry(e *SystemEvent) EventEntry {
	c := e.Caller
	if c == nil {
		c = b.platform()
	}
	now := b.opt.Clock.Now()
	ev := record.Event{
		ID: b.system.boot + "-" + strconv.FormatUint(b.system.made.Add(1), 36), Source: "/node/" + strconv.Itoa(int(b.opt.Node)), Type: e.Type,
		Subject: attributeText(e.Subject), Time: now.UTC().Format("2006-01-02T15:04:05.000Z07:00"), DataContentType: "application/json", Data: systemData(c, e.Data),
	}
	return EventEntry{Stream: SystemStream, Partition: 0, Record: record.EventToRecord(&ev, now.UnixMilli()), Source: ev.Source, ID: ev.ID}
}

// systemData is the data of an event: who, through what, and what more there is to say.
func systemData(c *Caller, more map[string]any) []byte {
	data := make(map[string]any, len(more)+7)
	maps.Copy(data, more)
	for name, v := range map[string]string{
		"principal": c.Principal, "namespace": c.namespace(), "gateway": c.Protocol, "listener": c.Listener, "client": c.Client, "address": c.Address,
	} {
		if _, given := data[name]; v != "" && !given {
			data[name] = clip(v)
		}
	}
	p, err := json.Marshal(data)
	if err != nil || len(p) > systemDataBytesMax {
		p, _ = json.Marshal(map[string]any{"principal": clip(c.Principal), "namespace": clip(c.namespace()), "left_out": len(p)}) // of text and a number
	}
	return p
}

// attributeText makes of any text one that can be the value of an attribute.
func attributeText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0, r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(clip(s), "\ufffd"))
}

// writeSystem is the one goroutine that writes: order of waiting is order in the stream.
func (b *Broker) writeSystem() {
	s := &b.system
	defer close(s.done)
	tick := clock.NewTicker(systemTick)
	defer tick.Stop()
	for {
		select {
		case e := <-s.waiting:
			b.appendSystem(b.gather(e), nil)
		case <-tick.C:
			b.tellRefusedLogins(false)
			b.lookAround()
		case <-s.stop:
			b.finishSystem()
			return
		}
	}
}

// finishSystem writes what waits when the broker closes. What waits already is written first: beside it there may be no place for the logins.
func (b *Broker) finishSystem() {
	deadline := clock.After(systemCloseTime)
	if b.emptySystem(deadline) {
		b.tellRefusedLogins(true)
		b.emptySystem(deadline)
	}
}

// emptySystem writes all that waits, and says whether it could.
func (b *Broker) emptySystem(deadline <-chan time.Time) bool {
	for {
		select {
		case e := <-b.system.waiting:
			if !b.appendSystem(b.gather(e), deadline) {
				return false
			}
		default:
			return true
		}
	}
}

// gather takes what else waits, and first of all tells of what was dropped.
func (b *Broker) gather(first EventEntry) []EventEntry {
	s := &b.system
	most := min(systemBatchMax, b.cfg.RequestEventsMax)
	out := append(make([]EventEntry, 0, 8), first)
	for len(out) < most {
		select {
		case e := <-s.waiting:
			out = append(out, e)
			continue
		default:
		}
		break
	}
	if n := s.dropped.Load(); n > s.told && len(out) < most {
		out = append(out, b.systemEntry(&SystemEvent{Type: TypeSystemDropped, Subject: SystemStream, Data: map[string]any{"count": n - s.told}}))
		s.told = n
	}
	return out
}

// appendSystem appends events, trying again with growing pauses while that may help: each has an id, so one whose answer was lost is
// not written twice. It gives up when the broker closes and deadline, nil for the usual, has passed.
func (b *Broker) appendSystem(events []EventEntry, deadline <-chan time.Time) bool {
	s, pause := &b.system, systemPauseMin
	stop := (<-chan struct{})(s.stop)
	if deadline != nil {
		stop = nil
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), systemTryTime)
		_, err := b.AppendEvents(ctx, b.platform(), EventsAppend{Events: events, AutoCreate: true, Defaults: systemConfig()})
		cancel()
		if err == nil {
			return true
		}
		if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Unknown) && !fault.Is(err, fault.QuotaSpent) && !fault.Is(err, fault.Conflict) {
			s.dropped.Add(int64(len(events)))
			b.opt.Log.Error("system events could not be written", "events", len(events), "error", err)
			return true
		}
		select {
		case <-clock.After(pause):
			pause = min(2*pause, systemPauseMax)
		case <-stop: // one more time, with the deadline of the end
			stop, deadline = nil, clock.After(systemCloseTime)
		case <-deadline:
			s.dropped.Add(int64(len(events)))
			b.opt.Log.Warn("system events were not written before the node stopped", "events", len(events), "error", err)
			return false
		}
	}
}
