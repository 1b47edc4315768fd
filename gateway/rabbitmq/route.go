package rabbitmq

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
)

// call is one request.
type call struct {
	g        *Gateway
	w        http.ResponseWriter
	r        *http.Request
	conn     *gateway.Conn
	listener string
	lane     *lane

	caller         broker.Caller // in the namespace of vhost
	vhost          string        // that the path names, or the caller's own
	one            bool          // the path names it
	user, password string
	vars           []string // what the segments in braces of the route are, in their order
	query          url.Values
}

// A route is a method and a path. A segment {vhost} must be a virtual host of the caller's; the others are any.
type route struct {
	method, path string
	run          func(ctx context.Context, x *call) error

	segments []string
}

func (r *route) name() string { return r.method + " " + r.path }

// routes are all there are. The first one that fits is taken.
var routes []*route

func init() {
	add := func(method, path string, run func(context.Context, *call) error) {
		routes = append(routes, &route{method, path, run, strings.Split(path, "/")})
	}
	get := func(path string, run func(context.Context, *call) error) { add(http.MethodGet, path, run) }

	get("overview", getOverview)
	get("whoami", getWhoAmI)
	get("cluster-name", getClusterName)
	get("nodes", getNodes)
	get("nodes/{name}", getNode)
	get("extensions", getNothing)
	get("feature-flags", getNothing)
	get("auth", getAuth)
	get("vhosts", getVhosts)
	get("vhosts/{vhost}", getVhost)
	get("vhosts/{vhost}/permissions", getVhostPermissions)
	add(http.MethodPut, "vhosts/{name}", putVhost)
	add(http.MethodDelete, "vhosts/{name}", deleteVhost)

	get("connections", getConnections)
	get("connections/{name}", getConnection)
	add(http.MethodDelete, "connections/{name}", deleteConnection)
	get("connections/username/{name}", getConnectionsOf)
	add(http.MethodDelete, "connections/username/{name}", deleteConnectionsOf)
	get("connections/{name}/channels", getConnectionChannels)
	get("vhosts/{vhost}/connections", getConnections)
	get("channels", getChannels)
	get("channels/{name}", getChannel)
	get("vhosts/{vhost}/channels", getChannels)
	get("consumers", getConsumers)
	get("consumers/{vhost}", getConsumers)

	get("exchanges", getExchanges)
	get("exchanges/{vhost}", getExchanges)
	get("exchanges/{vhost}/{name}", getExchange)
	add(http.MethodPut, "exchanges/{vhost}/{name}", putExchange)
	add(http.MethodDelete, "exchanges/{vhost}/{name}", deleteExchange)
	add(http.MethodPost, "exchanges/{vhost}/{name}/publish", publish)
	get("exchanges/{vhost}/{name}/bindings/source", getBindingsFrom)
	get("exchanges/{vhost}/{name}/bindings/destination", getBindingsToExchange)

	get("queues", getQueues)
	get("queues/detailed", getQueues)
	get("queues/{vhost}", getQueues)
	get("queues/{vhost}/{name}", getQueue)
	add(http.MethodPut, "queues/{vhost}/{name}", putQueue)
	add(http.MethodDelete, "queues/{vhost}/{name}", deleteQueue)
	add(http.MethodDelete, "queues/{vhost}/{name}/contents", purgeQueue)
	add(http.MethodPost, "queues/{vhost}/{name}/get", getMessages)
	get("queues/{vhost}/{name}/bindings", getBindingsToQueue)

	get("bindings", getBindings)
	get("bindings/{vhost}", getBindings)
	get("bindings/{vhost}/e/{source}/{kind}/{destination}", getBindingsBetween)
	add(http.MethodPost, "bindings/{vhost}/e/{source}/{kind}/{destination}", postBinding)
	get("bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}", getBinding)
	add(http.MethodDelete, "bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}", deleteBinding)

	get("definitions", getDefinitions)
	get("definitions/{vhost}", getDefinitions)
	add(http.MethodPost, "definitions", postDefinitions)
	add(http.MethodPost, "definitions/{vhost}", postDefinitions)

	get("users", getUsers)
	get("users/without-permissions", getUsersWithout)
	get("users/{name}", getUser)
	add(http.MethodPut, "users/{name}", putUser)
	add(http.MethodDelete, "users/{name}", deleteUser)
	add(http.MethodPost, "users/bulk-delete", deleteUsers)
	get("users/{name}/permissions", getPermissions)
	get("users/{name}/topic-permissions", getNothing)
	get("permissions", getPermissions)
	get("permissions/{vhost}/{name}", getPermission)
	add(http.MethodPut, "permissions/{vhost}/{name}", putPermission)
	add(http.MethodDelete, "permissions/{vhost}/{name}", deletePermission)
	get("policies", getPolicies)
	get("policies/{vhost}", getPolicies)
	get("policies/{vhost}/{name}", getPolicy)
	add(http.MethodPut, "policies/{vhost}/{name}", putPolicy)
	add(http.MethodDelete, "policies/{vhost}/{name}", deletePolicy)
	for _, empty := range []string{
		"topic-permissions", "parameters", "global-parameters", "operator-policies", "vhost-limits", "user-limits",
	} {
		get(empty, getNothing)
		get(empty+"/{vhost}", getNothing)
	}

	get("aliveness-test/{vhost}", aliveness)
	get("healthchecks/node", healthy)
	get("health/checks/alarms", checkAlarms)
	get("health/checks/local-alarms", checkAlarms)
	get("health/checks/virtual-hosts", healthy)
	get("health/checks/is-in-service", healthy)
	get("health/checks/ready-to-serve-clients", healthy)
	get("health/checks/node-is-quorum-critical", checkQuorum)
	get("health/checks/node-is-mirror-sync-critical", checkQuorum)
	get("health/checks/certificate-expiration/{number}/{unit}", checkCertificate)
	get("health/checks/port-listener/{port}", checkPort)
	get("health/checks/protocol-listener/{protocol}", checkProtocol)
}

