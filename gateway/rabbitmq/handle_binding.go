package rabbitmq

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"leat/gateway/amqp091"
	"leat/gateway/amqp091/wire"
)

// hashBytes of the arguments tell bindings with the same routing key apart, in the last part of their paths.
const hashBytes = 6

// propertiesKey is the last part of a binding's path: its routing key, and what its arguments are hashed to. "~" is neither.
func propertiesKey(key string, arguments wire.Table) string {
	quoted := strings.ReplaceAll(url.PathEscape(key), "~", "%7E")
	if len(arguments) == 0 {
		if key == "" {
			return "~"
		}
		return quoted
	}
	h := sha256.Sum256(arguments)
	return quoted + "~" + base64.RawURLEncoding.EncodeToString(h[:hashBytes])
}

func destinationKind(toExchange bool) (word, letter string) {
	if toExchange {
		return "exchange", "e"
	}
	return "queue", "q"
}

func (x *call) binding(b *amqp091.BindingInfo) object {
	word, _ := destinationKind(b.ToExchange)
	return object{
		"source": b.Source, "vhost": x.vhost, "destination": b.Destination, "destination_type": word, "routing_key": b.Key,
		"arguments": jsonOf(b.Arguments), "properties_key": propertiesKey(b.Key, b.Arguments),
	}
}

// bindings lists those that fit.
func (x *call) bindings(ctx context.Context, fits func(*amqp091.BindingInfo) bool) ([]amqp091.BindingInfo, error) {
	bs, err := x.g.amqp.Bindings(ctx, &x.caller)
	return slices.DeleteFunc(bs, func(b amqp091.BindingInfo) bool { return !fits(&b) }), err
}

func (x *call) listBindings(ctx context.Context, fits func(*amqp091.BindingInfo) bool) error {
	all := []named{}
	if err := x.each(func(x *call) error {
		bs, err := x.bindings(ctx, fits)
		for i := range bs {
			all = append(all, named{bs[i].Source, func() (object, error) { return x.binding(&bs[i]), nil }})
		}
		return err
	}); err != nil {
		return err
	}
	return x.list(all)
}

// GET bindings, bindings/{vhost}
func getBindings(ctx context.Context, x *call) error {
	return x.listBindings(ctx, func(*amqp091.BindingInfo) bool { return true })
}

// GET exchanges/{vhost}/{name}/bindings/source
func getBindingsFrom(ctx context.Context, x *call) error {
	if _, err := x.findExchange(ctx, x.vars[1]); err != nil {
		return err
	}
	return x.listBindings(ctx, func(b *amqp091.BindingInfo) bool { return b.Source == exchangeNamed(x.vars[1]) })
}

// GET exchanges/{vhost}/{name}/bindings/destination
func getBindingsToExchange(ctx context.Context, x *call) error {
	if _, err := x.findExchange(ctx, x.vars[1]); err != nil {
		return err
	}
	return x.listBindings(ctx, func(b *amqp091.BindingInfo) bool { return b.ToExchange && b.Destination == exchangeNamed(x.vars[1]) })
}

// GET queues/{vhost}/{name}/bindings
func getBindingsToQueue(ctx context.Context, x *call) error {
	if _, err := x.findQueue(ctx, x.vars[1]); err != nil {
		return err
	}
	return x.listBindings(ctx, func(b *amqp091.BindingInfo) bool { return !b.ToExchange && b.Destination == x.vars[1] })
}

// between fits the bindings of a path bindings/{vhost}/e/{source}/{kind}/{destination}.
func (x *call) between(b *amqp091.BindingInfo) bool {
	_, letter := destinationKind(b.ToExchange)
	return b.Source == exchangeNamed(x.vars[1]) && letter == x.vars[2] && b.Destination == x.vars[3]
}

// checkEnds refuses a path whose ends are not there.
func (x *call) checkEnds(ctx context.Context) error {
	if _, err := x.findExchange(ctx, x.vars[1]); err != nil {
		return err
	}
	switch x.vars[2] {
	case "q":
		_, err := x.findQueue(ctx, x.vars[3])
		return err
	case "e":
		_, err := x.findExchange(ctx, x.vars[3])
		return err
	}
	return errNotFound
}

// GET bindings/{vhost}/e/{source}/{kind}/{destination}
func getBindingsBetween(ctx context.Context, x *call) error {
	if err := x.checkEnds(ctx); err != nil {
		return err
	}
	return x.listBindings(ctx, x.between)
}

// bindingBody is what a binding is made with, here and in definitions.
type bindingBody struct {
	Source      string `json:"source"`
	Vhost       string `json:"vhost"`
	Destination string `json:"destination"`
	Kind        string `json:"destination_type"`
	RoutingKey  string `json:"routing_key"`
	Arguments   object `json:"arguments"`
}

func (b *bindingBody) method() (wire.Method, wire.Table, error) {
	t, err := tableOf(b.Arguments)
	if err != nil {
		return nil, nil, err
	}
	switch b.Kind {
	case "queue":
		return &wire.QueueBind{Queue: []byte(b.Destination), Exchange: []byte(b.Source), RoutingKey: []byte(b.RoutingKey), Arguments: t}, t, nil
	case "exchange":
		return &wire.ExchangeBind{Destination: []byte(b.Destination), Source: []byte(b.Source), RoutingKey: []byte(b.RoutingKey), Arguments: t}, t, nil
	}
	return nil, nil, badRequest("destination_type is queue or exchange")
}

// POST bindings/{vhost}/e/{source}/{kind}/{destination}
func postBinding(ctx context.Context, x *call) error {
	var b bindingBody
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	b.Source, b.Destination = exchangeNamed(x.vars[1]), x.vars[3]
	switch x.vars[2] {
	case "q":
		b.Kind = "queue"
	case "e":
		b.Kind = "exchange"
	default:
		return errNotFound
	}
	m, t, err := b.method()
	if err != nil {
		return err
	}
	if err := x.change(ctx, m); err != nil {
		return err
	}
	x.w.Header().Set("Location", url.PathEscape(b.Destination)+"/"+url.PathEscape(propertiesKey(b.RoutingKey, t)))
	return x.done(http.StatusCreated)
}

// findBinding is the one that a path names by its last part.
func (x *call) findBinding(ctx context.Context) (*amqp091.BindingInfo, error) {
	bs, err := x.bindings(ctx, func(b *amqp091.BindingInfo) bool {
		key := propertiesKey(b.Key, b.Arguments)
		plain, _ := url.PathUnescape(key)
		return x.between(b) && (key == x.vars[4] || plain == x.vars[4]) // tools escape it once or twice
	})
	if err != nil {
		return nil, err
	}
	if len(bs) == 0 {
		return nil, errNotFound
	}
	return &bs[0], nil
}

// GET bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}
func getBinding(ctx context.Context, x *call) error {
	b, err := x.findBinding(ctx)
	if err != nil {
		return err
	}
	return x.item(x.binding(b))
}

// DELETE bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}
func deleteBinding(ctx context.Context, x *call) error {
	b, err := x.findBinding(ctx)
	if err != nil {
		return err
	}
	var m wire.Method = &wire.QueueUnbind{Queue: []byte(b.Destination), Exchange: []byte(b.Source), RoutingKey: []byte(b.Key), Arguments: b.Arguments}
	if b.ToExchange {
		m = &wire.ExchangeUnbind{Destination: []byte(b.Destination), Source: []byte(b.Source), RoutingKey: []byte(b.Key), Arguments: b.Arguments}
	}
	if err := x.change(ctx, m); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}
