package node_test

import (
	"context"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/node"
)

// idle is a gateway that speaks with nobody.
type idle struct {
	name   string
	served func()
}

func (g *idle) Descriptor() gateway.Descriptor {
	return gateway.Descriptor{Name: g.name, Title: g.name, DefaultAddr: "127.0.0.1:0"}
}

func (g *idle) Serve(ctx context.Context, l *gateway.Listener) error {
	g.served()
	select {
	case <-l.Draining():
	case <-ctx.Done():
	}
	return nil
}

// Who is served by the first listener, and may be told that the node is ready, finds all others open.
func TestStart_NobodyIsServedBeforeAllAreOpen(t *testing.T) {
	served := make(chan map[string]node.Opened, 3)
	var ps []node.Protocol
	for _, name := range []string{"first", "second", "third"} {
		ps = append(ps, node.Protocol{Name: name, New: func(_ *broker.Broker, env node.Env) (gateway.Gateway, error) {
			time.Sleep(20 * time.Millisecond) // the one before it has time to serve, if it may
			return &idle{name, func() { served <- env.Opened() }}, nil
		}})
	}
	n, err := node.Open(node.Options{Protocols: ps, AnyPort: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Stop() }()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	for range ps {
		select {
		case open := <-served:
			if len(open) != len(ps) {
				t.Errorf("somebody is served while only %d are open", len(open))
			}
		case <-time.After(time.Minute):
			t.Fatal("nobody is served")
		}
	}
}
