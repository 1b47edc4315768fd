package aws

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"leat/gateway/aws/wire"
	"leat/gateway/aws/wire/sigv4"
	"leat/internal/clock"
)

// credentialBytesMax bounds what is decoded and hashed for one login.
const credentialBytesMax = 4 << 10

// login sets the principal, and with it the namespace. Without users nobody has to be somebody, and clients sign with whatever keys they were given.
func (x *call) login(h *wire.Head) error {
	req := &sigv4.Request{
		Method: x.r.Method, Path: x.r.URL.EscapedPath(), Query: x.r.URL.RawQuery, Host: x.r.Host, Header: x.r.Header, Body: x.body,
	}
	users := x.g.broker.UsersExist()
	auth := x.r.Header.Get("Authorization")
	scheme, rest, _ := strings.Cut(auth, " ")
	switch {
	case len(auth) > credentialBytesMax:
		return wire.Refuse(wire.IncompleteSignature, "The Authorization header is too long.")
	case strings.EqualFold(scheme, "Bearer"):
		principal, err := x.g.broker.CheckToken(x.ctx, &x.who, strings.TrimSpace(rest))
		x.who.Principal = principal
		return err
	case strings.EqualFold(scheme, "Basic"):
		return x.basic(strings.TrimSpace(rest))
	case !users && !sigv4.Signed(req):
		return nil
	}
	s, err := sigv4.Parse(req)
	if err != nil {
		if !users { // it is not needed
			return nil
		}
		return err
	}
	h.Signed = s.Service
	if !users {
		return nil
	}
	principal, secret, known := x.g.broker.SigningSecret(s.AccessKey)
	if !known {
		var err error
		if principal, err = x.tokenOf(&s); err != nil {
			return err
		}
		secret = s.Token
	}
	if bad := x.g.keys.Verify(&s, req, secret, clock.Now(), sigv4.Rules{UnsignedPayload: x.r.TLS != nil}); bad != nil {
		if known {
			x.g.broker.LoginRefused(&x.who, principal)
		}
		return bad
	}
	x.who.Principal = principal
	return nil
}

// tokenOf is whose token signed a request where no access key did: then the user's name is the access key, and the token both secret key and
// session token.
func (x *call) tokenOf(s *sigv4.Signature) (principal string, err error) {
	if s.Token == "" || len(s.Token) > credentialBytesMax {
		x.g.broker.LoginRefused(&x.who, "")
		return "", wire.Refuse(wire.InvalidClientTokenID, "The security token included in the request is invalid: there is no such access key; `leat user create NAME --new-access-key` makes one.")
	}
	if principal, err = x.g.broker.CheckToken(x.ctx, &x.who, s.Token); err != nil {
		return "", err
	}
	if principal != s.AccessKey {
		return "", wire.Refuse(wire.InvalidClientTokenID, "The security token included in the request is invalid.")
	}
	return principal, nil
}

func (x *call) basic(text string) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok || user == "" {
		return wire.Refuse(wire.IncompleteSignature, "The Basic credentials are not base64 of user:password.")
	}
	if err := x.g.broker.CheckPassword(x.ctx, &x.who, user, password); err != nil {
		return err
	}
	x.who.Principal = user
	return nil
}

// guard refuses pages of other origins, and while no users exist, hosts that are not known: a page may have given its own name our
// address.
func (x *call) guard() error {
	if o := x.r.Header.Get("Origin"); o != "" {
		if u, err := url.Parse(o); err != nil || !strings.EqualFold(u.Host, x.r.Host) {
			return wire.Refuse(wire.AccessDenied, "Pages of other origins may not call.")
		}
	}
	if x.g.broker.UsersExist() || x.hostKnown() {
		return nil
	}
	return wire.Refuse(wire.AccessDenied, "While no users exist only loopback names are answered: call it as localhost, add the name to hosts, or create a user.")
}

func (x *call) hostKnown() bool {
	host := hostOf(x.r.Host)
	lower := strings.ToLower(host)
	if lower == "localhost" || strings.HasSuffix(lower, ".localhost") || slices.ContainsFunc(x.g.config.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap() == ip.Unmap()
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		addr = addr[:i]
	}
	return strings.Trim(addr, "[]")
}

// clientBytesMax is how much of what a client calls itself is kept.
const clientBytesMax = 100

func clip(s string) string { return s[:min(len(s), clientBytesMax)] }
