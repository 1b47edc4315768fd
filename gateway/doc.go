// Package gateway is the frame that every protocol is put into: the Gateway interface and the harness around its connections.
//
// # What
//
// A Listener opens one address, admits connections within limits, does TLS, counts, and drains. A gateway serves it: raw
// protocols with ServeConns and a function per connection, HTTP ones with ServeHTTP and an http.Server. Conn carries the deadlines:
// Await between requests, ReadFull and Write within them. Operation counts requests with their latency. CheckExposure refuses what is
// not safe by default.
//
// # Promises
//
// A peer can cost no more than the limits say: connections in total and per address, time to shake hands, to be idle, to send a
// request and to take an answer. A panic ends one connection. A drain finishes requests that have begun, begins none, and cuts what is
// left after DrainTimeout. Running out of file descriptors slows accepting down and ends nothing. Labels of metrics are bounded.
//
// # Imports
//
// broker/fault for outcomes, internal/clock, Prometheus' client. Not the broker: gateways take it in their New.
//
// # Where to start
//
// Gateway in gateway.go, then Listener; link.go walks the race between a drain and a request that begins.
//
// # How tested
//
// Beside the code, over loopback and in-memory listeners; gatewaytest is the suite that every gateway passes.
package gateway
