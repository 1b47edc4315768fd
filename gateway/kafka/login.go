package kafka

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

const (
	keyAPIVersions      int16 = 18
	keySaslHandshake    int16 = 17
	keySaslAuthenticate int16 = 36
)

const mechanismOAuth = "OAUTHBEARER"

// mechanisms are offered in this order; that of tokens where the gateway has somebody whose tokens it takes.
func (g *Gateway) mechanisms() []string {
	all := []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"}
	if g.tokens != nil {
		all = append(all, mechanismOAuth)
	}
	return all
}

// errLogin ends a connection whose login was refused.
var errLogin = errors.New("the user name or the secret is wrong")

// login is where a connection stands with SASL. A client says which mechanism it wants (SaslHandshake), then sends tokens: in
// SaslAuthenticate requests after a handshake of version 1, bare, with nothing but a length before each, after one of version 0. It may
// begin again on a live connection, to prolong its login; until that has succeeded, requests are those of the old principal.
type login struct {
	mechanism string       // "" before a handshake
	raw       bool         // tokens come bare
	scram     *scramServer // nil before its first token
	refused   error        // of a token of OAUTHBEARER, whose client has been told and has still to acknowledge it
	token     time.Time    // when the token that was taken expires; zero: it is none

	as      string    // the user that has logged in by SASL, "" is nobody yet
	expires time.Time // by when it has to do so again; zero: never
}

// SaslHandshake(17), versions 0-1.
func (k *conn) saslHandshake(s *slot) error {
	q := kmsg.NewPtrSASLHandshakeRequest()
	q.SetVersion(s.header.Version)
	if err := decode(q, s.body); err != nil {
		return fmt.Errorf("sasl handshake: %w", err)
	}
	r := kmsg.NewPtrSASLHandshakeResponse()
	r.SupportedMechanisms = k.g.mechanisms()
	k.login = k.login.again()
	for _, m := range r.SupportedMechanisms {
		if q.Mechanism == m {
			k.login.mechanism, k.login.raw = m, s.header.Version == 0
		}
	}
	if k.login.mechanism == "" {
		r.ErrorCode = codeUnsupportedMechanism
	}
	s.ready = appendResponse(nil, s, r)
	return nil
}

// SaslAuthenticate(36), versions 0-2. A refused login is answered after LoginDelay, and ends the connection.
func (k *conn) saslAuthenticate(ctx context.Context, s *slot) (end bool, err error) {
	q := kmsg.NewPtrSASLAuthenticateRequest()
	q.SetVersion(s.header.Version)
	if err := decode(q, s.body); err != nil {
		return false, fmt.Errorf("sasl authenticate: %w", err)
	}
	r := kmsg.NewPtrSASLAuthenticateResponse()
	if k.login.mechanism == "" {
		r.ErrorCode, r.ErrorMessage = codeIllegalSaslState, new("SaslHandshake comes first")
		s.ready = appendResponse(nil, s, r)
		return false, nil
	}
	r.SASLAuthBytes, err = k.token(ctx, q.SASLAuthBytes)
	if err != nil {
		s.err, s.last = err, true
		r.ErrorCode, r.ErrorMessage = codeLoginFailed, message(fault.As(err))
	}
	if r.SASLAuthBytes == nil {
		r.SASLAuthBytes = []byte{}
	}
	if err == nil && k.login.mechanism == "" && !k.login.expires.IsZero() {
		r.SessionLifetimeMillis = max(k.login.expires.Sub(clock.Now()).Milliseconds(), 1)
	}
	s.ready = appendResponse(nil, s, r)
	return s.last, nil
}

// rawToken is a token after a handshake of version 0. There is no way to say that it was refused but to close the connection.
func (k *conn) rawToken(ctx context.Context, s *slot, token []byte) (end bool, err error) {
	s.id, s.caller, s.op = k.c.NextRequest(), k.caller, k.ops[keySaslAuthenticate]
	answer, err := k.token(ctx, token)
	if err != nil {
		return false, err
	}
	s.ready = append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)
	return false, nil
}

// token takes one step of the mechanism. When it was the last, the connection is the user's.
func (k *conn) token(ctx context.Context, token []byte) (answer []byte, err error) {
	var user string
	switch k.login.mechanism {
	case "PLAIN":
		user, err = k.plain(ctx, token)
	case mechanismOAuth:
		answer, user, err = k.bearer(ctx, token)
	default:
		answer, user, err = k.scramStep(token)
	}
	if err == nil && user != "" && k.login.as != "" && k.login.as != user {
		err = refused(user, "a connection stays that of the user who logged in first")
	}
	if err != nil {
		k.login = k.login.again()
		k.c.Log().Warn("login refused", "user", clip(user), "client", k.caller.Client, "error", err)
		if waitErr := clock.Sleep(ctx, k.g.cfg.LoginDelay); waitErr != nil {
			return nil, waitErr
		}
		return nil, err
	}
	if user != "" {
		c := *k.caller
		c.Principal, c.Namespace = user, k.g.b.NamespaceOf(user)
		k.caller = &c
		expires := k.login.token
		k.login = k.login.again()
		k.login.as, k.login.expires = user, k.g.sessionEnd(expires)
	}
	return answer, nil
}

