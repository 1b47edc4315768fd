package http

import (
	"errors"
	nethttp "net/http"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/internal/hooks"
)

// POST /v1/hooks/{name}: the way of one delivery. The order matters: nothing is believed before the signature was checked, and no handshake is
// answered before either.
//
//	hook → login, where nothing is signed → body, under the hook's limit → signature → handshake? → event → append
//
//	200  stored and durable, or stored before: {"ref","id","position","duplicate"}. One code for both, since senders differ in which they like
//	401  the signature, or the login; which part and why, and never what would have been right
//	404  there is no such hook; also for one that was deleted, of which nothing is kept
//	413, 415, 422, 429, 503   as elsewhere. What only who looks after the hook can mend is 503 too: the sender shall try again

// deliverHook serves a delivery and keeps account of it.
func deliverHook(x *call) error {
	h, err := x.hook()
	if err != nil {
		return err
	}
	outcome, err := x.deliver(h)
	if err == nil {
		h.seen.accepted(outcome, x.began)
		return nil
	}
	p := asProblem(hookProblem(h, err))
	code, _ := status(p.fault)
	if p.status != 0 {
		code = p.status
	}
	h.seen.refused(hookRefusal{
		Time: x.began.UTC().Format(time.RFC3339Nano), Reason: hookReason(err), Status: code, Detail: hookDetail(err), Address: x.who.Address,
	})
	return p
}

// hook is the hook that the path names.
func (x *call) hook() (*hook, error) {
	h, err := x.g.hookOf(x.who.Namespace, x.params[0])
	if err != nil { // refuse logs it, not more often than anybody wants to read
		return nil, fault.New(fault.Internal, "deliver", clip(x.params[0]), "this version of the program cannot serve this hook").From(err)
	}
	if h == nil {
		return nil, fault.New(fault.NotFound, "deliver", clip(x.params[0]), "there is no hook of that name")
	}
	return h, nil
}

func (x *call) deliver(h *hook) (outcome string, err error) {
	x.who.Namespace, x.who.Address = h.doc.Namespace, hostOf(x.r.RemoteAddr)
	if h.verifier == nil {
		if err := x.login(); err != nil {
			return "", err
		}
	} else {
		x.who.Principal = h.doc.By
	}
	x.who.Protocol, x.who.Client = protocolHook, h.doc.Name
	if enc := x.r.Header["Content-Encoding"]; len(enc) > 0 && !strings.EqualFold(enc[0], "identity") {
		p := unsupportedMedia(enc[0], "*/*", "bodies are taken as they are, without Content-Encoding")
		p.field, p.close = "Content-Encoding", true
		return "", p
	}
	if err := x.readBodyUpTo(h.bodyMost); err != nil {
		return "", err
	}
	var v hooks.Verified
	if h.verifier != nil {
		if v, err = h.verifier.Verify(x.r.Header, x.body.bytes, clock.Now()); err != nil {
			return "", err
		}
	}
	if done, err := x.handshake(h); done || err != nil {
		return hookHandshake, err
	}
	return x.storeDelivery(h, &v)
}

// handshake answers what is no event: it asks whether somebody is here.
func (x *call) handshake(h *hook) (done bool, err error) {
	switch h.settings.Scheme {
	case string(hooks.Slack):
		if challenge, ok := hooks.SlackChallenge(x.body.bytes); ok {
			x.answer(nethttp.StatusOK, contentTypeText, []byte(challenge))
			return true, nil
		}
	case string(hooks.GitHub):
		if x.r.Header.Get("X-GitHub-Event") == "ping" {
			x.answer(nethttp.StatusOK, contentTypeJSON, []byte(`{"ping":"answered"}`+"\n"))
			return true, nil
		}
	}
	if h.settings.Consent == nil || !h.settings.Consent.EventGrid {
		return false, nil
	}
	v, ok, err := hooks.ReadGridValidation(x.r.Header, x.body.bytes)
	switch {
	case !ok:
		return false, nil
	case err != nil:
		return false, wrong("deliver", "body", "%s", strings.TrimPrefix(err.Error(), "hooks: "))
	}
	x.answer(nethttp.StatusOK, contentTypeJSON, v.Answer())
	return true, nil
}

// storeDelivery appends the event of a delivery.
func (x *call) storeDelivery(h *hook, v *hooks.Verified) (outcome string, err error) {
	x.forStream(h.settings.Stream)
	var e record.Event
	given, err := x.deliveredEvent(h, v, &e)
	if err != nil {
		return "", err
	}
	entry, err := x.entry(&e, !given) // a CloudEvent has to be whole
	if err != nil {
		return "", pointerFault(err, "")
	}
	var one [1]broker.EventEntry
	one[0] = entry
	results, err := x.appendEvents(broker.EventsAppend{Events: one[:]}, e.ID)
	if err != nil {
		return "", err
	}
	var room [512]byte
	x.answer(nethttp.StatusOK, contentTypeJSON, append(appendAppended(room[:0], &results[0], e.ID), '\n'))
	if results[0].Duplicate {
		return hookDuplicate, nil
	}
	return hookStored, nil
}

