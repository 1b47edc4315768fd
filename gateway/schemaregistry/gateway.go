package schemaregistry

import (
	"context"
	"net/http"

	"leat/broker"
	"leat/gateway"
	"leat/internal/clock"
)

// Gateway answers the API of a schema registry. It is safe for many listeners.
type Gateway struct {
	b   *broker.Broker
	cfg Config
}

// New makes the gateway. It does no I/O and starts nothing; cfg has been validated.
func New(b *broker.Broker, cfg Config) *Gateway { return &Gateway{b: b, cfg: cfg} }

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: "schema-registry", Title: "Schema Registry API", DefaultAddr: "127.0.0.1:8081", ALPN: []string{"http/1.1"}}
	for _, r := range routes {
		d.Operations = append(d.Operations, r.name())
	}
	return d
}

// Serve answers all who connect to l.
func (g *Gateway) Serve(ctx context.Context, l *gateway.Listener) error {
	limits := l.Limits()
	return l.ServeHTTP(ctx, &http.Server{Handler: g.handler(l), ReadTimeout: limits.ReadTimeout, WriteTimeout: limits.ReadTimeout + limits.WriteTimeout})
}

func (g *Gateway) handler(l *gateway.Listener) http.Handler {
	ops := map[*route]*gateway.Operation{}
	for _, r := range routes {
		ops[r] = l.Operation(r.name())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := clock.Now()
		x := &call{g: g, w: w, r: r, conn: gateway.ConnOf(r.Context()), listener: l.Name()}
		route, err := g.handle(x) //nolint:contextcheck // that of the request is in x
		if route != nil {
			ops[route].Done(clock.Since(begun), err)
		}
	})
}
