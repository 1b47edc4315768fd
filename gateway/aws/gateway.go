package aws

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/aws/wire/sigv4"
	"leat/internal/outbound"
)

// protocolName is the listener name, config key, metric label and docs page.
const protocolName = "aws"

// Gateway is SQS and SNS. It is made by New and may serve several listeners.
type Gateway struct {
	broker     *broker.Broker
	config     Config
	log        *slog.Logger
	keys       sigv4.Keys
	queues     queues
	firsts     firsts
	attempts   attempts
	notes      notes
	moves      moves
	outbound   *outbound.Client // nil: nothing is delivered by HTTP
	topics     kept[*topic]
	sources    kept[map[string]subDocument]
	endpoints  kept[subDocument]
	push       pushers
	signatures signatures
	failures   [fault.Unsupported + 1]gateway.Sparse // lines about each kind
}

// New makes a gateway on b, which delivers by HTTP through out; without it endpoints cannot subscribe. It starts nothing.
func New(b *broker.Broker, cfg Config, out *outbound.Client, log *slog.Logger) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.Default()
	}
	g := &Gateway{broker: b, config: cfg, log: log, outbound: out}
	g.push.g = g
	return g, nil
}

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: protocolName, Title: "SQS and SNS", DefaultAddr: "127.0.0.1:4566"}
	for i := range verbs {
		if !slices.Contains(d.Operations, verbs[i].Action) {
			d.Operations = append(d.Operations, verbs[i].Action)
		}
	}
	return d
}

// Serve speaks SQS and SNS with all who connect to l. See gateway.Gateway.
func (g *Gateway) Serve(ctx context.Context, l *gateway.Listener) error {
	polls, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // long polls end with a drain: nothing came
		select {
		case <-l.Draining():
			cancel()
		case <-polls.Done():
		}
	}()
	s := &server{Gateway: g, listener: l.Name(), limits: l.Limits(), polls: polls, operations: map[string]*gateway.Operation{}, other: l.Operation("other")}
	for _, name := range g.Descriptor().Operations {
		s.operations[name] = l.Operation(name)
	}
	defer g.push.enter()()
	return l.ServeHTTP(ctx, &http.Server{
		Handler:      s,
		ReadTimeout:  s.limits.ReadTimeout,
		WriteTimeout: s.limits.ReadTimeout + s.limits.WriteTimeout,
		ConnContext:  func(ctx context.Context, _ net.Conn) context.Context { return withLine(ctx) },
	})
}

// server is the gateway on one listener.
type server struct {
	*Gateway
	listener   string
	limits     gateway.Config
	polls      context.Context // ends when nobody is to wait any more
	operations map[string]*gateway.Operation
	other      *gateway.Operation
}
