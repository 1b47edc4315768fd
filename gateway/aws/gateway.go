package aws

import (
	"context"
	"log/slog"
	"net/http"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/aws/wire/sigv4"
)

// protocolName is the listener name, config key, metric label and docs page.
const protocolName = "aws"

// Gateway is SQS. It is made by New and may serve several listeners.
type Gateway struct {
	broker   *broker.Broker
	config   Config
	log      *slog.Logger
	keys     sigv4.Keys
	queues   queues
	firsts   firsts
	attempts attempts
	moves    moves
	failures [fault.Unsupported + 1]gateway.Sparse // lines about each kind
}

// New makes a gateway on b. It starts nothing.
func New(b *broker.Broker, cfg Config, log *slog.Logger) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.Default()
	}
	return &Gateway{broker: b, config: cfg, log: log}, nil
}

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: protocolName, Title: "SQS", DefaultAddr: "127.0.0.1:4566"}
	for i := range verbs {
		d.Operations = append(d.Operations, verbs[i].name)
	}
	return d
}

// Serve speaks SQS with all who connect to l. See gateway.Gateway.
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
	for i := range verbs {
		s.operations[verbs[i].name] = l.Operation(verbs[i].name)
	}
	return l.ServeHTTP(ctx, &http.Server{
		Handler:      s,
		ReadTimeout:  s.limits.ReadTimeout,
		WriteTimeout: s.limits.ReadTimeout + s.limits.WriteTimeout,
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
