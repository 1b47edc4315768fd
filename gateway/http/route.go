package http

import (
	nethttp "net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway"
	"leat/internal/clock"
)

// pathSegmentsMax is the most segments a path of ours has.
const pathSegmentsMax = 6

// handler serves one method of one route. What it returns is answered as a problem; it has then written nothing.
type handler func(x *call) error

// method is one method of a route. operation is what it is counted as. Open ones are served to anybody who gets past the guard.
type method struct {
	name, operation string
	handle          handler
	open            bool
}

// route is one row of the table: a path, where {name} is a parameter, and what can be done with it. openapi.json has the same rows;
// a test compares them.
type route struct {
	pattern string
	methods []method
	ask     func(x *call, allow string) error // OPTIONS, where it is more than a list of methods; nil: it is not

	segments []string // the pattern, cut; "" is a parameter
	allow    string
	index    int // in the table
}

// makeRoutes is the table. The busiest come first: it is searched in order.
func makeRoutes() []route {
	routes := []route{
		{pattern: "/v1/streams/{stream}/events", methods: []method{{"POST", "publish", publish, false}, {"GET", "read", readStream, false}}},
		{pattern: "/v1/append", methods: []method{{"POST", "append", appendAtomic, false}}},
		{pattern: "/v1/query", methods: []method{{"POST", "query", query, false}}},
		{pattern: "/v1/events", methods: []method{{"GET", "read-many", readStreams, false}}},
		{pattern: "/v1/events/{stream}/{partition}/{offset}", methods: []method{{"GET", "read-ref", readRef, false}}},
		{pattern: "/v1/streams", methods: []method{{"GET", "list-streams", listStreams, false}}},
		{pattern: "/v1/streams/{stream}", methods: []method{{"GET", "get-stream", getStream, false}, {"PUT", "put-stream", putStream, false}, {"DELETE", "delete-stream", deleteStream, false}}},
		{pattern: "/v1/streams/{stream}/latest", methods: []method{{"GET", "read-latest", readLatest, false}}},
		{pattern: "/v1/streams/{stream}/truncate", methods: []method{{"POST", "truncate-stream", truncateStream, false}}},
		{pattern: "/v1/streams/{stream}/undelete", methods: []method{{"POST", "undelete-stream", undeleteStream, false}}},
		{pattern: "/v1/trash", methods: []method{{"GET", "list-trash", listTrash, false}}},
		{pattern: "/v1/users", methods: []method{{"GET", "list-users", listUsers, false}}},
		{pattern: "/v1/users/{name}", methods: []method{{"GET", "get-user", getUser, false}, {"PUT", "put-user", putUser, false}, {"DELETE", "delete-user", deleteUser, false}}},
		{pattern: "/v1/streams/{stream}/export", methods: []method{{"GET", "export", exportStream, false}}},
		{pattern: "/v1/streams/{stream}/import", methods: []method{{"POST", "import", importStream, false}}},
		{pattern: "/v1/hooks", methods: []method{{"GET", "list-hooks", listHooks, false}}},
		{pattern: "/v1/hooks/{name}", ask: askHook, methods: []method{
			{"POST", "deliver-hook", deliverHook, true}, // its signature is the login
			{"GET", "get-hook", getHook, false}, {"PUT", "put-hook", putHook, false}, {"DELETE", "delete-hook", deleteHook, false},
		}},
		{pattern: "/v1/subscriptions", methods: []method{{"GET", "list-subscriptions", listSubscriptions, false}}},
		{pattern: "/v1/subscriptions/{name}", methods: []method{
			{"GET", "get-subscription", getSubscription, false}, {"PUT", "put-subscription", putSubscription, false},
			{"DELETE", "delete-subscription", deleteSubscription, false},
		}},
		{pattern: "/v1/subscriptions/{name}/receive", methods: []method{{"POST", "receive", receive, false}}},
		{pattern: "/v1/subscriptions/{name}/ack", methods: []method{{"POST", "ack", ack, false}}},
		{pattern: "/v1/subscriptions/{name}/release", methods: []method{{"POST", "release", release, false}}},
		{pattern: "/v1/subscriptions/{name}/reject", methods: []method{{"POST", "reject", reject, false}}},
		{pattern: "/v1/subscriptions/{name}/renew", methods: []method{{"POST", "renew", renew, false}}},
		{pattern: "/v1/subscriptions/{name}/rewind", methods: []method{{"POST", "rewind", rewind, false}}},
		{pattern: "/v1/subscriptions/{name}/suspend", methods: []method{{"POST", "suspend", suspend, false}}},
		{pattern: "/v1/subscriptions/{name}/resume", methods: []method{{"POST", "resume", resume, false}}},
		{pattern: "/v1/subscriptions/{name}/explain", methods: []method{{"GET", "explain", explain, false}}},
		{pattern: "/v1/subscriptions/{name}/dead-letters", methods: []method{{"GET", "dead-letters", deadLetters, false}, {"POST", "give-up", giveUp, false}}},
		{pattern: "/v1/subscriptions/{name}/dead-letters/replay", methods: []method{{"POST", "replay", replay, false}}},
		{pattern: "/v1/subscriptions/{name}/dead-letters/drop", methods: []method{{"POST", "drop", dropDead, false}}},
		{pattern: "/v1/subscriptions/{name}/commit", methods: []method{{"POST", "commit", commit, false}}},
		{pattern: "/v1/subscriptions/{name}/positions", methods: []method{{"GET", "positions", positions, false}}},
		{pattern: "/v1/subscriptions/{name}/cancel", methods: []method{{"POST", "cancel", cancel, false}}},
		{pattern: "/v1/links", methods: []method{{"GET", "list-links", listLinks, false}}},
		{pattern: "/v1/links/{name}", methods: []method{{"GET", "get-link", getLink, false}, {"PUT", "put-link", putLink, false}, {"DELETE", "delete-link", deleteLink, false}}},
		{pattern: "/v1/links/{name}/switch", methods: []method{{"POST", "switch-link", switchLink, false}}},
		{pattern: "/v1/contracts/catalogue", methods: []method{{"GET", "contract-catalogue", contractCatalogue, false}}},
		{pattern: "/v1/contracts/coupling", methods: []method{{"GET", "contract-coupling", contractCoupling, false}}},
		{pattern: "/v1/contracts/asyncapi", methods: []method{{"GET", "contract-asyncapi", contractDocument, false}}},
		{pattern: "/v1/contracts/lint", methods: []method{{"GET", "contract-lint", lintContracts, false}, {"POST", "contract-lint-draft", lintDraft, false}}},
		{pattern: "/v1/contracts/affected", methods: []method{{"POST", "contract-affected", contractAffected, false}}},
		{pattern: "/v1/contracts/tags", methods: []method{{"GET", "contract-tags", contractTags, false}}},
		{pattern: "/v1/contracts/reads", methods: []method{
			{"GET", "list-contract-reads", listReads, false}, {"PUT", "put-contract-reads", putReads, false}, {"DELETE", "delete-contract-reads", deleteReads, false},
		}},
		{pattern: "/v1/audit", methods: []method{{"GET", "audit", audit, false}}},
		{pattern: "/v1/doctor", methods: []method{{"GET", "doctor", doctor, false}}},
		{pattern: "/v1/archive", methods: []method{{"GET", "archive", archiveState, false}}},
		{pattern: "/v1/archive/checkpoint", methods: []method{{"POST", "archive-checkpoint", archiveCheckpoint, false}}},
		{pattern: "/v1/archive/prune", methods: []method{{"POST", "archive-prune", archivePrune, false}}},
		{pattern: "/v1/listeners", methods: []method{{"GET", "list-listeners", listListeners, false}}},
		{pattern: "/healthz", methods: []method{{"GET", "healthz", healthz, true}}},
		{pattern: "/readyz", methods: []method{{"GET", "readyz", readyz, true}}},
		{pattern: "/metrics", methods: []method{{"GET", "metrics", serveMetrics, false}}},
		{pattern: "/openapi.json", methods: []method{{"GET", "openapi", serveOpenAPI, true}}},
	}
	for i := range routes {
		rt := &routes[i]
		rt.index = i
		for s := range strings.SplitSeq(rt.pattern[1:], "/") {
			if strings.HasPrefix(s, "{") {
				s = ""
			}
			rt.segments = append(rt.segments, s)
		}
		names := []string{}
		for _, m := range rt.methods {
			names = append(names, m.name)
			if m.name == "GET" {
				names = append(names, "HEAD")
			}
		}
		rt.allow = strings.Join(append(names, "OPTIONS"), ", ")
	}
	return routes
}

