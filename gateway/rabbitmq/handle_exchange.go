package rabbitmq

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"leat/gateway/amqp091"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// defaultExchange is what paths call the exchange without a name.
const defaultExchange = "amq.default"

func exchangeNamed(s string) string {
	if s == defaultExchange {
		return ""
	}
	return s
}

// GET exchanges, exchanges/{vhost}
func getExchanges(ctx context.Context, x *call) error {
	all := []named{}
	if err := x.each(func(x *call) error {
		xs, err := x.g.amqp.Exchanges(ctx, &x.caller)
		for i := range xs {
			e := &xs[i]
			all = append(all, named{e.Name, func() (object, error) { return x.exchange(ctx, e) }})
		}
		return err
	}); err != nil {
		return err
	}
	return x.list(all)
}

func (x *call) exchange(ctx context.Context, e *amqp091.ExchangeInfo) (object, error) {
	o := object{
		"name": e.Name, "vhost": x.vhost, "type": e.Type, "durable": e.Durable, "auto_delete": e.AutoDelete, "internal": e.Internal,
		"arguments": jsonOf(e.Arguments),
	}
	n, err := x.g.amqp.Published(ctx, &x.caller, e)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		per := x.g.rates.of("x "+x.caller.Namespace+" "+e.Name, clock.Now(), [countsMax]int64{countPublish: n})
		stats := object{}
		details(stats, "publish_in", n, per[countPublish])
		o["message_stats"] = stats
	}
	return o, nil
}

func (x *call) findExchange(ctx context.Context, name string) (*amqp091.ExchangeInfo, error) {
	xs, err := x.g.amqp.Exchanges(ctx, &x.caller)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(xs, func(e amqp091.ExchangeInfo) bool { return e.Name == exchangeNamed(name) })
	if at < 0 {
		return nil, errNotFound
	}
	return &xs[at], nil
}

// GET exchanges/{vhost}/{name}
func getExchange(ctx context.Context, x *call) error {
	e, err := x.findExchange(ctx, x.vars[1])
	if err != nil {
		return err
	}
	o, err := x.exchange(ctx, e)
	if err != nil {
		return err
	}
	o["incoming"], o["outgoing"] = []object{}, []object{}
	return x.item(o)
}

// exchangeBody is what an exchange is declared with, here and in definitions.
type exchangeBody struct {
	Name       string `json:"name"`
	Vhost      string `json:"vhost"`
	Type       string `json:"type"`
	Durable    *flag  `json:"durable"`
	AutoDelete *flag  `json:"auto_delete"`
	Internal   *flag  `json:"internal"`
	Arguments  object `json:"arguments"`
}

func (b *exchangeBody) method(name string) (*wire.ExchangeDeclare, error) {
	t, err := tableOf(b.Arguments)
	if err != nil {
		return nil, err
	}
	kind := b.Type
	if kind == "" {
		kind = "direct"
	}
	return &wire.ExchangeDeclare{
		Exchange: []byte(name), Type: []byte(kind), Durable: b.Durable.or(true), AutoDelete: b.AutoDelete.or(false), Internal: b.Internal.or(false), Arguments: t,
	}, nil
}

// PUT exchanges/{vhost}/{name}: 201 when it is made, 204 when it is there.
func putExchange(ctx context.Context, x *call) error {
	var b exchangeBody
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	m, err := b.method(exchangeNamed(x.vars[1]))
	if err != nil {
		return err
	}
	_, missing := x.findExchange(ctx, x.vars[1])
	if err := x.change(ctx, m); err != nil {
		return err
	}
	return x.done(made(missing != nil))
}

// DELETE exchanges/{vhost}/{name}?if-unused=true
func deleteExchange(ctx context.Context, x *call) error {
	if _, err := x.findExchange(ctx, x.vars[1]); err != nil {
		return err
	}
	if err := x.change(ctx, &wire.ExchangeDelete{Exchange: []byte(exchangeNamed(x.vars[1])), IfUnused: x.query.Get("if-unused") == "true"}); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}

// POST exchanges/{vhost}/{name}/publish
func publish(ctx context.Context, x *call) error {
	var b struct {
		Properties *object `json:"properties"`
		RoutingKey *string `json:"routing_key"`
		Payload    *string `json:"payload"`
		Encoding   *string `json:"payload_encoding"`
	}
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	var missing []string
	for _, m := range []struct {
		name  string
		there bool
	}{{"properties", b.Properties != nil}, {"routing_key", b.RoutingKey != nil}, {"payload", b.Payload != nil}, {"payload_encoding", b.Encoding != nil}} {
		if !m.there {
			missing = append(missing, "{key_missing,"+m.name+"}")
		}
	}
	if len(missing) > 0 {
		return badRequest("[" + strings.Join(missing, ",\n ") + "]")
	}
	body := []byte(*b.Payload)
	switch *b.Encoding {
	case "string":
	case encodingBase64:
		raw, err := base64.StdEncoding.DecodeString(*b.Payload)
		if err != nil {
			return badRequest("the payload is not base64")
		}
		body = raw
	default:
		return badRequest("payload_encoding is string or base64")
	}
	properties, err := propertiesFrom(*b.Properties)
	if err != nil {
		return err
	}
	a, err := x.g.open(ctx, x, x.vhost)
	if err != nil {
		return err
	}
	defer a.close()
	routed, err := a.publish(exchangeNamed(x.vars[1]), *b.RoutingKey, properties, body)
	var r *refused
	if errors.As(err, &r) && r.code != wire.AccessRefused {
		return badRequest(fmt.Sprintf("%d %s", r.code, r.text))
	}
	if err != nil {
		return err
	}
	return x.answer(http.StatusOK, object{"routed": routed})
}