// find returns the route of a request. Segments are told apart before they are unescaped: %2F is the name of a virtual host.
func find(method, escaped string) (found *route, vars []string, methods []string) {
	in := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	for i, s := range in {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, nil, nil
		}
		in[i] = plain
	}
	for _, r := range routes {
		v, ok := r.fits(in)
		if !ok {
			continue
		}
		if r.method == method || method == http.MethodHead && r.method == http.MethodGet {
			return r, v, nil
		}
		if !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	return nil, nil, methods
}

func (r *route) fits(in []string) (vars []string, ok bool) {
	if len(in) != len(r.segments) {
		return nil, false
	}
	for i, s := range r.segments {
		switch {
		case s[0] == '{':
			vars = append(vars, in[i])
		case s != in[i]:
			return nil, false
		}
	}
	return vars, true
}

// handle answers a request, and says which route it took.
func (g *Gateway) handle(x *call) (*route, error) {
	if err := g.guard(x.r); err != nil {
		return nil, x.refuse(err)
	}
	path, is := strings.CutPrefix(x.r.URL.EscapedPath(), "/api/")
	if !is {
		if x.r.URL.Path == "/" || x.r.URL.Path == "/api" {
			x.text("This is RabbitMQ's management API on Leat: /api/overview and so on. It has no pages.\n")
			return nil, nil
		}
		if x.r.URL.Path == "/cli/rabbitmqadmin" || x.r.URL.Path == "/cli/" {
			x.text("rabbitmqadmin comes with RabbitMQ; any version of it that speaks to RabbitMQ 3.10 works here.\n")
			return nil, nil
		}
		return nil, x.refuse(errNotFound)
	}
	r, vars, methods := find(x.r.Method, path)
	switch {
	case r == nil && len(methods) == 0:
		return nil, x.refuse(errNotFound)
	case r == nil:
		x.w.Header().Set("Allow", strings.Join(append(methods, http.MethodOptions), ", "))
		if x.r.Method == http.MethodOptions {
			x.w.WriteHeader(http.StatusOK)
			return nil, nil
		}
		return nil, x.refuse(&problem{status: http.StatusMethodNotAllowed, name: "method_not_allowed", reason: "use " + strings.Join(methods, ", ")})
	}
	ctx, cancel := g.timeout(x.r.Context())
	defer cancel()
	x.vars, x.query = vars, x.r.URL.Query()
	err := x.login(ctx)
	if err == nil {
		err = x.checkVhost(r)
	}
	if err == nil {
		err = r.run(ctx, x)
	}
	if err != nil {
		return r, x.refuse(err)
	}
	return r, nil
}

// login finds out who it is, by Basic. Credentials that are sent are checked even when none are needed, unless there are no users at all: then
// everybody is nobody, whatever name a tool's defaults say.
func (x *call) login(ctx context.Context) error {
	host := hostOnly(x.r.RemoteAddr)
	x.vhost = vhostRoot
	x.caller = broker.Caller{Listener: x.listener, Protocol: "rabbitmq", Address: host, Client: clip(x.r.UserAgent())}
	name, password, given := x.r.BasicAuth()
	x.user, x.password = "guest", "guest"
	if given {
		x.user, x.password = name, password
	}
	if !x.g.b.UsersExist() {
		return nil
	}
	if !given {
		return errLogin
	}
	if err := x.g.b.CheckPassword(ctx, &x.caller, name, password); err != nil {
		if fault.Is(err, fault.Denied) {
			return errLogin
		}
		return err
	}
	x.caller.Principal, x.caller.Namespace = name, x.g.b.NamespaceOf(name)
	return nil
}

// checkVhost takes the virtual host that the path names, and refuses those that the caller may not open.
func (x *call) checkVhost(r *route) error {
	at := slices.Index(slices.DeleteFunc(slices.Clone(r.segments), func(s string) bool { return s[0] != '{' }), "{vhost}")
	if at < 0 {
		return nil
	}
	x.one = true
	namespace, ok := x.g.amqp.Namespace(&x.caller, x.vars[at])
	if ok {
		x.vhost, x.caller.Namespace = x.vars[at], namespace
		return nil
	}
	if x.r.Method == http.MethodPut || x.r.Method == http.MethodPost {
		return &problem{status: http.StatusNotFound, name: "not_found", reason: "vhost_not_found"}
	}
	return errNotFound
}

// each does something in the virtual host that the path names, or in each that the caller may open.
func (x *call) each(do func(x *call) error) error {
	if x.one {
		return do(x)
	}
	for _, vhost := range x.g.amqp.Vhosts(&x.caller) {
		in := *x
		in.vhost = vhost
		in.caller.Namespace, _ = x.g.amqp.Namespace(&x.caller, vhost) // it is one of his
		if err := do(&in); err != nil {
			return err
		}
	}
	return nil
}
