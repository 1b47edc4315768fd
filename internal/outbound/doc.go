// Package outbound sends HTTP requests to endpoints of others: webhooks, notifications, steps of flows.
//
// # What
//
// A Client holds what all endpoints share: which addresses may be reached, and how many connections may be open. An Endpoint is one place
// to send to, with connections of its own (HTTP/2 where offered), a gate that says when it may be sent to, and figures. When a failed delivery is tried
// again, what is leased, counted and given up is the caller's business.
//
//	address.go, allow.go  which addresses are public, and the rules that open others
//	client.go             dialing: the check at each connect, the limit of connections
//	endpoint.go           Endpoint, Acquire, Pump
//	gate.go, bucket.go    health, concurrency and rate: a machine without clock or chance
//	send.go               one attempt, under deadlines for each phase
//	outcome.go            what came of it
//	retryafter.go         the header Retry-After
//
// # Promises
//
// Nothing connects to an address that is not public, unless Config.Allow names it: private, loopback, link-local, shared, multicast,
// reserved ones, IPv4 hidden in IPv6, and clouds' metadata, which only a rule for the very address opens. The address is checked in the
// step before connect(2), for each connection, so that a name that leads elsewhere the next time gains nothing. Redirects are not followed
// and proxies of the environment not asked. (An egress proxy would have to make these checks itself; there is no setting for one.)
//
// An attempt ends within the endpoint's timeout, and each phase within its own. Its outcome is the status; the body is read as far as a
// limit and a deadline allow. An endpoint that does not answer holds one connection and no goroutine that others wait for. While its gate
// is open, no delivery loses attempts. A 410 pauses it; a Retry-After of 429 or 503 is waited for, however many deliveries there are.
//
// A request may arrive twice: Result.Reached says when that can be, and a kept connection that turns out to be dead is replaced once
// unless Request.Once is set.
//
// # Imports
//
// The standard library and internal/clock.
//
// # Where to start
//
// Endpoint.Pump.
//
// # How tested
//
// The gate by tables; endpoints against real servers that stall, trickle, reset, redirect, never stop sending or have the wrong
// certificate; rebinding against a DNS server that changes its mind; Retry-After and the rules are fuzzed. bench_test.go measures.
package outbound
