package http

import (
	"context"
	nethttp "net/http"
	"strconv"
	"time"

	"leat/broker"
)

// POST /v1/subscriptions/{name}/ack, release, reject and renew, each with {"handles":[…]}.
//
// 200 {"outcomes":[{"handle","outcome"},…]} in the order of the request. A handle that none of us has made, or that is of another
// subscription, is refused before anything is done.

// handlesJSON is what all of them take.
type handlesJSON struct {
	Handles []string `json:"handles"`
}

type outcomeJSON struct {
	Handle  string `json:"handle"`
	Outcome string `json:"outcome"`
}

// settle reads the body into doc, which has handles in it, and has do done with them.
func (x *call) settle(op string, doc any, texts *[]string, do func(ctx context.Context, hs []broker.Handle) ([]broker.Outcome, error)) error {
	if err := x.smallBody(op, doc); err != nil {
		return err
	}
	if len(*texts) == 0 {
		return wrong(op, "handles", "give the handles of what was received").at("/handles")
	}
	hs, err := x.handles(op, "handles", x.params[0], *texts)
	if err != nil {
		return err
	}
	outcomes, err := do(x.r.Context(), hs)
	if err != nil {
		return err
	}
	answer := struct {
		Outcomes []outcomeJSON `json:"outcomes"`
	}{make([]outcomeJSON, len(outcomes))}
	for i, o := range outcomes {
		answer.Outcomes[i] = outcomeJSON{(*texts)[i], o.String()}
	}
	return x.answerJSON(nethttp.StatusOK, answer)
}

// handles reads handles that stand in a member of the body; of a subscription, where one is named.
func (x *call) handles(op, member, subscription string, texts []string) ([]broker.Handle, error) {
	if len(texts) > broker.SettleMax {
		return nil, wrong(op, member, "there are %d handles; at most %d can be given at once", len(texts), broker.SettleMax).at("/" + member)
	}
	hs := make([]broker.Handle, len(texts))
	for i, text := range texts {
		h, err := x.g.broker.ParseHandle(x.caller(), text)
		if err != nil {
			p := asProblem(err)
			p.field = member
			return nil, p.at("/" + member + "/" + strconv.Itoa(i))
		}
		if of := x.g.broker.SubscriptionOf(x.caller(), h); subscription != "" && of != "" && of != subscription {
			return nil, wrong(op, member, "the handle is of another subscription").at("/" + member + "/" + strconv.Itoa(i))
		}
		hs[i] = h
	}
	return hs, nil
}

func ack(x *call) error {
	var doc handlesJSON
	return x.settle("ack", &doc, &doc.Handles, func(ctx context.Context, hs []broker.Handle) ([]broker.Outcome, error) {
		return x.g.broker.Ack(ctx, x.caller(), hs)
	})
}

func reject(x *call) error {
	var doc handlesJSON
	return x.settle("reject", &doc, &doc.Handles, func(ctx context.Context, hs []broker.Handle) ([]broker.Outcome, error) {
		return x.g.broker.Reject(ctx, x.caller(), hs)
	})
}

// release gives deliveries back: after the backoff of the subscription unless a time is said, and as a failed attempt unless told otherwise.
func release(x *call) error {
	var doc struct {
		handlesJSON
		After  span  `json:"after"`
		Counts *bool `json:"counts"`
	}
	return x.settle("release", &doc, &doc.Handles, func(ctx context.Context, hs []broker.Handle) ([]broker.Outcome, error) {
		after, err := doc.After.of("release", "after", broker.ByPolicy, 0, spanMax)
		if err != nil {
			return nil, err
		}
		return x.g.broker.Release(ctx, x.caller(), hs, after, doc.Counts == nil || *doc.Counts)
	})
}

// renew has leases end so long from now; the time must be said.
func renew(x *call) error {
	var doc struct {
		handlesJSON
		Lease span `json:"lease"`
	}
	return x.settle("renew", &doc, &doc.Handles, func(ctx context.Context, hs []broker.Handle) ([]broker.Outcome, error) {
		lease, err := doc.Lease.of("renew", "lease", 0, leaseLeast, leaseMost)
		if err == nil && lease < time.Millisecond {
			err = wrong("renew", "lease", "say how long from now the leases shall last").at("/lease")
		}
		if err != nil {
			return nil, err
		}
		return x.g.broker.Renew(ctx, x.caller(), hs, lease)
	})
}
