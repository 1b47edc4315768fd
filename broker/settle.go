package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// SettleMax is how many handles one call takes.
const SettleMax = 10_000

// ByPolicy as a delay is the subscription's backoff.
const ByPolicy time.Duration = -1

// Ack settles deliveries: they are never handed over again once it has returned. It answers for each handle. An ack that comes late
// counts as long as nobody else may have begun with what follows in an order.
func (b *Broker) Ack(ctx context.Context, c *Caller, hs []Handle) ([]Outcome, error) {
	return b.settleFor(ctx, c, "ack", shard.Settle{Verb: shard.SettleAck}, hs)
}

// Release gives deliveries back, to be handed over again after a while; counts: as an attempt that failed.
func (b *Broker) Release(ctx context.Context, c *Caller, hs []Handle, after time.Duration, counts bool) ([]Outcome, error) {
	ms := after.Milliseconds()
	if after == ByPolicy {
		ms = subscription.ByPolicy
	}
	return b.settleFor(ctx, c, "release", shard.Settle{Verb: shard.SettleRelease, AfterMS: ms, Counts: counts}, hs)
}

// Reject makes dead letters of deliveries, or drops them where the subscription keeps none.
func (b *Broker) Reject(ctx context.Context, c *Caller, hs []Handle) ([]Outcome, error) {
	return b.settleFor(ctx, c, "reject", shard.Settle{Verb: shard.SettleReject}, hs)
}

// Renew has leases end so long from now.
func (b *Broker) Renew(ctx context.Context, c *Caller, hs []Handle, lease time.Duration) ([]Outcome, error) {
	return b.settleFor(ctx, c, "renew", shard.Settle{Verb: shard.SettleRenew, AfterMS: lease.Milliseconds()}, hs)
}

// Postpone has deliveries handed over again so long from now at the earliest, whoever has them by then: their leases end then. Without an order a
// handle whose lease has run out does it too, and the outcome is OutcomeLate.
func (b *Broker) Postpone(ctx context.Context, c *Caller, hs []Handle, after time.Duration) ([]Outcome, error) {
	return b.settleFor(ctx, c, "postpone", shard.Settle{Verb: shard.SettlePostpone, AfterMS: after.Milliseconds()}, hs)
}

func (b *Broker) settleFor(ctx context.Context, c *Caller, op string, s shard.Settle, hs []Handle) ([]Outcome, error) {
	if err := b.mayServe(c, op, hs); err != nil {
		return nil, err
	}
	what := shadowRelease
	switch {
	case s.Verb == shard.SettleAck:
		what = shadowAck
	case s.Verb == shard.SettleReject:
		what = shadowReject
	case s.Verb == shard.SettleRenew:
		what = shadowRenew
	case !s.Counts:
		what = shadowBack
	}
	return b.settleAside(hs, what, b.nowMS()+s.AfterMS, func(hs []Handle) ([]Outcome, error) { return b.settle(ctx, s, hs) })
}

// mayServe refuses handles that c must not use: of another namespace, or of a subscription it may not read.
func (b *Broker) mayServe(c *Caller, op string, hs []Handle) error {
	if len(hs) > SettleMax {
		return fault.New(fault.TooLarge, op, "", "%d handles at once; the limit is %d", len(hs), SettleMax)
	}
	var last subKey // numbers are those of a shard
	for i := range hs {
		k := subKey{hs[i].shard, hs[i].h.Sub}
		if k == last {
			continue
		}
		last = k
		x := b.subs.of(k.shard, k.id)
		if x == nil {
			continue // deleted: the outcome says so
		}
		if x.namespace != c.namespace() {
			return fault.New(fault.Denied, op, "handle", "the handle is of another namespace")
		}
		if err := b.allow(c, op, ActionRead, KindSubscription, x.name); err != nil {
			return err
		}
	}
	return nil
}

// settle has handles of one shard settled.
func (b *Broker) settle(ctx context.Context, s shard.Settle, hs []Handle) ([]Outcome, error) {
	if len(hs) == 0 {
		return nil, nil
	}
	s.Handles = handlesOf(hs)
	if s.Handles == nil {
		return nil, fault.New(fault.Invalid, "ack", "handle", "the handles are of different namespaces")
	}
	if _, err := b.shards[hs[0].shard].Do(ctx, &s); err != nil {
		return nil, err
	}
	if s.Verb == shard.SettleAck || s.Verb == shard.SettleReject {
		now := b.nowMS()
		for i := range s.Handles {
			if o := s.Outcomes[i]; o == OutcomeDone || o == OutcomeLate {
				b.subs.recent.settle(hs[0].shard, &s.Handles[i], now)
			}
		}
	}
	return s.Outcomes, nil
}

// handlesOf returns handles of one shard, nil when they are not.
func handlesOf(hs []Handle) []subscription.Handle {
	out := make([]subscription.Handle, len(hs))
	for i := range hs {
		if hs[i].shard != hs[0].shard {
			return nil
		}
		out[i] = hs[i].h
	}
	return out
}

// HandleText makes text of a handle that nobody can make up.
func (b *Broker) HandleText(h Handle) (string, error) {
	s, err := b.sealer()
	if err != nil {
		return "", err
	}
	var stack [subscription.SealedBytesMax]byte
	return base64.RawURLEncoding.EncodeToString(s.Seal(stack[:0], &h.h)), nil
}

// ParseHandle reads the text of a handle that was received by somebody of c's namespace.
func (b *Broker) ParseHandle(c *Caller, text string) (Handle, error) {
	s, err := b.sealer()
	if err != nil {
		return Handle{}, err
	}
	p, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > 2*subscription.SealedBytesMax {
		p = nil
	}
	h, err := s.Open(p)
	return Handle{b.shardOf(c.namespace()), h}, err
}

// SubscriptionOf is the name of the subscription whose deliveries a handle settles; "" when it was deleted, or is of another namespace than c's.
func (b *Broker) SubscriptionOf(c *Caller, h Handle) string {
	if x := b.subs.of(h.shard, h.h.Sub); x != nil && x.namespace == c.namespace() {
		return x.name
	}
	return ""
}

// sealName is the secret that seals handles: made once, so that handles outlive a restart.
const sealName = "handles"

func (b *Broker) sealer() (*subscription.Sealer, error) {
	if s := b.subs.sealer.Load(); s != nil {
		return s, nil
	}
	b.subs.sealMu.Lock()
	defer b.subs.sealMu.Unlock()
	if s := b.subs.sealer.Load(); s != nil {
		return s, nil
	}
	key, err := b.OwnSecret(sealName, newSeal)
	if err != nil {
		return nil, err
	}
	s := subscription.NewSealer(key)
	b.subs.sealer.Store(s)
	return s, nil
}

// newSeal makes the key that seals handles.
func newSeal() ([]byte, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return key, err
}