// call is one request on its way through.
type call struct {
	g      *server
	w      nethttp.ResponseWriter
	r      *nethttp.Request
	began  time.Time
	who    broker.Caller
	params [pathSegmentsMax]string
	query  url.Values // parsed when first asked for
	body   body
	target target // of the event that is read, for its defaults

	room *room // where events are read into; nil until the first
}

// caller is who asks, for the broker. It does not change any more once the handler runs.
func (x *call) caller() *broker.Caller { return &x.who }

// ServeHTTP serves one request: guard, route, login, handler, and the count of it.
func (s *server) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	x := &call{g: s, w: w, r: r, began: clock.Now()}
	defer x.free()
	op, err := x.serve() //nolint:contextcheck // its context is that of the request
	if err != nil {
		s.refuse(w, r, err)
	}
	op.Done(clock.Since(x.began), err)
}

// free gives back what the call has taken for its time.
func (x *call) free() {
	x.freeRoom()
	x.body.free()
}

func (x *call) serve() (*gateway.Operation, error) {
	op := x.g.other
	if err := x.g.guard(x.w, x.r); err != nil {
		return op, err
	}
	rt, err := x.find()
	if err != nil {
		return op, err
	}
	if x.r.Method == nethttp.MethodOptions {
		if rt.ask != nil {
			return op, rt.ask(x, rt.allow)
		}
		preflight(x.w, x.r, rt.allow)
		return op, nil
	}
	i := rt.method(x.r.Method)
	if i < 0 {
		return op, (&problem{
			fault:  fault.New(fault.Invalid, "request", clip(x.r.Method), "this path takes %s", rt.allow),
			status: nethttp.StatusMethodNotAllowed, title: "The method is not for this path", kind: "method-not-allowed",
		}).with("Allow", rt.allow)
	}
	m := &rt.methods[i]
	op = x.g.operations[rt.index][i]
	if err := x.identify(m.open); err != nil {
		return op, err
	}
	return op, m.handle(x)
}

