package http

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/internal/hooks"
)

// Hooks take the webhooks of others in: POST /v1/hooks/{name}. A sender cannot log in, but it signs; internal/hooks checks that. docs/webhooks.md
// is for who uses them.
//
//	hooks.go          what a hook is, stored and compiled
//	hooks_pick.go     where type, key, subject and id of an event come from
//	hooks_deliver.go  POST, and the handshakes
//	hooks_manage.go   PUT, GET, DELETE
//	hooks_seen.go     what came and what was refused
//
// A hook is a document of the catalog (broker.KindHook). It writes as the user who put it last: with his grants, under his quota, and no longer
// than he may.

// protocolHook is the protocol in the origin of events that came in by a hook; the client is the hook's name.
const protocolHook = "webhook"

// schemeNone is no signature: the sender logs in like everybody else.
const schemeNone = "none"

// Limits of a hook.
const (
	hookBodyBytesDefault = 1 << 20
	hookSecretBytesLeast = 8
	hookOriginsMax       = 16
)

// hookSettings are what may be told of a hook, in its document and in the API.
type hookSettings struct {
	Scheme  string `json:"scheme"`
	Stream  string `json:"stream"`
	Source  string `json:"source,omitempty"`  // of its events
	Type    *pick  `json:"type,omitempty"`    // without: what the scheme says, else the stream's default
	Key     *pick  `json:"key,omitempty"`     //
	Subject *pick  `json:"subject,omitempty"` //
	ID      *pick  `json:"id,omitempty"`      // without: what the scheme says

	ToleranceMS  int64        `json:"tolerance_ms,omitempty"`
	BodyBytesMax int          `json:"body_bytes_max,omitempty"`
	CloudEvents  bool         `json:"cloudevents,omitempty"`  // bodies that are CloudEvents are stored as these
	HMAC         *hookHMAC    `json:"hmac,omitempty"`         // of the scheme hmac
	Consent      *hookConsent `json:"consent,omitempty"`      // whom to answer that ask before they send
	Fingerprints []string     `json:"fingerprints,omitempty"` // of the secrets, the newest first
}

// hookHMAC is hooks.HMACConfig in JSON.
type hookHMAC struct {
	Header          string `json:"header"`
	Algorithm       string `json:"algorithm,omitempty"`
	Encoding        string `json:"encoding,omitempty"`
	Prefix          string `json:"prefix,omitempty"`
	Separator       string `json:"separator,omitempty"`
	TimestampHeader string `json:"timestamp_header,omitempty"`
	TimestampMillis bool   `json:"timestamp_millis,omitempty"`
	Signed          string `json:"signed,omitempty"`
	IDHeader        string `json:"id_header,omitempty"`
	IDField         string `json:"id_field,omitempty"`
	TypeHeader      string `json:"type_header,omitempty"`
	TypeField       string `json:"type_field,omitempty"`
	SecretEncoding  string `json:"secret_encoding,omitempty"`
}

// hookConsent says which handshakes are answered with yes.
type hookConsent struct {
	Origins   []string `json:"origins,omitempty"`         // CloudEvents' OPTIONS
	Rate      int      `json:"rate_per_minute,omitempty"` // likewise; 0 is no limit
	EventGrid bool     `json:"event_grid,omitempty"`      // validations of Event Grid's own schema
}

// hook is a document, compiled. It is replaced when the document changes, but for what was seen.
type hook struct {
	doc      *broker.Document
	settings hookSettings
	verifier *hooks.Verifier // nil: the scheme is none
	source   string
	bodyMost int
	seen     *hookSeen
}

