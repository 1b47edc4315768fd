package amqp091

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

// exchange.declare: an exchange is a stream of its name. A stream that others made is a durable topic exchange.
func (k *conn) declareExchange(ctx context.Context, ch *channel, m *wire.ExchangeDeclare) error {
	name, kind := string(m.Exchange), string(m.Type)
	refuse := func(code wire.ReplyCode, format string, args ...any) error {
		return &wire.Error{Code: code, Method: m.ID(), Text: fmt.Sprintf(format, args...)}
	}
	if name == "" {
		return refuse(wire.AccessRefused, "operation not permitted on the default exchange")
	}
	if !m.Passive && !k.may(broker.ActionCreate, broker.KindStream, streamOf(name)) {
		return k.refusedTo("exchange", name, m.ID())
	}
	if m.Passive {
		if k.g.exchangeOf(k.namespace(), name) == nil {
			return k.noExchange(name, m.ID())
		}
		return k.unless(m.NoWait, ch, &wire.ExchangeDeclareOK{})
	}
	switch kind {
	case typeDirect, typeTopic, typeFanout, typeHeaders, typeDelayed:
	default:
		return refuse(wire.CommandInvalid, "unknown exchange type '%s'", kind)
	}
	k.g.topology.Lock()
	defer k.g.topology.Unlock()
	x := k.g.exchangeOf(k.namespace(), name)
	if x == nil && strings.HasPrefix(name, "amq.") {
		return refuse(wire.AccessRefused, "exchange name '%s' contains reserved prefix 'amq.*'", name)
	}
	if v, ok := m.Arguments.Get(argumentAlternate); ok && v.Kind() != wire.KindString {
		return refuse(wire.PreconditionFailed, "invalid type '%s' for arg '%s' in exchange '%s' in vhost '%s'", typeNames[v.Kind()], argumentAlternate, name, k.vhost())
	}
	if v, ok := m.Arguments.Get(argumentAlternate); ok && x == nil {
		alternate, _ := v.Text()
		if !k.may(broker.ActionRead, broker.KindStream, streamOf(name)) {
			return k.refusedTo("exchange", name, m.ID())
		}
		if !k.may(broker.ActionWrite, broker.KindStream, streamOf(string(alternate))) {
			return k.refusedTo("exchange", string(alternate), m.ID())
		}
	}
	asked := exchange{
		Type: kind, Durable: m.Durable, AutoDelete: m.AutoDelete, Internal: m.Internal,
		Arguments: told(m.Arguments), Table: append(wire.Table(nil), m.Arguments...),
	}
	if kind == typeDelayed && asked.routing() == "" {
		return refuse(wire.PreconditionFailed, "Invalid argument, '%s' must be an existing exchange type", argumentDelayed)
	}
	if !utf8.ValidString(name) {
		return refuse(wire.PreconditionFailed, "the name of an exchange is UTF-8")
	}
	if x == nil {
		if err := k.makeExchange(ctx, name, &asked); err != nil {
			return k.denied(err, "exchange", name, m.ID())
		}
	} else if what := x.differs(&asked); what != "" {
		arg, how, _ := strings.Cut(what, ": ")
		return refuse(wire.PreconditionFailed, "inequivalent arg '%s' for exchange '%s' in vhost '%s': %s", arg, name, k.vhost(), how)
	}
	return k.unless(m.NoWait, ch, &wire.ExchangeDeclareOK{})
}

// makeExchange makes the stream of an exchange, or an exchange of a stream again that has been one.
func (k *conn) makeExchange(ctx context.Context, name string, x *exchange) error {
	if ourName(name) != name {
		x.Name = name
	}
	_, err := k.g.b.CreateStream(ctx, k.caller, streamOf(name), newStream(x))
	if fault.Is(err, fault.Exists) {
		_, err = k.g.b.AlterStream(ctx, k.us(), streamOf(name), func(c *broker.StreamConfig) error {
			if c.Documents == nil {
				c.Documents = map[string]string{}
			}
			c.Documents[documentExchange] = document(x)
			return nil
		}, 0)
	}
	k.g.changed.Add(1)
	return err
}

// routing is the type by which an exchange finds its queues, "" when that is none.
func (x *exchange) routing() string {
	if x.Type != typeDelayed {
		return x.Type
	}
	v, _ := x.Table.Get(argumentDelayed)
	switch kind, _ := v.Text(); string(kind) {
	case typeDirect, typeTopic, typeFanout, typeHeaders:
		return string(kind)
	}
	return ""
}

// alternate is the exchange that gets what an exchange leads nowhere.
func (x *exchange) alternate() (name string, is bool) {
	v, ok := x.Table.Get(argumentAlternate)
	s, _ := v.Text()
	return string(s), ok
}

// differs says what is declared otherwise than it is: which argument, and how.
func (x *exchange) differs(asked *exchange) string {
	for _, p := range []struct {
		name    string
		is, was any
	}{{"type", asked.Type, x.Type}, {"durable", asked.Durable, x.Durable}, {"auto_delete", asked.AutoDelete, x.AutoDelete}, {"internal", asked.Internal, x.Internal}} {
		if p.is != p.was {
			return fmt.Sprintf("%s: received '%v' but current is '%v'", p.name, p.is, p.was)
		}
	}
	for _, a := range []string{argumentAlternate, argumentDelayed} {
		if how := otherwise(a, x.Table, asked.Table); how != "" {
			return a + ": " + how
		}
	}
	return ""
}

