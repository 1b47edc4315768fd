package http

import (
	_ "embed"
	nethttp "net/http"

	"leat/broker"
	"leat/broker/fault"
)

// The node itself: GET /healthz, /readyz, /metrics, /openapi.json, /v1/listeners.

//go:embed openapi.json
var openAPI []byte

// healthz says that the process serves requests; nothing else is looked at, so that nothing else makes a supervisor kill it.
func healthz(x *call) error {
	x.answer(nethttp.StatusOK, contentTypeText, []byte("ok\n"))
	return nil
}

// readyz says whether events are taken and given.
func readyz(x *call) error {
	if err := x.g.broker.Ready(); err != nil {
		return err
	}
	x.answer(nethttp.StatusOK, contentTypeText, []byte("ready\n"))
	return nil
}

// serveMetrics needs the grant to describe the node, once there are users.
func serveMetrics(x *call) error {
	if !x.g.broker.Allowed(x.caller(), broker.ActionDescribe, broker.KindNode, "metrics") {
		return fault.New(fault.Denied, "metrics", "metrics", "%q has no grant to describe node metrics", x.who.Principal)
	}
	x.g.exposition.ServeHTTP(x.w, x.r)
	return nil
}

func serveOpenAPI(x *call) error {
	x.answer(nethttp.StatusOK, contentTypeJSON, openAPI)
	return nil
}

// OpenListener is an open listener of the node.
type OpenListener struct {
	Addr      string `json:"addr"`                // as it was bound
	Advertise string `json:"advertise,omitempty"` // where clients are told to connect, if that is elsewhere
	TLS       bool   `json:"tls"`
}

// listListeners says where the node can be connected to by which protocol. Whoever may log in may know.
func listListeners(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if x.g.broker.UsersExist() && x.who.Principal == "" {
		return fault.New(fault.Denied, "describe", "listeners", "log in first: this node has users").Because(fault.ReasonLogin)
	}
	doc := struct {
		Listeners map[string]OpenListener `json:"listeners"`
		Users     bool                    `json:"users"` // there are users: clients have to log in
	}{map[string]OpenListener{}, x.g.broker.UsersExist()}
	if x.g.opened != nil {
		doc.Listeners = x.g.opened()
	}
	return x.answerJSON(nethttp.StatusOK, doc)
}
