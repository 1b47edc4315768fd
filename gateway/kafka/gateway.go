package kafka

import (
	"context"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/kafka/oidc"
)

// Gateway speaks the Kafka protocol with the clients of one node. It is safe for many listeners.
type Gateway struct {
	b      *broker.Broker
	cfg    Config
	groups *groups
	rules  []certificateRule
	tokens *oidc.Verifier // nil: nobody's are taken

	sessions *sessions
}

// New makes the gateway. It does no I/O and starts nothing; cfg has been validated.
func New(b *broker.Broker, cfg Config) *Gateway {
	g := &Gateway{b: b, cfg: cfg, groups: newGroups(b, cfg.Groups), sessions: newSessions(cfg.FetchSessionsMax)}
	g.rules, _ = parseRules(cfg.PrincipalRules) // Validate has been here
	if cfg.Oauth.Offered() {
		g.tokens = oidc.New(cfg.Oauth)
	}
	return g
}

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: "kafka", Title: "Apache Kafka", DefaultAddr: "127.0.0.1:9092"}
	for i := range apis {
		d.Operations = append(d.Operations, apis[i].name)
	}
	return d
}

// Serve speaks Kafka with all who connect to l.
func (g *Gateway) Serve(ctx context.Context, l *gateway.Listener) error {
	ops := make(map[int16]*gateway.Operation, len(apis))
	for i := range apis {
		ops[apis[i].key] = l.Operation(apis[i].name)
	}
	g.groups.begin(l.Log())
	sweeping, stop := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() { defer close(swept); g.groups.sweep(sweeping) }()
	defer func() {
		stop()
		<-swept
		g.groups.end()
	}()
	return l.ServeConns(ctx, func(ctx context.Context, c *gateway.Conn) { newConn(g, c, ops).serve(ctx) })
}