// compileHook makes a hook of what is stored, or finds what is wrong with what shall be.
func compileHook(s *hookSettings, secrets []string) (*hooks.Verifier, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Scheme == schemeNone {
		if len(secrets) > 0 {
			return nil, hookWrong("secrets", "without a scheme there is nothing to check with a secret")
		}
		return nil, nil
	}
	if len(secrets) == 0 {
		return nil, hookWrong("secrets", "the scheme %s needs a secret: give secrets or add_secret, or where you may choose it new_secret: true", clip(s.Scheme))
	}
	cfg := hooks.Config{Scheme: hooks.Scheme(s.Scheme), Secrets: secrets, Tolerance: time.Duration(s.ToleranceMS) * time.Millisecond}
	if s.HMAC != nil {
		cfg.HMAC = hooks.HMACConfig(*s.HMAC)
	}
	v, err := hooks.New(cfg)
	if err != nil { // tells no secret
		text := strings.TrimPrefix(err.Error(), "hooks: ")
		return nil, hookWrong(hookFieldOf(text), "%s", text)
	}
	return v, nil
}

// hookFieldOf is the member that a refusal of internal/hooks is about.
func hookFieldOf(text string) string {
	word, _, _ := strings.Cut(text, " ")
	switch word {
	case "tolerance":
		return "tolerance_ms"
	case "algorithm", "encoding", "header", "signed", "secret_encoding":
		return "hmac/" + word
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "key") {
		return "secrets"
	}
	return "scheme"
}

func hookWrong(field, format string, args ...any) *problem {
	return wrong("hook", strings.ReplaceAll(field, "/", "."), format, args...).at("/" + field)
}

// check refuses settings that cannot mean anything.
func (s *hookSettings) check() error {
	switch hooks.Scheme(s.Scheme) {
	case hooks.Standard, hooks.GitHub, hooks.Stripe, hooks.Slack, hooks.HMAC, schemeNone:
	default:
		return hookWrong("scheme", "%q is no scheme; standard, github, stripe, slack, hmac and none are", clip(s.Scheme))
	}
	if (s.HMAC != nil) != (s.Scheme == string(hooks.HMAC)) {
		return hookWrong("hmac", "the scheme hmac goes with the member hmac, and no other scheme does")
	}
	if err := record.CheckStreamName(s.Stream); err != nil {
		return hookWrong("stream", "%s", asProblem(err).fault.Text)
	}
	if s.Source != "" {
		if err := (&record.Event{SpecVersion: "1.0", ID: "x", Source: s.Source, Type: "x"}).Validate(); err != nil {
			return hookWrong("source", "%s", asProblem(err).fault.Text)
		}
	}
	if s.ToleranceMS < 0 || s.ToleranceMS > hooks.ToleranceMost.Milliseconds() {
		return hookWrong("tolerance_ms", "it is %d; it must be up to %d", s.ToleranceMS, hooks.ToleranceMost.Milliseconds())
	}
	if s.BodyBytesMax < 0 || s.BodyBytesMax > bodyBytesMost {
		return hookWrong("body_bytes_max", "it is %d; it must be up to %d", s.BodyBytesMax, bodyBytesMost)
	}
	for name, p := range map[string]*pick{"type": s.Type, "key": s.Key, "subject": s.Subject, "id": s.ID} {
		if err := p.check(name); err != nil {
			return err
		}
	}
	if c := s.Consent; c != nil {
		if len(c.Origins) > hookOriginsMax {
			return hookWrong("consent/origins", "there are %d; the limit is %d", len(c.Origins), hookOriginsMax)
		}
		if c.Rate < 0 || c.Rate > hooks.RateMost {
			return hookWrong("consent/rate_per_minute", "it is %d; it must be up to %d", c.Rate, hooks.RateMost)
		}
	}
	return nil
}