// again is where a connection stands when a login begins or has ended: what it is logged in as stays.
func (l login) again() login { return login{as: l.as, expires: l.expires} }

// sessionEnd is by when a client has to log in again, given when its token expires, if it has one.
func (g *Gateway) sessionEnd(token time.Time) time.Time {
	if g.cfg.SessionLifetimeMax == 0 {
		return token
	}
	if end := clock.Now().Add(g.cfg.SessionLifetimeMax); token.IsZero() || end.Before(token) {
		return end
	}
	return token
}

// expired says that a request must not be served because the client should have logged in again before it (KIP-368).
func (k *conn) expired(key int16) error {
	if k.login.expires.IsZero() || key == keySaslHandshake || key == keySaslAuthenticate || key == keyAPIVersions || clock.Now().Before(k.login.expires) {
		return nil
	}
	return fmt.Errorf("%s should have logged in again by %s", k.login.as, k.login.expires.UTC().Format(time.RFC3339))
}

// bearer is RFC 7628: "n,a=USER," then key=value pairs that each end in \x01, of which auth=Bearer TOKEN counts, then \x01. Who is refused gets an
// object that says so, which it acknowledges with \x01, and only then the login has failed.
func (k *conn) bearer(ctx context.Context, message []byte) (answer []byte, user string, err error) {
	if err := k.login.refused; err != nil {
		return nil, "", err
	}
	refuse := func(user, text string, cause error) ([]byte, string, error) {
		k.g.b.LoginRefused(k.caller, user)
		k.login.refused = fault.New(fault.Denied, "login", clip(user), "%s", text).Because(fault.ReasonLogin).From(cause)
		return []byte(`{"status":"invalid_token"}`), "", nil
	}
	head, rest, ok1 := strings.Cut(string(message), ",")
	authz, rest, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 || head != "n" && head != "y" || !strings.HasPrefix(rest, "\x01") {
		return nil, "", refused("", "this is no message of OAUTHBEARER")
	}
	token := ""
	for pair := range strings.SplitSeq(rest, "\x01") {
		name, value, _ := strings.Cut(pair, "=")
		scheme, credentials, _ := strings.Cut(value, " ")
		if name == "auth" && strings.EqualFold(scheme, "bearer") {
			token = strings.TrimSpace(credentials)
		}
	}
	user, expires, err := k.g.tokens.Verify(ctx, token)
	switch {
	case err != nil:
		return refuse(user, "the token is not taken", err)
	case authz != "" && authz != "a="+user:
		return refuse(user, "nobody may act as somebody else", nil)
	case k.g.b.UsersExist() && !k.g.b.HasUser(user):
		return refuse(user, "the user of the token is not known here", nil)
	}
	k.login.token = expires
	return nil, user, nil
}

func refused(user, text string) error {
	return fault.New(fault.Denied, "login", user, "%s", text).Because(fault.ReasonLogin)
}

// plain is RFC 4616: authorization identity, NUL, user, NUL, password.
func (k *conn) plain(ctx context.Context, token []byte) (user string, err error) {
	parts := strings.Split(string(token), "\x00")
	if len(parts) != 3 || parts[1] == "" {
		return "", refused("", "a PLAIN token is: authorization identity, NUL, user name, NUL, password")
	}
	if parts[0] != "" && parts[0] != parts[1] {
		return parts[1], refused(parts[1], "nobody may act as somebody else")
	}
	return parts[1], k.g.b.CheckPassword(ctx, k.caller, parts[1], parts[2])
}

// scramStep takes the first token, or the second, with which the user is known.
func (k *conn) scramStep(token []byte) (answer []byte, user string, err error) {
	if k.login.scram == nil {
		mechanism := k.login.mechanism
		k.login.scram = newScram(mechanism, func(user string) broker.ScramSecret { return k.secretOf(user, mechanism) })
	}
	conv := k.login.scram
	answer, done, err := conv.step(token)
	switch {
	case err != nil:
		k.g.b.LoginRefused(k.caller, conv.user)
		return nil, conv.user, fault.New(fault.Denied, "login", clip(conv.user), "%s", err).Because(fault.ReasonLogin)
	case done:
		return answer, conv.user, nil
	}
	return answer, "", nil
}

// pepper makes salts of users that do not exist: the same each time, as those of users that do.
var pepper = func() (p [32]byte) { rand.Read(p[:]); return p }()

// scramIterations is how often secrets are hashed when nobody says otherwise; what a user that does not exist is said to have.
const (
	scramIterations = 8192
	scramSaltBytes  = 16
)

// secretOf is what the server keeps of a user's password. A name that is nobody's gets something that no password fits, so that asking
// tells nothing.
func (k *conn) secretOf(user, mechanism string) broker.ScramSecret {
	if secret, ok := k.g.b.ScramSecret(user, mechanism); ok {
		return secret
	}
	mac := hmac.New(sha256.New, pepper[:])
	mac.Write([]byte(mechanism + "\x00" + user))
	salt := mac.Sum(nil)
	none := make([]byte, 64)
	if mechanism == "SCRAM-SHA-256" {
		none = none[:32]
	}
	return broker.ScramSecret{Salt: salt[:scramSaltBytes], Iterations: scramIterations, StoredKey: none, ServerKey: none}
}
