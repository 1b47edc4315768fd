// Package http is the HTTP gateway: publish CloudEvents, read pages, follow by server-sent events and WebSocket, work off subscriptions, take
// webhooks in, manage streams and users. docs/http.md, docs/subscriptions.md and docs/webhooks.md are for its users, openapi.json for their tools.
//
// # Spec
//
// CloudEvents 1.0.2 with its JSON format, HTTP binding (binary, structured, batched) and WebSocket binding (cloudevents.json); HTTP/1.1
// (RFC 9110, 9112); problem documents (RFC 9457); JSON Pointer (RFC 6901); Basic and Bearer (RFC 7617, 6750); server-sent events (HTML
// Living Standard 9.2); WebSocket (RFC 6455); CORS (Fetch Standard); OpenAPI 3.1; of webhooks those of internal/hooks.
//
// # Mapping
//
//	their word                               our word
//	event, CloudEvent                        record; attributes are ce_ headers, data is the value
//	partitionkey, else subject, or Leat-Key  key
//	(source, id) of the client's own         identity within the dedup window
//	Content-Type, datacontenttype            header content-type
//	Leat-Namespace, ?namespace=              namespace
//	Leat-Expected-Version, if[].version      expectation on the version of a key
//	id: and Last-Event-ID, next, ?from=      position
//	next and ?after= of /latest              key
//	resource /v1/streams/{stream}, ETag      stream, revision
//	resource /v1/subscriptions/{name}        subscription; its receivers are one member
//	receive; handle; ack, release, …         delivery; handle; the same
//	webhook, delivery, /v1/hooks/{name}      document of the kind hook, event; protocol and client of its origin
//	id of a delivery, source of its hook     identity within the dedup window
//	status, problem                          fault kind (faults.go)
//
// # Promises
//
// 201 is sent when the events are durable. A batch and an append are stored as one or not at all. A follower that comes back with the
// last id it saw misses nothing and gets nothing twice. Nothing is kept of a request once it is answered; a body is read under a limit
// and a deadline, from memory that was reserved before. Host and Origin are looked at before anything else. Of a webhook nothing is
// believed, answered or stored before its signature was checked, and a hook writes as the user who put it, not as the gateway.
//
// # Known gaps
//
// No compressed bodies and answers; no event formats but JSON; no credentials in a query, so that a browser's EventSource and WebSocket
// log in by Basic from the same origin only; no Access-Control-Allow-Credentials; versions of keys are in pages read by key only.
//
// # Imports
//
// broker with record, fault and filter; the gateway harness; coder/websocket; Prometheus' client.
//
// # Where to start
//
// route.go has the table of routes and the way of a request; handle_publish.go the way of an event in; sse.go the way out. translate.go
// is the only file that knows both vocabularies. fast.go is the lane of what is busiest; hooks.go lists what belongs to webhooks,
// subscription.go what belongs to subscriptions.
//
// # How tested
//
// Over the real broker on the memory journal: tables of every way in and every refusal, gatewaytest, replayed captures of real
// clients, a fuzz target for each decoder, openapi.json against the routes; the fast lane against net/http; clienttest has the CloudEvents SDK, Node and Python.
package http
