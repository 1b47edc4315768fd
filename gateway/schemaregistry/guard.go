package schemaregistry

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guard stands before everything else. A page of a foreign origin could send requests with what the browser adds on its own: Origin says whose page
// it was. And a foreign page can give its own name our address (DNS rebinding): then Host is that name. While no users exist every caller is trusted,
// so only loopback names, configured ones and the very address of the connection are answered.
func (g *Gateway) guard(r *http.Request) error {
	if !g.b.UsersExist() && !g.hostAllowed(r) {
		return &problem{http.StatusForbidden, 40301, "while no users exist only loopback names are answered; call it as localhost, or add the name to gateways.schema-registry.hosts, or create a user"}
	}
	for _, origin := range r.Header["Origin"] {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return &problem{http.StatusForbidden, 40301, "pages of other origins may not call"}
		}
	}
	return nil
}

func (g *Gateway) hostAllowed(r *http.Request) bool {
	host := hostOnly(r.Host)
	if strings.EqualFold(host, "localhost") || slices.ContainsFunc(g.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.Unmap().IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap() == ip.Unmap()
}

// hostOnly is an address without its port and brackets.
func hostOnly(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return strings.Trim(hostPort, "[]")
}
