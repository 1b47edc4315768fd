package http

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/push"
)

// The member push of a subscription: PUT takes it, GET shows it in config without what is secret, and beside it how the push fares. What is sent, and
// when, is package push. docs/webhooks.md is for who uses it.
//
// Of the settings, what is left out stays as it is, as with the subscription's own; push: null ends it.

// pushPut is what a PUT takes beside the settings.
type pushPut struct {
	push.Settings
	Ordered      bool      `json:"ordered"`      // one at a time, in the order of the stream: the subscription's order total
	Secrets      *[]string `json:"secrets"`      // all that there shall be, the newest first
	AddSecret    string    `json:"add_secret"`   // one more; the newest two stay
	NewSecret    bool      `json:"new_secret"`   // one more that is made here
	DropSecrets  []string  `json:"drop_secrets"` // by fingerprint
	Fingerprints []string  `json:"fingerprints"` // as they are shown: nothing happens by them
}

// pushJSON is the settings as they are shown.
type pushJSON struct {
	push.Settings
	Fingerprints []string `json:"fingerprints,omitempty"`
}

// pushStateJSON is how the push fares.
type pushStateJSON struct {
	State     string            `json:"state"`
	Why       string            `json:"why,omitempty"`
	Since     string            `json:"since,omitempty"`
	Until     string            `json:"until,omitempty"`
	Sending   int               `json:"sending"`
	Delivered int64             `json:"delivered"`
	Attempts  map[string]int64  `json:"attempts"`
	Last      *pushFailureJSON  `json:"last_failure,omitempty"`
	By        string            `json:"by,omitempty"`
	Warnings  []string          `json:"warnings,omitempty"`
	Consent   *pushConsentStamp `json:"consent,omitempty"`
}

type pushConsentStamp struct {
	RatePerMinute int `json:"rate_per_minute,omitempty"`
}

type pushFailureJSON struct {
	Time   string `json:"time"`
	Status int    `json:"status,omitempty"`
	Why    string `json:"why"`
	Answer string `json:"answer,omitempty"`
}

// keepPush is documents without that of the push in them, but with the one that was there.
func keepPush(docs, old map[string]string) map[string]string {
	docs = maps.Clone(docs)
	delete(docs, push.DocumentKey)
	if was := old[push.DocumentKey]; was != "" {
		if docs == nil {
			docs = map[string]string{}
		}
		docs[push.DocumentKey] = was
	}
	return docs
}

// shownPush is the member push of config; nil: there is none.
func shownPush(c *broker.SubscriptionConfig) json.RawMessage {
	d, ok := pushOf(c)
	if !ok {
		return nil
	}
	shown := pushJSON{Settings: d.Shown()}
	for _, s := range d.Secrets {
		shown.Fingerprints = append(shown.Fingerprints, fingerprint(s))
	}
	p, err := json.Marshal(shown)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	return p
}

func pushOf(c *broker.SubscriptionConfig) (d push.Document, ok bool) {
	text := c.Documents[push.DocumentKey]
	if text == "" {
		return d, false
	}
	d, err := push.ParseDocument(text)
	return d, err == nil
}

// changePush makes what a PUT says of the document of the push. secret is one that was made, to be shown once.
func (x *call) changePush(said json.RawMessage, c *broker.SubscriptionConfig, name string, fresh bool) (secret string, err error) {
	old, was := pushOf(c)
	switch {
	case len(said) == 0:
		if was {
			return "", pushOrder(c)
		}
		return "", nil
	case string(said) == "null":
		c.Documents = keepPush(c.Documents, nil)
		return "", nil
	case x.g.push == nil:
		return "", fault.New(fault.Unsupported, "subscribe", "push", "this listener has nothing to push with")
	}
	if !x.g.broker.Allowed(x.caller(), broker.ActionRead, broker.KindSubscription, name) {
		return "", fault.New(fault.Denied, "subscribe", name, "a push acts as the user who sets it up, and you may not read the subscription %q", clip(name))
	}
	put := pushPut{Settings: old.Settings}
	put.Headers = maps.Clone(old.Headers)
	var given map[string]json.RawMessage
	if json.Unmarshal(said, &given) == nil && given["headers"] != nil {
		put.Headers = nil // they are replaced as a whole
	}
	if err := decodeJSON("subscribe", said, &put); err != nil {
		return "", underPush(err)
	}
	doc := push.Document{Settings: put.Settings, Secrets: old.Secrets, By: x.who.Principal}
	doc.Complete()
	doc.Keep(&old.Settings)
	if secret, err = put.secretsOver(&doc); err != nil {
		return "", underPush(err)
	}
	if put.Ordered {
		if !fresh && c.Policy.Order != broker.OrderTotal {
			return "", pushWrong("ordered", "order stays as it was made; this subscription's is another one than total")
		}
		c.Policy.Order = broker.OrderTotal
	}
	if err := pushOrder(c); err != nil {
		return "", err
	}
	if err := x.g.push.Check(&doc); err != nil {
		if s, ok := errors.AsType[*push.SettingError](err); ok {
			return "", pushWrong(s.Field, "%s", s.Text)
		}
		return "", err
	}
	if was { // what is remembered of the endpoint stays with it; a pause ends when something is changed
		doc.Valid = old.Valid
	}
	c.Documents = keepPush(c.Documents, nil)
	if c.Documents == nil {
		c.Documents = map[string]string{}
	}
	c.Documents[push.DocumentKey] = doc.Text()
	return secret, nil
}

