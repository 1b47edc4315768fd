package clienttest

import (
	"context"
	"log/slog"
	"testing"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/gatewaytest"
	"leat/gateway/http"
	"leat/internal/clock"
)

// start serves a fresh broker and returns its URL.
func start(t *testing.T) string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: 1, Cluster: "clienttest", Clock: clock.Real, Log: quiet,
		Shards: gatewaytest.MemoryShards(t, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := http.New(b, http.Default(), nil, quiet)
	if err != nil {
		t.Fatal(err)
	}
	d := g.Descriptor()
	l, err := gateway.Listen(context.Background(), gateway.Options{
		Name: d.Name, Addr: "127.0.0.1:0", Protocol: d.Name, Known: d.Operations, Limits: gateway.Default(), Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		_ = l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
