package rabbitmq

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091"
	"leat/internal/clock"
)

// Gateway answers RabbitMQ's management API about one AMQP gateway. It is safe for many listeners.
type Gateway struct {
	b     *broker.Broker
	amqp  *amqp091.Gateway
	cfg   Config
	born  time.Time
	rates rates
}

// New makes the gateway, for what clients have made through the AMQP gateway a. It does no I/O and starts nothing; cfg has been validated.
func New(b *broker.Broker, a *amqp091.Gateway, cfg Config) *Gateway {
	return &Gateway{b: b, amqp: a, cfg: cfg, born: clock.Now()}
}

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: "rabbitmq-management", Title: "RabbitMQ management API", DefaultAddr: "127.0.0.1:15672", ALPN: []string{"http/1.1"}}
	for _, r := range routes {
		d.Operations = append(d.Operations, r.name())
	}
	return d
}

// Serve answers all who connect to l. Beside it, the AMQP gateway serves the connections in memory by which things are changed.
func (g *Gateway) Serve(ctx context.Context, l *gateway.Listener) error {
	inner, stop := context.WithCancel(ctx)
	lane := newLane()
	memory := gateway.Wrap(lane, gateway.Options{Name: l.Name(), Addr: "memory", Protocol: g.amqp.Descriptor().Name, Limits: l.Limits(), Log: l.Log()})
	var wg sync.WaitGroup
	var amqpErr error
	wg.Go(func() { amqpErr = g.amqp.Serve(inner, memory) })
	limits := l.Limits()
	err := l.ServeHTTP(ctx, &http.Server{Handler: g.handler(l, lane), ReadTimeout: limits.ReadTimeout, WriteTimeout: limits.ReadTimeout + limits.WriteTimeout})
	stop()
	wg.Wait()
	return errors.Join(err, amqpErr)
}

// handler answers requests that came to l. Things are changed through lane.
func (g *Gateway) handler(l *gateway.Listener, lane *lane) http.Handler {
	ops := map[*route]*gateway.Operation{}
	for _, r := range routes {
		ops[r] = l.Operation(r.name())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := clock.Now()
		x := &call{g: g, w: w, r: r, conn: gateway.ConnOf(r.Context()), listener: l.Name(), lane: lane}
		route, err := g.handle(x) //nolint:contextcheck // that of the request is in x
		if route != nil {
			ops[route].Done(clock.Since(begun), err)
		}
	})
}