// pushOrder refuses what would send events of one key at once though they have an order.
func pushOrder(c *broker.SubscriptionConfig) error {
	if c.Policy.Order != broker.OrderNone && c.Policy.RunMax > 1 {
		return wrong("subscribe", "max_run", "a push sends what it has at once: with an order, max_run is 1").at("/max_run")
	}
	return nil
}

// secretsOver puts the secrets of the document right, and returns the one it made.
func (p *pushPut) secretsOver(d *push.Document) (made string, err error) {
	if p.Secrets != nil {
		d.Secrets = *p.Secrets
	}
	for i, drop := range p.DropSecrets {
		kept := slices.DeleteFunc(slices.Clone(d.Secrets), func(s string) bool { return fingerprint(s) == drop })
		if len(kept) == len(d.Secrets) {
			return "", pushWrong("drop_secrets/"+strconv.Itoa(i), "no secret has the fingerprint %q", clip(drop))
		}
		d.Secrets = kept
	}
	add := p.AddSecret
	if p.NewSecret {
		if p.Secrets != nil || add != "" {
			return "", pushWrong("new_secret", "it goes without secrets and add_secret")
		}
		made = push.NewSecret()
		add = made
	}
	if add != "" {
		d.AddSecret(add)
	}
	return made, nil
}

func pushWrong(field, format string, args ...any) *problem {
	return wrong("subscribe", "push."+field, format, args...).at("/push/" + field)
}

// underPush moves the place of a refusal under the member push.
func underPush(err error) error {
	p := asProblem(err)
	if p.field != "" && len(p.pointer) > 0 && p.pointer[0] == '/' && (len(p.pointer) < 6 || p.pointer[:6] != "/push/") {
		p.field, p.pointer = "push."+p.field, "/push"+p.pointer
	}
	return p
}

// pushState is how the push of a subscription fares; nil: there is none.
func (g *Gateway) pushState(namespace, name string, c *broker.SubscriptionConfig) *pushStateJSON {
	d, ok := pushOf(c)
	if !ok {
		return nil
	}
	out := &pushStateJSON{State: push.StateStarting, Attempts: map[string]int64{}, By: d.By}
	if len(d.Secrets) == 0 {
		out.Warnings = append(out.Warnings, "UNSIGNED: without secrets the receiver cannot know who sends")
	}
	if d.Valid != nil && d.Handshake != push.HandshakeNone {
		out.Consent = &pushConsentStamp{RatePerMinute: d.Valid.RatePerMinute}
	}
	if g.push == nil {
		return out
	}
	st, ok := g.push.State(namespace, name)
	if !ok {
		return out
	}
	out.State, out.Why, out.Sending, out.Delivered, out.Attempts = st.State, st.Why, st.Sending, st.Delivered, st.Attempts
	out.Since, out.Until = timeText(st.Since), timeText(st.Until)
	if f := st.Last; f != nil {
		out.Last = &pushFailureJSON{Time: timeText(f.At), Status: f.Status, Why: f.Why, Answer: f.Answer}
	}
	return out
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// resumePush has the push of the subscription of the path go on, where there is one. Whoever could resume the subscription may.
func (x *call) resumePush() error {
	if x.g.push == nil {
		return nil
	}
	namespace := x.who.Namespace
	if namespace == "" {
		namespace = broker.DefaultNamespace
	}
	_, err := x.g.push.Resume(x.r.Context(), x.caller(), namespace, x.params[0])
	return err
}
