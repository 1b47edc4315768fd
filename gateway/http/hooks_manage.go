package http

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/hooks"
)

// GET /v1/hooks, GET, PUT and DELETE /v1/hooks/{name}. Secrets go in and never come out, but for one that was made here, once, in the answer to
// the PUT that asked for it.

// hookPut is what a PUT takes: it replaces the settings. Secrets that are not mentioned stay.
type hookPut struct {
	Name string `json:"name"`
	hookSettings
	Secrets     *[]string `json:"secrets"`      // all that there shall be
	AddSecret   string    `json:"add_secret"`   // one more, the newest
	NewSecret   bool      `json:"new_secret"`   // one more that is made here
	DropSecrets []string  `json:"drop_secrets"` // by fingerprint
}

// hookJSON is a hook as the API shows it.
type hookJSON struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Path      string `json:"path"` // where deliveries go
	hookSettings
	By       string        `json:"by,omitempty"`
	Created  string        `json:"created"`
	Changed  string        `json:"changed"`
	Revision uint64        `json:"revision"`
	Warnings []string      `json:"warnings,omitempty"`
	Seen     *hookCounts   `json:"seen,omitempty"`
	Refusals []hookRefusal `json:"refusals,omitempty"`   // newest first
	Secret   string        `json:"new_secret,omitempty"` // once
}

func (g *Gateway) hookJSON(d *broker.Document, inFull bool) (hookJSON, error) {
	out := hookJSON{
		Name: d.Name, Namespace: d.Namespace, Path: hookPath(d.Namespace, d.Name), By: d.By, Revision: d.Revision,
		Created: d.Created.UTC().Format(time.RFC3339Nano), Changed: d.Changed.UTC().Format(time.RFC3339Nano),
	}
	if err := json.Unmarshal(d.Told, &out.hookSettings); err != nil {
		return out, err
	}
	out.Warnings = g.hookWarnings(d, &out.hookSettings)
	if !inFull {
		return out, nil
	}
	g.hooks.mu.RLock()
	h := g.hooks.byName[hookName{d.Namespace, d.Name}]
	g.hooks.mu.RUnlock()
	out.Seen = &hookCounts{Refused: map[string]int64{}}
	if h != nil {
		var c hookCounts
		c, out.Refusals = h.seen.tell()
		out.Seen = &c
	}
	return out, nil
}

func listHooks(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	all, err := x.g.broker.ListDocuments(x.r.Context(), x.caller(), broker.KindHook)
	if err != nil {
		return err
	}
	out := make([]hookJSON, 0, len(all))
	for _, d := range all {
		h, err := x.g.hookJSON(d, false)
		if err != nil {
			return err
		}
		out = append(out, h)
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Hooks []hookJSON `json:"hooks"`
	}{out})
}

func getHook(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	d, err := x.g.broker.GetDocument(x.r.Context(), x.caller(), broker.KindHook, x.params[0])
	if err != nil {
		return err
	}
	return x.answerHook(nethttp.StatusOK, d, "")
}

func (x *call) answerHook(code int, d *broker.Document, secret string) error {
	doc, err := x.g.hookJSON(d, true)
	if err != nil {
		return err
	}
	doc.Secret = secret
	h := x.w.Header()
	h.Set("ETag", `"`+strconv.FormatUint(d.Revision, 10)+`"`)
	if secret != "" {
		h["Cache-Control"] = headerNoStore
	}
	if code == nethttp.StatusCreated {
		h.Set("Location", doc.Path)
	}
	return x.answerJSON(code, doc)
}

// putHook makes a hook or replaces its settings.
func putHook(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	var doc hookPut
	if err := decodeJSON("hook", x.body.bytes, &doc); err != nil {
		return err
	}
	name := x.params[0]
	if doc.Name != "" && doc.Name != name {
		return wrong("hook", "name", "the path says %q and the body %q", clip(name), clip(doc.Name)).at("/name")
	}
	revision, err := x.ifMatch()
	if err != nil {
		return err
	}
	made := ""
	if doc.NewSecret {
		if made, err = newHookSecret(&doc.hookSettings); err != nil {
			return err
		}
		if doc.AddSecret != "" || doc.Secrets != nil {
			return hookWrong("new_secret", "it goes without secrets and add_secret")
		}
		doc.AddSecret = made
	}
	d, created, err := x.g.broker.PutDocument(x.r.Context(), x.caller(), broker.KindHook, name, revision,
		func(old *broker.Document) (json.RawMessage, []byte, error) {
			if old != nil && x.r.Header.Get("If-None-Match") == "*" {
				return nil, nil, fault.New(fault.Exists, "put", name, "there is a hook of that name")
			}
			return x.editHook(&doc, old)
		})
	if err != nil {
		return err
	}
	code := nethttp.StatusOK
	if created {
		code = nethttp.StatusCreated
	}
	return x.answerHook(code, d, made)
}

