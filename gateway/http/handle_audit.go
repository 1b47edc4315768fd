package http

import (
	nethttp "net/http"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

// GET /v1/audit?ref=|stream=|principal=: who did what, through what, when.

// audit answers one part; "next" goes into from of the following request.
func audit(x *call) error {
	if err := x.onlyParams("ref", "stream", "principal", "since", "from", "limit"); err != nil {
		return err
	}
	limit, err := x.limit(broker.AuditChangesDefault)
	if err != nil {
		return err
	}
	q := broker.AuditQuery{Ref: x.param("ref"), Stream: x.param("stream"), Principal: x.param("principal"), From: x.param("from"), Limit: limit}
	if since := x.param("since"); since != "" {
		s, err := broker.ParseStart(since, clock.Now())
		if err != nil || s.Kind != broker.StartTime && s.Kind != broker.StartEarliest {
			return wrong("audit", "since", "%q is no time; one as in RFC 3339 is, and a time before now such as -24h", clip(since))
		}
		q.Since = s.Time
	}
	answer, err := x.g.broker.Audit(x.r.Context(), x.caller(), q)
	if err != nil {
		if f := fault.As(err); f.Kind == fault.Invalid && f.Op == "audit" {
			return fieldOf(err, f.Subject)
		}
		return fieldOf(err, "ref")
	}
	x.w.Header()["Cache-Control"] = headerNoStore
	return x.answerJSON(nethttp.StatusOK, answer)
}
