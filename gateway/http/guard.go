package http

import (
	"net"
	nethttp "net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"leat/broker/fault"
)

// The guard stands before everything else, on plain requests and on upgrades alike.
//
// A browser is a confused deputy in two ways. A page of a foreign origin can send requests to us with whatever the browser adds on
// its own: Origin says whose page it was, and is held against a list. And a foreign page can give its own name our address (DNS
// rebinding), so that its origin looks like ours: then Host carries the foreign name. While no users exist every caller is trusted,
// so only loopback names, the very address the connection came in on, and configured names are answered.

const (
	corsMethods = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, Last-Event-ID, Leat-Expected-Version, Leat-Key, Leat-Namespace, If-Match, " +
		"ce-specversion, ce-id, ce-source, ce-type, ce-subject, ce-time, ce-dataschema, ce-partitionkey, ce-traceparent, ce-tracestate"
	corsExposed = "Leat-Ref, Leat-Position, Leat-Version, ETag, Location, Retry-After"
	corsMaxAge  = "600"
)

// guard refuses a foreign Host or Origin. For a configured foreign origin it adds the CORS headers to w.
func (g *Gateway) guard(w nethttp.ResponseWriter, r *nethttp.Request) error {
	if !g.hostAllowed(r) {
		return &problem{
			fault: fault.New(fault.Denied, "request", clip(r.Host),
				"while no users exist only loopback names are answered; call it as localhost, or add the name to http.hosts, or create a user"),
			field: "Host",
		}
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return nil
	}
	origin := origins[0]
	if len(origins) > 1 || !g.originAllowed(origin, r.Host) {
		return &problem{
			fault: fault.New(fault.Denied, "request", clip(origin), "pages of this origin may not call; add it to http.origins if they should"),
			field: "Origin",
		}
	}
	h := w.Header()
	h["Vary"] = headerVaryOrigin
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", corsExposed)
	return nil
}

func (g *Gateway) hostAllowed(r *nethttp.Request) bool {
	if g.broker.UsersExist() {
		return true
	}
	host := hostOnly(r.Host)
	if loopbackName(host) || slices.ContainsFunc(g.config.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	local, ok := r.Context().Value(nethttp.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap() == ip.Unmap()
}

// loopbackName is localhost, a name under it, or a loopback address.
func loopbackName(host string) bool {
	if host == "127.0.0.1" || strings.EqualFold(host, "localhost") {
		return true
	}
	if len(host) > 10 && strings.EqualFold(host[len(host)-10:], ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// originAllowed is for our own origin, whatever the scheme a proxy in front speaks, and the configured ones.
func (g *Gateway) originAllowed(origin, host string) bool {
	if slices.Contains(g.config.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, host)
}

// hostOnly is a Host without its port and brackets.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 && (host[0] == '[' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(host, "]"), "["), ".")
}

// preflight answers OPTIONS: which methods there are, and for a browser's preflight (its origin has passed guard) what it may send.
func preflight(w nethttp.ResponseWriter, r *nethttp.Request, allow string) {
	h := w.Header()
	h.Set("Allow", allow)
	if r.Header.Get("Access-Control-Request-Method") != "" && r.Header.Get("Origin") != "" {
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(nethttp.StatusNoContent)
}
