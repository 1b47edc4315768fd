package amqp091

import (
	"context"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

// exchange.declare: an exchange is a stream of its name. A stream that others made is a topic exchange.
func (k *conn) declareExchange(ctx context.Context, ch *channel, m *wire.ExchangeDeclare) error {
	name, kind := string(m.Exchange), string(m.Type)
	_, known := predeclared[name]
	if name == "" || !known && strings.HasPrefix(name, "amq.") && !m.Passive {
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "exchange name '" + clip(name) + "' is reserved"}
	}
	info, err := k.exchangeStream(ctx, name)
	switch {
	case m.Passive && err == nil:
	case m.Passive:
		return refusal(err, m.ID())
	case kind != typeDirect && kind != typeTopic && kind != typeFanout:
		return &wire.Error{Code: wire.CommandInvalid, Method: m.ID(), Text: "exchange type '" + clip(kind) + "' is not offered"}
	case m.AutoDelete || m.Internal || len(m.Arguments) > 0:
		return notImplemented(m, "an exchange that is internal, deletes itself or has arguments")
	case err == nil && typeOf(&info.Config) != kind:
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "inequivalent arg 'type' for exchange '" + clip(name) + "': it is '" + typeOf(&info.Config) + "'"}
	case fault.Is(err, fault.NotFound):
		if _, err = k.g.b.CreateStream(ctx, k.caller, name, newStream(kind)); err != nil && !fault.Is(err, fault.Exists) {
			return refusal(err, m.ID())
		}
	case err != nil:
		return refusal(err, m.ID())
	}
	return k.unless(m.NoWait, ch, &wire.ExchangeDeclareOK{})
}

// exchange.delete deletes the stream; what its queues have not had yet goes with it. Only streams that were declared here are deleted so.
func (k *conn) deleteExchange(ctx context.Context, ch *channel, m *wire.ExchangeDelete) error {
	name := string(m.Exchange)
	if _, reserved := predeclared[name]; reserved {
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "exchange '" + clip(name) + "' may not be deleted"}
	}
	info, err := k.g.b.DescribeStream(ctx, k.caller, name)
	switch {
	case err != nil:
	case info.Config.Documents[documentExchange] == "":
		return &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "stream '" + clip(name) + "' was not declared as an exchange"}
	case m.IfUnused:
		bound, err := k.bindings(ctx, name)
		if err != nil {
			return refusal(err, m.ID())
		}
		if len(bound) > 0 {
			return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: "exchange '" + clip(name) + "' in use"}
		}
		fallthrough
	default:
		err = k.g.b.DeleteStream(ctx, k.caller, name)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return refusal(err, m.ID())
	}
	return k.unless(m.NoWait, ch, &wire.ExchangeDeleteOK{})
}

// bindings are what leads from an exchange to queues.
func (k *conn) bindings(ctx context.Context, exchange string) ([]broker.AddressFilter, error) {
	all, err := k.g.b.ListSubscriptions(ctx, k.caller)
	var out []broker.AddressFilter
	for i := range all {
		for _, f := range all[i].Config.Address {
			if f.Stream == streamOf(exchange) {
				out = append(out, f)
			}
		}
	}
	return out, err
}
