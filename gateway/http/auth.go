package http

import (
	"encoding/base64"
	"strings"

	"leat/broker/fault"
)

// maxCredentialBytes bounds what is decoded and hashed for one login.
const maxCredentialBytes = 4 << 10

// login sets the principal from the Authorization header. Credentials that are sent are checked even when none are needed: a client
// that means to be somebody must not be served as nobody without hearing of it.
func (x *call) login() error {
	x.who.Address = hostOf(x.r.RemoteAddr)
	auth := x.r.Header["Authorization"]
	if len(auth) == 0 {
		if x.g.broker.UsersExist() {
			return loginFault("this node has users; send a Bearer token, or a user and password as Basic")
		}
		return nil
	}
	if len(auth) > 1 || len(auth[0]) > maxCredentialBytes {
		return loginFault("there must be one Authorization header, of at most 4096 bytes")
	}
	scheme, rest, _ := strings.Cut(auth[0], " ")
	rest = strings.TrimLeft(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		principal, err := x.g.broker.CheckToken(x.r.Context(), &x.who, rest)
		if err != nil {
			return err
		}
		x.who.Principal = principal
	case strings.EqualFold(scheme, "Basic"):
		user, password, err := parseBasic(rest)
		if err != nil {
			return err
		}
		if err := x.g.broker.CheckPassword(x.r.Context(), &x.who, user, password); err != nil {
			return err
		}
		x.who.Principal = user
	default:
		return loginFault("this Authorization scheme is not known; Bearer and Basic are")
	}
	return nil
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		addr = addr[:i]
	}
	return strings.Trim(addr, "[]")
}

// parseBasic reads user:password in base64 (RFC 7617).
func parseBasic(s string) (user, password string, err error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", "", loginFault("the Basic credentials are not base64 of user:password")
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok || user == "" {
		return "", "", loginFault("the Basic credentials have no user or no colon")
	}
	return user, password, nil
}

func loginFault(text string) error {
	return &problem{
		fault: fault.New(fault.Denied, "login", "", "%s", text).Because(fault.ReasonLogin),
		field: "Authorization",
	}
}
