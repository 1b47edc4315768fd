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
// wait, one after the other, each on a view that knows what was decided before it, and hands the token on before it is durable:
//
//	A, B wait → A has the token: decides A, B → token → one command, in the frame that is open → durable, published, folded → A, B are answered
//	C waits                                   → C has the token: decides C upon what A and B were given → likewise
//
// What depends on one that is decided and not recorded (a version of the same subject) waits until that is. When a frame fails, it fails for all that were
// decided for it, and for no others: who was decided later has ids of his own, and at most an id below them is never given. Who is decided after that
// failure became known is decided when the index knows what became of it, see contracts.go.

// registration is one that waits.
type registration struct {
	decide func(r *registry.Registry) (registry.Change, error)
	change registry.Change
	err    error
	done   chan struct{} // closed when it is recorded or refused
	taken  bool          // of those that wait: it is being decided, or is
}

type registrations struct {
	mu  sync.Mutex
	all []*registration
}

const (
	registrationsMax      = 4096    // that wait in one namespace
	registrationsTogether = 512     // in one frame
	registrationBytes     = 1 << 20 // of one frame, and one more
	registrationFlights   = 4       // commands on their way at once, in one namespace
)

// flights are the views whose registrations are being recorded. Who holds the token adds one; anybody takes one out.
type flights struct {
	mu    sync.Mutex
	all   []*registry.Registry
	ended chan struct{} // closed when one ends; nil: nobody waits for that
}

func (x *flights) now() []*registry.Registry {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.all)
}

func (x *flights) begin(view *registry.Registry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, view)
}

func (x *flights) end(view *registry.Registry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = slices.DeleteFunc(x.all, func(v *registry.Registry) bool { return v == view })
	if x.ended != nil {
		close(x.ended)
		x.ended = nil
	}
}

// fewer waits until there are at most n. Each ends in its time: the shard answers every command.
func (x *flights) fewer(n int) {
	for {
		x.mu.Lock()
		if len(x.all) <= n {
			x.mu.Unlock()
			return
		}
		if x.ended == nil {
			x.ended = make(chan struct{})
		}
		ended := x.ended
		x.mu.Unlock()
		<-ended
	}
}

// land waits until there is none.
func (x *flights) land() { x.fewer(0) }

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
	for _, r := range out {
		r.taken = true
	}
	return out
}

// waits reports whether nobody has decided a registration yet. The caller has the token, so that nobody is deciding it.
func (x *registrations) waits(r *registration) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !r.taken
}

// again puts back what could not be decided yet, before all others.
func (x *registrations) again(some []*registration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range some {
		r.taken = false
	}
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
	token := room.deciding
	for {
		select {
		case <-r.done:
			if r.err == nil && !r.change.Empty() {
				b.System(SystemEvent{Type: TypeContractChanged, Subject: subject, Caller: c, Data: contractData(c, r.change)})
			}
			return r.err
		case token <- struct{}{}:
			if !room.waiting.waits(r) {
				<-room.deciding
				token = nil // it is on its way: there is nothing to do but to wait
				continue
			}
			b.register(ctx, c, room)
		case <-ctx.Done():
			forgotten := room.waiting.forget(r)
			if !forgotten { // it is being decided, or was; it may be put back, and nobody may come who decides it
				room.deciding <- struct{}{}
				forgotten = room.waiting.forget(r)
				<-room.deciding
			}
			if forgotten {
				return fault.New(fault.Unavailable, "register", subject, "others are changing contracts; try again").From(ctx.Err())
			}
			<-r.done // it was decided: what became of it is known soon
			return r.err
		}
	}
}

// register decides and records what waits. The caller has the token, and has it no more when it returns.
func (b *Broker) register(ctx context.Context, c *Caller, room *contractRoom) {
	view, together, all := b.decideWaiting(ctx, c, room)
	if len(together) == 0 {
		return
	}
	defer room.flights.end(view)                                       // also of a panic
	err := b.recordContracts(context.WithoutCancel(ctx), c, room, all) // others wait for it too
	room.flights.end(view)                                             // before the answers: who goes on with the same subject does not meet itself
	for _, r := range together {
		r.err = err
		close(r.done)
	}
}

// decideWaiting decides for those that waited longest, and gives the token back. What it has decided is in flight.
func (b *Broker) decideWaiting(ctx context.Context, c *Caller, room *contractRoom) (view *registry.Registry, together []*registration, all registry.Change) {
	defer func() { <-room.deciding }()
	room.flights.fewer(registrationFlights - 1)
	waiting := room.waiting.take()
	if len(waiting) == 0 {
		return nil, nil, all
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
	flying := room.flights.now() // before it is asked: what fails after that is among them
	if err := b.makeSure(context.WithoutCancel(ctx), c, room); err != nil {
		whole = true
		for _, r := range waiting {
			r.err = err
			close(r.done)
		}
		return nil, nil, all
	}
	view = room.registry.Stage(flying...)
	bytes := 0
	var later []*registration
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
	if len(together) > 0 {
		room.flights.begin(view)
	} else if len(later) > 0 {
		room.flights.land() // they wait for what is on its way
	}
	return view, together, all
}
