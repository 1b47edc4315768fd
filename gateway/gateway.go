package gateway

import "context"

// Gateway speaks one protocol. It is made by the New of its own package, which takes the broker and the gateway's Config; New does
// no I/O and starts nothing. One gateway may serve several listeners.
type Gateway interface {
	// Descriptor says what the gateway is. It is constant.
	Descriptor() Descriptor

	// Serve speaks the protocol with all who connect to l, and returns nil when l has been drained or closed and the last
	// connection has ended. Raw protocols end in l.ServeConns, HTTP ones in l.ServeHTTP; both do all of the following.
	//
	// When l begins to drain, requests that have begun are finished and answered, nothing new is begun, and the peer is told
	// where the protocol has a word for it. When ctx ends, everything stops at once. An error means that the gateway cannot
	// serve at all; trouble with one connection is never returned.
	Serve(ctx context.Context, l *Listener) error
}

// Descriptor is what the rest of the house needs to know about a gateway.
type Descriptor struct {
	Name        string   // listener name, config key, metric label, docs page: kafka, http
	Title       string   // for people: Apache Kafka
	DefaultAddr string   // on loopback, at the protocol's usual port: 127.0.0.1:9092
	ALPN        []string // what is offered in a TLS handshake: h2, http/1.1; empty is nothing
	Operations  []string // everything Listener.Operation is asked for; other names are counted as "other"
}