// exchange.delete. What queues have not had yet stays for them. A stream that was not declared here is deleted by those who made it.
func (k *conn) deleteExchange(ctx context.Context, ch *channel, m *wire.ExchangeDelete) error {
	name, ns := string(m.Exchange), k.namespace()
	refuse := func(code wire.ReplyCode, format string, args ...any) error {
		return &wire.Error{Code: code, Method: m.ID(), Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case name == "":
		return refuse(wire.AccessRefused, "operation not permitted on the default exchange")
	case strings.HasPrefix(name, "amq."):
		return refuse(wire.AccessRefused, "deletion of system exchange '%s' in vhost '%s' not allowed", name, k.vhost())
	}
	if !k.may(broker.ActionDelete, broker.KindStream, streamOf(name)) {
		return k.refusedTo("exchange", name, m.ID())
	}
	k.g.topology.Lock()
	defer k.g.topology.Unlock()
	x := k.g.exchangeOf(ns, name)
	_, declared := k.g.b.OwnStream(ns, streamOf(name), documentExchange)
	switch {
	case x == nil:
		return k.unless(m.NoWait, ch, &wire.ExchangeDeleteOK{})
	case !declared:
		return refuse(wire.AccessRefused, "stream '%s' was not declared as an exchange", name)
	case m.IfUnused && k.g.leaves(ns, name):
		return refuse(wire.PreconditionFailed, "exchange '%s' in vhost '%s' in use", name, k.vhost())
	}
	upstream, err := k.g.removeExchange(ctx, k.us(), ns, name)
	if err != nil {
		return refusal(err, m.ID())
	}
	k.g.tidyUp(ctx, ns, upstream)
	return k.unless(m.NoWait, ch, &wire.ExchangeDeleteOK{})
}

// exchange.bind has what comes by one exchange go through another, from now on.
func (k *conn) bindExchange(ctx context.Context, ch *channel, m *wire.ExchangeBind) error {
	b := newBinding(m.Source, m.RoutingKey, m.Arguments)
	if err := k.rebindExchange(ctx, string(m.Destination), b, true, m.ID()); err != nil {
		return err
	}
	return k.unless(m.NoWait, ch, &wire.ExchangeBindOK{})
}

// exchange.unbind takes it back.
func (k *conn) unbindExchange(ctx context.Context, ch *channel, m *wire.ExchangeUnbind) error {
	b := newBinding(m.Source, m.RoutingKey, m.Arguments)
	if err := k.rebindExchange(ctx, string(m.Destination), b, false, m.ID()); err != nil {
		return err
	}
	return k.unless(m.NoWait, ch, &wire.ExchangeUnbindOK{})
}

func newBinding(source, key []byte, t wire.Table) *binding {
	return &binding{Source: string(source), Key: string(key), Arguments: told(t), Table: append(wire.Table(nil), t...)}
}

func (k *conn) rebindExchange(ctx context.Context, destination string, b *binding, add bool, by wire.ID) error {
	ns := k.namespace()
	if destination == "" || b.Source == "" {
		return &wire.Error{Code: wire.AccessRefused, Method: by, Text: "operation not permitted on the default exchange"}
	}
	if err := k.mayBind("exchange", destination, broker.KindStream, b, by); err != nil {
		return err
	}
	k.g.topology.Lock()
	defer k.g.topology.Unlock()
	from, to := k.g.exchangeOf(ns, b.Source), k.g.exchangeOf(ns, destination)
	if from == nil || to == nil {
		switch {
		case !add:
			return nil
		case from == nil:
			return k.noExchange(b.Source, by)
		}
		return k.noExchange(destination, by)
	}
	if add {
		if err := checkBinding(from.routing(), b, by); err != nil {
			return err
		}
	}
	if err := k.g.makeStream(ctx, ns, destination, to); err != nil {
		return refusal(err, by)
	}
	there := false
	for _, c := range k.g.topologyOf(ns).bindings(destination) {
		there = there || c.same(b)
	}
	if there == add {
		return nil
	}
	set := func(add bool) error {
		if !add {
			return k.g.dropSource(ctx, k.us(), streamOf(destination), func(c binding) bool { return c.same(b) })
		}
		_, err := k.g.b.AlterStream(ctx, k.us(), streamOf(destination), func(c *broker.StreamConfig) error {
			if c.Documents == nil {
				c.Documents = map[string]string{}
			}
			c.Documents[documentBindings] = document(append(readBindings(c.Documents[documentBindings]), *b))
			return nil
		}, 0)
		return err
	}
	err := set(add)
	if err == nil {
		k.g.changed.Add(1)
		behind, none := k.g.topologyOf(ns).behind(destination), func(*binding) bool { return false }
		if err = k.g.again(ctx, ns, behind, none); err != nil && add {
			_ = set(false) // what leads to some queue is too much: as it was
			_ = k.g.again(ctx, ns, behind, none)
		}
	}
	if err != nil {
		return refusal(err, by)
	}
	if !add {
		k.g.tidyUp(ctx, ns, []string{b.Source})
	}
	return nil
}

// mayBind asks for the rights to both ends, and for text that can be kept.
func (k *conn) mayBind(kind, destination string, of broker.Kind, b *binding, by wire.ID) error {
	switch {
	case !k.may(broker.ActionAlter, of, ourName(destination)):
		return k.refusedTo(kind, destination, by)
	case !k.may(broker.ActionRead, broker.KindStream, streamOf(b.Source)):
		return k.refusedTo("exchange", b.Source, by)
	case !utf8.ValidString(b.Key) || !utf8.ValidString(b.Source) || !utf8.ValidString(destination):
		return &wire.Error{Code: wire.PreconditionFailed, Method: by, Text: "names and keys of bindings are UTF-8"}
	}
	return nil
}

func (k *conn) may(a broker.Action, kind broker.Kind, name string) bool {
	return k.g.b.Allowed(k.caller, a, kind, name)
}
