package http

import (
	nethttp "net/http"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/internal/clock"
)

// POST /v1/subscriptions/{name}/rewind {"to":…}, of one "key" or what "failed" since, which answer how many events come again; suspend and resume, which answer with the subscription; GET …/explain?ref=.

func rewind(x *call) error {
	var doc struct {
		To        string  `json:"to"`
		Key       *string `json:"key"`
		Failed    bool    `json:"failed"`
		PerSecond *int    `json:"per_second"`
	}
	if err := x.smallBody("rewind", &doc); err != nil {
		return err
	}
	rate, err := perSecond("rewind", doc.PerSecond)
	switch {
	case err != nil:
		return err
	case rate > 0 && !doc.Failed:
		return wrong("rewind", "per_second", "a rate goes with failed").at("/per_second")
	case doc.Key != nil && doc.Failed:
		return wrong("rewind", "failed", "say one of key and failed").at("/failed")
	case doc.Key != nil && *doc.Key == "":
		return wrong("rewind", "key", "the key is empty").at("/key")
	}
	if doc.To == "" {
		return wrong("rewind", "to", "say where the subscription shall begin again, such as earliest, -1h or a time").at("/to")
	}
	to, err := broker.ParseStart(doc.To, clock.Now())
	if err == nil && (doc.Failed || doc.Key != nil) {
		var n int
		if doc.Failed {
			n, err = x.g.broker.ReplayFailed(x.r.Context(), x.caller(), x.params[0], to, rate)
		} else {
			n, err = x.g.broker.RewindKey(x.r.Context(), x.caller(), x.params[0], to, []byte(*doc.Key))
		}
		if err == nil {
			return x.answerJSON(nethttp.StatusOK, struct {
				Replayed int `json:"replayed"`
			}{n})
		}
	} else if err == nil {
		err = x.g.broker.Rewind(x.r.Context(), x.caller(), x.params[0], to)
	}
	if err != nil {
		p := asProblem(fieldOf(err, "to"))
		if p.field == "to" {
			p.pointer = "/to"
		}
		return p
	}
	return x.describeSubscription()
}

func suspend(x *call) error {
	if err := x.smallBody("suspend", &struct{}{}); err != nil {
		return err
	}
	if err := x.g.broker.Suspend(x.r.Context(), x.caller(), x.params[0]); err != nil {
		return err
	}
	return x.describeSubscription()
}

func resume(x *call) error {
	if err := x.smallBody("resume", &struct{}{}); err != nil {
		return err
	}
	if err := x.g.broker.Resume(x.r.Context(), x.caller(), x.params[0]); err != nil {
		return err
	}
	if err := x.resumePush(); err != nil {
		return err
	}
	return x.describeSubscription()
}

// cancel settles events that nobody has, such as wait for their time: {"refs":[…]}.
func cancel(x *call) error {
	var doc struct {
		Refs []string `json:"refs"`
	}
	if err := x.smallBody("cancel", &doc); err != nil {
		return err
	}
	refs, err := refsOf("cancel", doc.Refs)
	if err != nil {
		return err
	}
	outcomes, err := x.g.broker.Cancel(x.r.Context(), x.caller(), x.params[0], refs)
	if err != nil {
		return refField(err, refs)
	}
	type one struct {
		Ref     string `json:"ref"`
		Outcome string `json:"outcome"`
	}
	answer := struct {
		Outcomes []one `json:"outcomes"`
	}{make([]one, len(refs))}
	for i := range refs {
		answer.Outcomes[i] = one{refs[i].String(), outcomes[i].String()}
	}
	return x.answerJSON(nethttp.StatusOK, answer)
}

type explanationJSON struct {
	Ref      string `json:"ref"`
	Reads    bool   `json:"reads"`
	Reaches  bool   `json:"reaches"`
	Matches  bool   `json:"matches"`
	State    string `json:"state,omitempty"`
	Attempts int    `json:"attempts"`
	Until    string `json:"until,omitempty"`

	Clause      string `json:"clause,omitempty"`       // of where, which it does not meet
	ClauseError string `json:"clause_error,omitempty"` // why that could not be told
	Delivered   string `json:"delivered,omitempty"`    // when it was handed over last, while that is remembered
	Settled     string `json:"settled,omitempty"`
}

// explain says how one event stands with the subscription.
func explain(x *call) error {
	if err := x.onlyParams("ref"); err != nil {
		return err
	}
	ref, err := record.ParseRef(x.param("ref"))
	if err != nil {
		return fieldOf(err, "ref")
	}
	v, err := x.g.broker.Explain(x.r.Context(), x.caller(), x.params[0], ref)
	if err != nil {
		return err
	}
	doc := explanationJSON{Ref: ref.String(), Reads: v.Reads, Reaches: v.Reaches, Matches: v.Matches, State: v.State, Attempts: v.Attempts}
	doc.Clause, doc.ClauseError = v.Clause, v.ClauseError
	for _, t := range []struct {
		ms int64
		to *string
	}{{v.DeliveredMS, &doc.Delivered}, {v.SettledMS, &doc.Settled}} {
		if t.ms > 0 {
			*t.to = time.UnixMilli(t.ms).UTC().Format(time.RFC3339Nano)
		}
	}
	if v.UntilMS > 0 {
		doc.Until = time.UnixMilli(v.UntilMS).UTC().Format(time.RFC3339Nano)
	}
	return x.answerJSON(nethttp.StatusOK, doc)
}