// warnings are what whoever looks after the hook should know.
func (g *Gateway) hookWarnings(d *broker.Document, s *hookSettings) (w []string) {
	switch s.Scheme {
	case schemeNone:
		if g.broker.UsersExist() {
			w = append(w, "UNSIGNED: nothing proves who sent an event. The sender has to log in as a user who may write to the stream")
		} else {
			w = append(w, "UNSIGNED, AND THERE ARE NO USERS: everybody who reaches this address can put anything into the stream")
		}
	case string(hooks.GitHub):
		w = append(w, "github signs neither a time nor the delivery's id: who recorded a request can send it again under another id")
	case string(hooks.HMAC):
		if s.HMAC != nil && s.HMAC.TimestampHeader == "" {
			w = append(w, "no time is signed: who recorded a request can send it again, for ever")
		}
	}
	if s.Scheme == schemeNone || !g.broker.UsersExist() {
		return w
	}
	c := &broker.Caller{Principal: d.By, Namespace: d.Namespace}
	switch {
	case d.By == "":
		w = append(w, "it was put when there were no users, and writes as nobody: deliveries are refused until a user who may write to the stream puts it again")
	case !g.broker.Allowed(c, broker.ActionWrite, broker.KindStream, s.Stream):
		w = append(w, fmt.Sprintf("it writes as %s, who put it and may not write to the stream %s: deliveries are refused", d.By, s.Stream))
	}
	return w
}

// hookIndex are the hooks that were used since the start.
type hookIndex struct {
	mu     sync.RWMutex
	byName map[hookName]*hook
}

type hookName struct{ namespace, name string }

// hookOf is the hook of that name, nil when there is none. An error is a document that cannot be understood, such as one of a newer program.
func (g *Gateway) hookOf(namespace, name string) (*hook, error) {
	d := g.broker.OwnDocument(broker.KindHook, namespace, name)
	if d == nil {
		return nil, nil
	}
	k := hookName{d.Namespace, d.Name}
	g.hooks.mu.RLock()
	h := g.hooks.byName[k]
	g.hooks.mu.RUnlock()
	if h != nil && h.doc.Revision == d.Revision {
		return h, nil
	}
	made := &hook{doc: d, source: hookSource(d.Namespace, d.Name)}
	if err := json.Unmarshal(d.Told, &made.settings); err != nil {
		return nil, fmt.Errorf("the document of the hook %s: %s", name, err.Error()) // not as the fault of who sends
	}
	secrets, err := hookSecrets(d)
	if err != nil {
		return nil, err
	}
	if made.verifier, err = compileHook(&made.settings, secrets); err != nil {
		return nil, fmt.Errorf("the document of the hook %s: %s", name, err.Error()) // not as the fault of who sends
	}
	if made.settings.Source != "" {
		made.source = made.settings.Source
	}
	if made.bodyMost = made.settings.BodyBytesMax; made.bodyMost == 0 {
		made.bodyMost = hookBodyBytesDefault
	}
	made.bodyMost = min(made.bodyMost, g.config.BodyBytesMax)
	g.hooks.mu.Lock()
	defer g.hooks.mu.Unlock()
	if now := g.hooks.byName[k]; now != nil {
		if now.doc.Revision >= d.Revision { // somebody else was faster
			return now, nil
		}
		made.seen = now.seen
	} else {
		made.seen = g.metrics.newHookSeen(k)
	}
	g.hooks.byName[k] = made
	return made, nil
}

// forgetHook drops what is known of a hook that was deleted, its series included.
func (g *Gateway) forgetHook(namespace, name string) {
	if namespace == "" {
		namespace = broker.DefaultNamespace
	}
	k := hookName{namespace, name}
	g.hooks.mu.Lock()
	defer g.hooks.mu.Unlock()
	if g.hooks.byName[k] != nil && g.broker.OwnDocument(broker.KindHook, namespace, name) == nil {
		delete(g.hooks.byName, k)
		g.metrics.forgetHook(k)
	}
}

func hookSource(namespace, name string) string {
	if namespace == broker.DefaultNamespace {
		return "/hooks/" + name
	}
	return "/namespaces/" + namespace + "/hooks/" + name
}

func hookPath(namespace, name string) string {
	p := "/v1/hooks/" + name
	if namespace != broker.DefaultNamespace {
		p += "?namespace=" + namespace
	}
	return p
}

// hookSecrets are the secrets in a document.
func hookSecrets(d *broker.Document) (secrets []string, err error) {
	if d == nil || len(d.Secret) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(d.Secret, &secrets); err != nil {
		return nil, fmt.Errorf("the secrets of the hook %s cannot be read", d.Name) // and are in no error
	}
	return secrets, nil
}
