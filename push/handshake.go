package push

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"time"

	"leat/broker"
	"leat/internal/clock"
	"leat/internal/hooks"
	"leat/internal/outbound"
)

// consent sees to it that the endpoint has consented before it is sent events: it asks until it is answered. False: the settings do not
// hold any more.
func (l *line) consent(ctx context.Context, doc *Document) bool {
	if doc.Handshake == HandshakeNone {
		return true
	}
	pause := pauseFirst
	for ctx.Err() == nil {
		l.mu.Lock()
		now, revision := l.doc, l.sub.Revision
		l.mu.Unlock()
		doc.Valid, doc.Refused = now.Valid, now.Refused
		if doc.consented() {
			return true
		}
		if doc.Refused != nil { // until somebody resumes, or sets it anew
			l.at(StateRefused, doc.Refused.Why, time.Time{})
			select {
			case <-l.kick:
			case <-ctx.Done():
			}
			continue
		}
		l.at(StatePending, "", time.Time{})
		granted, final, err := l.ask(ctx, doc)
		if ctx.Err() != nil {
			return false
		}
		if err != nil && !final {
			l.wait(ctx, StatePending, err, &pause)
			continue
		}
		e := l.remember(ctx, func(d *Document) {
			if !d.same(doc) {
				return
			}
			if d.Valid, d.Refused = granted, nil; err != nil {
				d.Valid, d.Refused = nil, &Mark{Why: err.Error(), AtMS: nowMS()}
			}
		})
		if e != nil {
			l.wait(ctx, StatePending, e, &pause)
			continue
		}
		if err != nil {
			l.s.tell(broker.TypePushRefused, l.key, nil, map[string]any{"why": err.Error()})
		}
		// What was written comes back by set; to go on needs no waiting for that. When something has come already, that holds: perhaps it was resumed.
		l.mu.Lock()
		if l.doc.same(doc) && l.sub.Revision == revision {
			if l.doc.Valid = granted; err != nil {
				l.doc.Refused = &Mark{Why: err.Error(), AtMS: nowMS()}
			}
		}
		l.mu.Unlock()
	}
	return false
}

// ask makes one handshake. final: the error is an answer, and asking again will not help.
func (l *line) ask(ctx context.Context, doc *Document) (granted *Consent, final bool, err error) {
	e, err := l.s.client.Endpoint(doc.endpoint(""))
	if err != nil {
		return nil, true, err
	}
	defer e.Close()
	granted = &Consent{URL: doc.URL, Handshake: doc.Handshake}
	if doc.Handshake == HandshakeEventGrid {
		final, err = l.askGrid(ctx, doc, e)
		return granted, final, err
	}
	a := hooks.Ask{Origin: doc.Origin}
	if doc.Rate > 0 {
		a.Rate = max(1, int(math.Min(doc.Rate*60, hooks.RateMost)))
	}
	h := http.Header{}
	if err := a.SetHeader(h); err != nil {
		return nil, true, err
	}
	res := e.Try(ctx, &outbound.Request{Method: http.MethodOptions, Header: h})
	if res.Status == 0 {
		return nil, false, res.Err
	}
	g, ok, err := a.ReadGrant(res.Header)
	switch {
	case err != nil:
		return nil, true, err
	case ok:
		granted.RatePerMinute = g.Rate
		return granted, false, nil
	case res.Status >= 500 || res.Status == http.StatusTooManyRequests:
		return nil, false, res.Err
	}
	return nil, true, errors.New("it answered the handshake without WebHook-Allowed-Origin")
}

func (l *line) askGrid(ctx context.Context, doc *Document, e *outbound.Endpoint) (final bool, err error) {
	code, h := randomText(), http.Header{}
	body, err := hooks.GridValidation(h, randomText(), "/subscriptions/"+l.key.name, hooks.Validation{Code: code}, clock.Now())
	if err != nil {
		return true, err
	}
	if len(doc.Secrets) > 0 {
		s, err := hooks.NewSigner(doc.Secrets...)
		if err != nil {
			return true, err
		}
		if err := s.Sign(h, "validation-"+randomText(), clock.Now(), body); err != nil {
			return true, err
		}
	}
	res := e.Try(ctx, &outbound.Request{Header: h, Body: body})
	switch {
	case hooks.GridAnswered(res.Status, res.Body, code):
		return false, nil
	case res.Status == 0, res.Status >= 500, res.Status == http.StatusTooManyRequests:
		return false, res.Err
	case res.Err != nil:
		return true, res.Err
	}
	return true, errors.New("it did not answer the validation with its code")
}

func randomText() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