// identify fills in who: namespace, origin, and unless the route is open the principal.
func (x *call) identify(open bool) error {
	x.who.Listener, x.who.Protocol = x.g.listener, protocolName
	if ua := x.r.Header["User-Agent"]; len(ua) > 0 {
		x.who.Client = clip(ua[0])
	}
	if ns := x.r.Header["Leat-Namespace"]; len(ns) > 0 {
		x.who.Namespace = ns[0]
	}
	if x.r.URL.RawQuery != "" {
		if ns := x.param("namespace"); ns != "" {
			if x.who.Namespace != "" && x.who.Namespace != ns {
				return wrong("request", "namespace", "the header Leat-Namespace says %q and the query says %q", clip(x.who.Namespace), clip(ns))
			}
			x.who.Namespace = ns
		}
	}
	if x.who.Namespace != "" {
		if err := record.CheckStreamName(x.who.Namespace); err != nil {
			return wrong("request", "namespace", "the name of a namespace follows the rules of stream names: %s", fault.As(err).Text)
		}
	}
	if open {
		return nil
	}
	if err := x.login(); err != nil {
		return err
	}
	if x.who.Namespace == "" && x.who.Principal != "" {
		x.who.Namespace = x.g.broker.NamespaceOf(x.who.Principal)
	}
	return nil
}

// param is the first value of a query parameter.
func (x *call) param(name string) string {
	if x.r.URL.RawQuery == "" {
		return ""
	}
	if x.query == nil {
		x.query = x.r.URL.Query()
	}
	return x.query.Get(name)
}

