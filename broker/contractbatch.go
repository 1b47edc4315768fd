package broker

import (
	"context"
	"errors"
	"slices"
	"sync"

	"leat/broker/fault"
	"leat/contract/registry"
)

// Registrations that wait at once are recorded together, so that many clients do not wait for one sync each. Whoever gets the token decides for all that
// wait, one after the other, each on a view that knows what was decided before it:
//
//	A, B, C wait → A has the token: decides A, B, C → one command, one frame → durable, published, folded → A, B, C are answered
//
// What depends on one that is decided and not recorded (a version of the same subject) waits for the next frame. When the frame fails, it fails for all.

// registration is one that waits.
type registration struct {
	decide func(r *registry.Registry) (registry.Change, error)
	change registry.Change
	err    error
	done   chan struct{} // closed when it is recorded or refused
}

type registrations struct {
	mu  sync.Mutex
	all []*registration
}

const (
	registrationsMax      = 4096    // that wait in one namespace
	registrationsTogether = 512     // in one frame
	registrationBytes     = 1 << 20 // of one frame, and one more
)

func (x *registrations) add(r *registration) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.all) >= registrationsMax {
		return false
	}
	x.all = append(x.all, r)
	return true
}

// take takes those that waited longest.
func (x *registrations) take() []*registration {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := min(len(x.all), registrationsTogether)
	out := slices.Clone(x.all[:n])
	x.all = slices.Delete(x.all, 0, n)
	return out
}

// again puts back what could not be decided yet, before all others.
func (x *registrations) again(some []*registration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(slices.Clone(some), x.all...)
}

// forget takes out one that nobody waits for any more; false: it is being decided.
func (x *registrations) forget(r *registration) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.Index(x.all, r)
	if i < 0 {
		return false
	}
	x.all = slices.Delete(x.all, i, i+1)
	return true
}

// RegisterContract is ChangeContracts for what only registers: decide calls Register of the registry that it gets, once, and is called again where the
// answer was registry.ErrStaged.
func (b *Broker) RegisterContract(ctx context.Context, c *Caller, subject string, decide func(r *registry.Registry) (registry.Change, error)) error {
	if err := b.MayContract(c, ActionCreate, subject); err != nil {
		return err
	}
	room := b.contracts.room(c.namespace())
	r := &registration{decide: decide, done: make(chan struct{})}
	if !room.waiting.add(r) {
		return fault.New(fault.Unavailable, "register", subject, "%d schemas wait to be registered; try again", registrationsMax)
	}
	for {
		select {
		case <-r.done:
			if r.err == nil && !r.change.Empty() {
				b.System(SystemEvent{Type: TypeContractChanged, Subject: subject, Caller: c, Data: contractData(c, r.change)})
			}
			return r.err
		case room.deciding <- struct{}{}:
			func() {
				defer func() { <-room.deciding }()
				b.register(ctx, c, room)
			}()
		case <-ctx.Done():
			if room.waiting.forget(r) {
				return fault.New(fault.Unavailable, "register", subject, "others are changing contracts; try again").From(ctx.Err())
			}
			<-r.done // it has been decided: what became of it is known soon
			return r.err
		}
	}
}

// register decides and records what waits. The caller has the token.
func (b *Broker) register(ctx context.Context, c *Caller, room *contractRoom) {
	waiting := room.waiting.take()
	if len(waiting) == 0 {
		return
	}
	whole := false
	defer func() { // of a panic, which ends one connection, the others shall hear
		for _, r := range waiting {
			if whole {
				break
			}
			select {
			case <-r.done:
			default:
				r.err = fault.New(fault.Internal, "register", "", "the schema could not be registered")
				close(r.done)
			}
		}
	}()
	view, all, bytes := room.registry.Stage(), registry.Change{}, 0
	var together, later []*registration
	for i, r := range waiting {
		if bytes >= registrationBytes {
			later = append(later, waiting[i:]...)
			break
		}
		if r.change, r.err = r.decide(view); errors.Is(r.err, registry.ErrStaged) {
			later = append(later, r)
			continue
		}
		if r.err != nil || r.change.Empty() {
			close(r.done)
			continue
		}
		together = append(together, r)
		all.Put, all.Delete = append(all.Put, r.change.Put...), append(all.Delete, r.change.Delete...)
		for _, d := range r.change.Put {
			bytes += len(d.Body)
		}
	}
	whole = true
	room.waiting.again(later)
	if len(together) == 0 {
		return
	}
	var err error
	for _, x := range b.contractCommands(c.namespace(), all) {
		if err = b.do(context.WithoutCancel(ctx), c, c.namespace(), x); err != nil { // others wait for it too
			break
		}
	}
	for _, r := range together {
		r.err = err
		close(r.done)
	}
}