// deliveredEvent makes the event: the body as it came, and attributes from where the hook says. Only an id that the sender gave takes part in
// finding duplicates; entry makes one where there is none. given reports that the sender made a CloudEvent.
func (x *call) deliveredEvent(h *hook, v *hooks.Verified, e *record.Event) (given bool, err error) {
	s, header, body := &h.settings, x.r.Header, x.body.bytes
	media, params := mediaType(header["Content-Type"])
	if s.CloudEvents {
		if given, err = x.givenEvent(media, params, e); err != nil {
			return false, err
		}
	}
	if !given {
		*e = record.Event{Data: body, DataContentType: deliveredType(header["Content-Type"], media)}
		e.ID, e.Type = v.ID, v.Type
	}
	if !given || s.Source != "" {
		e.Source = h.source
	}
	if id := s.ID.from(header, body); id != "" && len(id) <= hooks.IDBytesMax {
		e.ID = id
	}
	if s.Type != nil {
		switch t := *s.Type; {
		case t.Value == "" && t.Header == "" && t.Pointer == "":
			if e.Type != "" && attributeValue(t.Prefix+e.Type) {
				e.Type = t.Prefix + e.Type
			} else if e.Type == "" {
				e.Type = t.Default
			}
		default:
			if picked := t.from(header, body); picked != "" {
				e.Type = picked
			}
		}
	}
	if subject := s.Subject.from(header, body); subject != "" {
		e.Subject = subject
	}
	if key := s.Key.from(header, body); key != "" {
		e.Key = []byte(key)
	}
	return given, nil
}

// givenEvent reads a body that is a CloudEvent, or whose headers make it one.
func (x *call) givenEvent(media, params string, e *record.Event) (given bool, err error) {
	if err := checkMedia(x.r.Header, media, params); err != nil {
		return false, err
	}
	switch media {
	case mediaBatch:
		return false, unsupportedMedia(media, mediaEvent+", */*", "a delivery is one event; tell the sender not to send batches")
	case mediaEvent:
		return true, pointerFaultOrNil(record.ParseEventJSON(x.body.bytes, e))
	}
	plain, err := binaryEvent(x.r.Header, e)
	if err != nil || plain {
		return false, err
	}
	e.Data = x.body.bytes
	return true, nil
}

func pointerFaultOrNil(err error) error {
	if err == nil {
		return nil
	}
	return pointerFault(err, "")
}

// deliveredType is the content type of the data. What is none is no reason to lose the event.
func deliveredType(values []string, media string) string {
	if len(values) != 1 || media == "" || !strings.Contains(media, "/") || !attributeValue(values[0]) ||
		(&record.Event{SpecVersion: "1.0", ID: "x", Source: "x", Type: "x", DataContentType: values[0]}).Validate() != nil {
		return "application/octet-stream"
	}
	return values[0]
}

// hookProblem is a refusal in words for the sender, who is a stranger: what is wrong with the hook itself is not told.
func hookProblem(h *hook, err error) error {
	var r *hooks.Refusal
	if errors.As(err, &r) {
		p := &problem{
			fault:  fault.New(fault.Denied, "deliver", h.doc.Name, "%s", r.Text),
			status: nethttp.StatusUnauthorized, title: "The signature was not accepted", kind: "signature", field: r.Header,
			members: [][2]string{{"reason", strconv.Quote(r.Reason.String())}},
		}
		return p.with("Www-Authenticate", `Webhook scheme="`+h.settings.Scheme+`"`)
	}
	if h.verifier == nil { // it is a user who asks
		return err
	}
	if f := fault.As(err); f.Kind == fault.Denied || f.Kind == fault.NotFound {
		return fault.New(fault.Unavailable, "deliver", h.doc.Name, "the hook may not store this now; who looks after it sees why").From(err)
	}
	return err
}

// hookDetail is a refusal in words for who looks after the hook, not too long.
func hookDetail(err error) string {
	const most = 256
	var s string
	if r := (*hooks.Refusal)(nil); errors.As(err, &r) {
		s = r.Text
	} else {
		s = fault.As(err).Text
	}
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// askHook is OPTIONS on a hook: the handshake of CloudEvents' web hooks. Where there is nothing to consent to it is like any other OPTIONS, also
// for names that no hook has.
func askHook(x *call, allow string) error {
	if err := x.identify(true); err != nil {
		return err
	}
	ask, ok, err := hooks.ReadAsk(x.r.Header)
	if err != nil {
		return wrong("ask", "WebHook-Request-Origin", "%s", strings.TrimPrefix(err.Error(), "hooks: "))
	}
	if ok {
		h, err := x.g.hookOf(x.who.Namespace, x.params[0])
		if err == nil && h != nil && h.settings.Consent != nil {
			c := hooks.Consent{Origins: h.settings.Consent.Origins, Rate: h.settings.Consent.Rate}
			if c.Answer(ask, x.w.Header()) {
				h.seen.accepted(hookHandshake, x.began)
				x.w.WriteHeader(nethttp.StatusOK)
				return nil
			}
		}
	}
	preflight(x.w, x.r, allow)
	return nil
}