// onlyParams refuses a query parameter that is not known: a misspelt filter would otherwise answer with everything.
func (x *call) onlyParams(known ...string) error {
	if x.r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return wrong("request", "query", "the query cannot be read; is a %% in it not followed by two hex digits?")
	}
	x.query = query
	for name, values := range query {
		if name == "namespace" {
			continue
		}
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return wrong("request", clip(name), "this query parameter is not known; %s are", strings.Join(append(known, "namespace"), ", "))
		}
		if len(values) > 1 && name != "type" && name != "tag" && name != "streams" {
			return wrong("request", clip(name), "this query parameter may be given once")
		}
	}
	return nil
}

// method is the place of a method in the route, -1 if it has none of that name.
func (rt *route) method(name string) int {
	if name == nethttp.MethodHead {
		name = nethttp.MethodGet
	}
	for i := range rt.methods {
		if rt.methods[i].name == name {
			return i
		}
	}
	return -1
}

// find matches the path and takes its parameters. Segments are cut before they are unescaped, so that %2F stays within one.
func (x *call) find() (*route, error) {
	u := x.r.URL
	path, escaped := u.Path, false
	if u.RawPath != "" {
		path, escaped = u.RawPath, true
	}
	var segs [pathSegmentsMax]string
	n := 0
	for rest, more := strings.TrimPrefix(path, "/"), true; more; n++ {
		if n == pathSegmentsMax {
			return nil, noRoute(u.Path)
		}
		segs[n], rest, more = strings.Cut(rest, "/")
	}
	for i := range x.g.routes {
		rt := &x.g.routes[i]
		if len(rt.segments) == n && x.matches(rt, segs[:n], escaped) {
			return rt, nil
		}
	}
	return nil, noRoute(u.Path)
}

func (x *call) matches(rt *route, segs []string, escaped bool) bool {
	p := 0
	for i, want := range rt.segments {
		switch {
		case want != "" && segs[i] != want:
			return false
		case want == "":
			value := segs[i]
			if escaped {
				v, err := url.PathUnescape(value)
				if err != nil {
					return false
				}
				value = v
			}
			if value == "" {
				return false
			}
			x.params[p] = value
			p++
		}
	}
	return true
}

func noRoute(path string) error {
	return &problem{
		fault: fault.New(fault.NotFound, "request", clip(path), "there is nothing at this path; /openapi.json lists what there is"),
		field: "path",
	}
}

// answer writes an answer. One that is long gets time for each piece.
func (x *call) answer(code int, contentType []string, b []byte) {
	h := x.w.Header()
	h["Content-Type"] = contentType
	if len(b) >= smallAnswerBytes { // net/http counts what is shorter, and would send the rest in chunks
		h["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	x.w.WriteHeader(code)
	if x.r.Method == nethttp.MethodHead {
		return
	}
	if len(b) > gateway.PieceBytes {
		rc := nethttp.NewResponseController(x.w)
		for len(b) > gateway.PieceBytes {
			_ = rc.SetWriteDeadline(clock.Now().Add(x.g.limits.WriteTimeout)) // fails when closed, and so will the write
			if _, err := x.w.Write(b[:gateway.PieceBytes]); err != nil {
				return
			}
			b = b[gateway.PieceBytes:]
		}
		_ = rc.SetWriteDeadline(clock.Now().Add(x.g.limits.WriteTimeout))
	}
	_, _ = x.w.Write(b) // the client has gone; there is nobody to tell
}

// smallAnswerBytes is the length up to which net/http finds out the Content-Length by itself.
const smallAnswerBytes = 2 << 10

// Values of headers, made once. The server does not change them.
var (
	contentTypeJSON    = []string{"application/json"}
	contentTypeEvent   = []string{"application/cloudevents+json; charset=utf-8"}
	contentTypeProblem = []string{"application/problem+json"}
	contentTypeText    = []string{"text/plain; charset=utf-8"}
	headerNoStore      = []string{"no-store"}
	headerVaryOrigin   = []string{"Origin"}
	headerChallenges   = []string{`Bearer realm="leat"`, `Basic realm="leat", charset="UTF-8"`}
)

// clip keeps what is quoted back short.
func clip(s string) string {
	const most = 128
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