// editHook is what shall be kept. Whoever puts a hook must be able to do himself what it does.
func (x *call) editHook(doc *hookPut, old *broker.Document) (told json.RawMessage, secret []byte, err error) {
	s := doc.hookSettings
	secrets, err := doc.secretsOver(old)
	if err != nil {
		return nil, nil, err
	}
	if _, err = compileHook(&s, secrets); err != nil {
		return nil, nil, err
	}
	if err := x.mayWriteTo(s.Stream); err != nil {
		return nil, nil, err
	}
	s.Fingerprints = nil
	for _, secret := range secrets {
		s.Fingerprints = append(s.Fingerprints, fingerprint(secret))
	}
	if told, err = json.Marshal(s); err != nil {
		return nil, nil, err
	}
	if len(secrets) > 0 {
		if secret, err = json.Marshal(secrets); err != nil {
			return nil, nil, err
		}
	}
	return told, secret, nil
}

// mayWriteTo refuses a stream that the caller could not publish to.
func (x *call) mayWriteTo(stream string) error {
	c := x.caller()
	if !x.g.broker.Allowed(c, broker.ActionWrite, broker.KindStream, stream) {
		return fault.New(fault.Denied, "put", stream, "a hook writes as the user who puts it, and you may not write to the stream %q", clip(stream))
	}
	if x.g.broker.Allowed(c, broker.ActionCreate, broker.KindStream, stream) {
		return nil
	}
	_, err := x.g.broker.DescribeStream(x.r.Context(), c, stream)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Denied, "put", stream, "there is no stream %q yet, and you may not create it", clip(stream))
	}
	return err
}

// secretsOver are the secrets after the change, the newest first.
func (doc *hookPut) secretsOver(old *broker.Document) ([]string, error) {
	secrets, err := hookSecrets(old)
	if err != nil {
		return nil, err
	}
	if doc.Scheme == schemeNone {
		secrets = nil
	}
	if doc.Secrets != nil {
		secrets = *doc.Secrets
	}
	for i, drop := range doc.DropSecrets {
		kept := slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return fingerprint(s) == drop })
		if len(kept) == len(secrets) {
			return nil, hookWrong("drop_secrets/"+strconv.Itoa(i), "no secret has the fingerprint %q", clip(drop))
		}
		secrets = kept
	}
	if doc.AddSecret != "" {
		secrets = append([]string{doc.AddSecret}, secrets...)
	}
	var once []string
	for _, s := range secrets {
		switch {
		case len(s) < hookSecretBytesLeast:
			return nil, hookWrong("secrets", "a secret has at least %d bytes", hookSecretBytesLeast)
		case strings.HasPrefix(s, "whsk_"):
			return nil, hookWrong("secrets", "this is the sender's private key, which belongs to nobody else; give the public one, whpk_")
		case !slices.Contains(once, s):
			once = append(once, s)
		}
	}
	return once, nil
}

// fingerprint names a secret: what `printf %s "$SECRET" | sha256sum | cut -c 1-8` prints. So few digits do not give a secret away, and tell
// those that one has apart.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:4])
}

// newHookSecret makes a secret where it is ours to choose.
func newHookSecret(s *hookSettings) (string, error) {
	switch hooks.Scheme(s.Scheme) {
	case hooks.Standard:
		return hooks.NewSecret(), nil
	case hooks.GitHub, hooks.HMAC:
	default:
		return "", hookWrong("new_secret", "with the scheme %s the secret comes from the sender; give it as add_secret", clip(s.Scheme))
	}
	b := make([]byte, 32)
	rand.Read(b) // never fails
	if s.HMAC != nil && s.HMAC.SecretEncoding == "base64" {
		return base64.StdEncoding.EncodeToString(b), nil
	}
	return hex.EncodeToString(b), nil
}

func deleteHook(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	revision, err := x.ifMatch()
	if err != nil {
		return err
	}
	if err := x.g.broker.DeleteDocument(x.r.Context(), x.caller(), broker.KindHook, x.params[0], revision); err != nil {
		return err
	}
	x.g.forgetHook(x.who.Namespace, x.params[0])
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}
