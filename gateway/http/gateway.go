package http

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	nethttp "net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/link"
	"leat/push"
)

// protocolName is the listener name, config key, metric label and docs page.
const protocolName = "http"

// Gateway is events by HTTP. It is made by New and may serve several listeners.
type Gateway struct {
	broker     *broker.Broker
	config     Config
	log        *slog.Logger
	metrics    *metrics
	exposition nethttp.Handler
	routes     []route
	prefix     string                         // of generated ids: random, so that two processes never make the same
	made       atomic.Uint64                  // generated ids
	opened     func() map[string]OpenListener // nil: not known
	hooks      hookIndex
	link       *link.Linker                          // nil: nothing links here
	push       *push.Sender                          // nil: subscriptions cannot be pushed here
	failures   [fault.Unsupported + 1]gateway.Sparse // lines about each kind
}

// New makes a gateway on b. reg is what /metrics shows and where the gateway's own numbers go; nil shows nothing. It starts nothing.
func New(b *broker.Broker, cfg Config, reg *prometheus.Registry, log *slog.Logger) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.Default()
	}
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("http: metrics: %w", err)
	}
	if err := reg.Register(&lagCollector{b}); err != nil {
		return nil, fmt.Errorf("http: metrics: %w", err)
	}
	var random [9]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("http: random: %w", err)
	}
	return &Gateway{
		broker: b, config: cfg, log: log, metrics: m, routes: makeRoutes(), prefix: hex.EncodeToString(random[:]),
		hooks:      hookIndex{byName: map[hookName]*hook{}},
		exposition: promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}),
	}, nil
}

// UsePush gives the gateway what hands subscriptions to endpoints. It is called before Serve.
func (g *Gateway) UsePush(s *push.Sender) { g.push = s }

// UseLink gives the gateway what copies other clusters. It is called before Serve.
func (g *Gateway) UseLink(l *link.Linker) { g.link = l }

// UseListeners tells the gateway how to find out what listeners the node has. It is called before Serve.
func (g *Gateway) UseListeners(opened func() map[string]OpenListener) { g.opened = opened }

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: protocolName, Title: "HTTP", DefaultAddr: "127.0.0.1:8080"}
	for _, rt := range g.routes {
		for _, m := range rt.methods {
			d.Operations = append(d.Operations, m.operation)
		}
	}
	return d
}

// Serve speaks HTTP with all who connect to l. See gateway.Gateway.
func (g *Gateway) Serve(ctx context.Context, l *gateway.Listener) error {
	s := g.newServer(l.Name(), l.Limits(), l.Operation)
	defer s.followers.cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // followers go on for ever: a drain ends them, and they resume elsewhere
		select {
		case <-l.Draining():
			s.followers.stop()
		case <-ctx.Done():
			s.followers.stop()
		case <-stop:
		}
	}()
	return l.ServeHTTPFirst(ctx, &nethttp.Server{
		Handler:     s,
		ReadTimeout: s.limits.ReadTimeout,
		// The clock of an answer starts with its request; what is longer than a piece moves it on.
		WriteTimeout: s.limits.ReadTimeout + s.limits.WriteTimeout,
	}, s.serveFast)
}

// server is the gateway on one listener.
type server struct {
	*Gateway
	listener   string
	limits     gateway.Config
	followers  *followers
	operations [][]*gateway.Operation // by route and method
	other      *gateway.Operation
}

func (g *Gateway) newServer(listener string, limits gateway.Config, operation func(string) *gateway.Operation) *server {
	s := &server{Gateway: g, listener: listener, limits: limits, followers: newFollowers(g.config.FollowersMax), other: operation("other")}
	for _, rt := range g.routes {
		var ops []*gateway.Operation
		for _, m := range rt.methods {
			ops = append(ops, operation(m.operation))
		}
		s.operations = append(s.operations, ops)
	}
	return s
}
