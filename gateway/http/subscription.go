package http

import (
	"encoding/json"
	nethttp "net/http"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

// Subscriptions as resources: GET /v1/subscriptions, GET, PUT and DELETE /v1/subscriptions/{name}. The ETag is the revision.
//
//	subscription_config.go    what can be set, in JSON
//	subscription_receive.go   deliveries out
//	subscription_settle.go    ack, release, reject, renew
//	subscription_manage.go    rewind, suspend, resume, explain
//	subscription_dead.go      dead letters
//	subscription_lag.go       lag, in /metrics
//	push.go                   deliveries by webhook

// subscriptionPut is what a PUT takes: of the settings, what is left out stays as it is.
type subscriptionPut struct {
	Name string `json:"name"`
	subscriptionConfigJSON
	From string `json:"from"` // where a new one begins, and where it begins with streams that are added
}

// subscriptionJSON is a subscription as described.
type subscriptionJSON struct {
	Name      string                 `json:"name"`
	Namespace string                 `json:"namespace"`
	ID        uint32                 `json:"id"`
	Config    subscriptionConfigJSON `json:"config"`
	State     subscriptionStateJSON  `json:"state"`
	Push      *pushStateJSON         `json:"push,omitempty"`
	Secret    string                 `json:"new_secret,omitempty"` // of the push; once
	Created   string                 `json:"created"`
	Revision  uint64                 `json:"revision"`
}

type subscriptionStateJSON struct {
	Waiting      int64  `json:"waiting"` // not settled, leased and delayed ones included
	WaitingBytes int64  `json:"waiting_bytes"`
	Exact        bool   `json:"exact"`
	Leased       int    `json:"leased"`
	Delayed      int    `json:"delayed"`
	Acked        int64  `json:"acked"`
	Skipped      int64  `json:"skipped"`
	Cancelled    int64  `json:"cancelled"`
	Dead         int64  `json:"dead"`
	Gaps         int64  `json:"gaps"`
	Members      int    `json:"members"`
	Oldest       string `json:"oldest,omitempty"`
	LagMS        int64  `json:"lag_ms"` // how long the oldest has waited
}

// subscriptionSummary is a subscription as listed.
type subscriptionSummary struct {
	Name        string   `json:"name"`
	ID          uint32   `json:"id"`
	Order       string   `json:"order"`
	Streams     []string `json:"streams"`
	ShadowOf    string   `json:"shadow_of,omitempty"`
	DeadLetters string   `json:"dead_letters,omitempty"`
	Suspended   bool     `json:"suspended"`
	Created     string   `json:"created"`
	Revision    uint64   `json:"revision"`
}

// listSubscriptions answers a page of the subscriptions the caller may see, by name; with state=true each as GET of it would.
func listSubscriptions(x *call) error {
	if err := x.onlyParams("from", "prefix", "limit", "state"); err != nil {
		return err
	}
	limit, err := x.limit(pageLimitDefault)
	if err != nil {
		return err
	}
	described := x.param("state") == "true"
	if s := x.param("state"); s != "" && s != "true" && s != "false" {
		return wrong("describe", "state", "%q is neither true nor false", clip(s))
	}
	all, err := x.g.broker.ListSubscriptions(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	answer := struct {
		Subscriptions []any           `json:"subscriptions"`
		Next          json.RawMessage `json:"next"`
	}{[]any{}, json.RawMessage("null")}
	after, prefix, last := x.param("from"), x.param("prefix"), ""
	for i := range all {
		s := &all[i]
		if s.Name <= after || !strings.HasPrefix(s.Name, prefix) {
			continue
		}
		if len(answer.Subscriptions) == limit {
			answer.Next = appendString(nil, last)
			break
		}
		last = s.Name
		if described {
			info, err := x.g.broker.DescribeSubscription(x.r.Context(), x.caller(), s.Name)
			if fault.Is(err, fault.NotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return err
			}
			answer.Subscriptions = append(answer.Subscriptions, x.describedSubscription(&info))
			continue
		}
		if s.Config.Streams == nil {
			s.Config.Streams = []string{}
		}
		answer.Subscriptions = append(answer.Subscriptions, subscriptionSummary{
			Name: s.Name, ID: s.ID, Order: wordOf(orderWords, uint8(s.Config.Policy.Order)),
			Streams: s.Config.Streams, ShadowOf: s.Config.ShadowOf, DeadLetters: s.Config.DeadLetters, Suspended: s.Config.Policy.Suspended,
			Created: s.Created.UTC().Format(time.RFC3339Nano), Revision: s.Revision,
		})
	}
	return x.answerJSON(nethttp.StatusOK, answer)
}

func getSubscription(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	return x.describeSubscription()
}

// describeSubscription answers how the subscription of the path stands.
func (x *call) describeSubscription() error {
	info, err := x.g.broker.DescribeSubscription(x.r.Context(), x.caller(), x.params[0])
	if err != nil {
		return err
	}
	return x.answerSubscription(nethttp.StatusOK, &info, "")
}

func (x *call) answerSubscription(code int, info *broker.SubscriptionInfo, secret string) error {
	doc := x.describedSubscription(info)
	doc.Secret = secret
	x.w.Header().Set("ETag", `"`+strconv.FormatUint(info.Revision, 10)+`"`)
	return x.answerJSON(code, doc)
}

func (x *call) describedSubscription(info *broker.SubscriptionInfo) *subscriptionJSON {
	doc := &subscriptionJSON{
		Push: x.g.pushState(info.Namespace, info.Name, &info.Config),
		Name: info.Name, Namespace: info.Namespace, ID: info.ID, Config: subscriptionConfig(&info.Config),
		Created: info.Created.UTC().Format(time.RFC3339Nano), Revision: info.Revision,
		State: subscriptionStateJSON{
			Waiting: info.Waiting, WaitingBytes: info.WaitingBytes, Exact: info.Exact, Leased: info.Leased, Delayed: info.Delayed,
			Acked: info.Acked, Skipped: info.Skipped, Cancelled: info.Cancelled, Dead: info.Dead, Gaps: info.Gaps, Members: info.Members,
		},
	}
	if !info.Oldest.IsZero() {
		doc.State.Oldest = info.Oldest.UTC().Format(time.RFC3339Nano)
		doc.State.LagMS = max(0, clock.Now().Sub(info.Oldest).Milliseconds())
	}
	return doc
}

// smallBody reads the JSON body of a request that has one, into v.
func (x *call) smallBody(op string, v any) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	return decodeJSON(op, x.body.bytes, v)
}

// putSubscription makes the subscription, or changes it when it is there.
func putSubscription(x *call) error {
	var doc subscriptionPut
	if err := x.smallBody("subscribe", &doc); err != nil {
		return err
	}
	name := x.params[0]
	if doc.Name != "" && doc.Name != name {
		return wrong("subscribe", "name", "the path says %q and the body %q", clip(name), clip(doc.Name)).at("/name")
	}
	from := broker.Start{Kind: broker.StartLatest}
	var err error
	if doc.From != "" {
		if from, err = broker.ParseStart(doc.From, clock.Now()); err != nil {
			return bodyField(err)
		}
	}
	revision, err := x.ifMatch()
	if err != nil {
		return err
	}
	if x.r.Header.Get("If-None-Match") == "*" {
		revision = broker.NewOnly
	}
	fresh, secret := false, ""
	info, err := x.g.broker.PutSubscription(x.r.Context(), x.caller(), name, func(c *broker.SubscriptionConfig) error {
		fresh = c.Policy.Kind == 0 // every subscription that is there is of some
		if err := doc.change(c); err != nil {
			return err
		}
		var err error
		secret, err = x.changePush(doc.Push, c, name, fresh)
		return err
	}, from, revision)
	if err != nil {
		return subscriptionField(err)
	}
	if len(doc.Push) > 0 && x.g.push != nil {
		_, pushes := pushOf(&info.Config)
		x.g.push.Await(x.r.Context(), info.Namespace, info.Name, info.Revision, pushes)
	}
	if !fresh {
		return x.answerSubscription(nethttp.StatusOK, &info, secret)
	}
	x.w.Header().Set("Location", "/v1/subscriptions/"+name)
	return x.answerSubscription(nethttp.StatusCreated, &info, secret)
}

func deleteSubscription(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.g.broker.DeleteSubscription(x.r.Context(), x.caller(), x.params[0]); err != nil {
		return err
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}

// subscriptionMembers are members of the body by what the broker calls them in a refusal.
var subscriptionMembers = map[string]string{
	"name": "name", "from": "from", "shadow_of": "shadow_of", "selector": "selector", "streams": "streams", "routed": "routed", "address": "address", "where": "where",
	"filter": "where", "kind": "kind", "yields": "yields", "volatile": "volatile", "members": "members", "order": "order", "priorities": "priorities", "dead_subject": "dead_subject", "dead_letters": "dead_letters", "max_unacked": "max_unacked", "max_run": "max_run", "max_length": "max_length",
	"max_bytes": "max_bytes", "backlog_limit": "backlog_limit", "max_attempts": "max_attempts", "policy": "order", "lease": "lease_ms",
	"backoff": "backoff_ms", "backoff_max": "backoff_max_ms", "jitter": "jitter_percent", "delay": "delay_ms", "ttl": "ttl_ms",
}

// subscriptionField names the member of the body that a refusal of the broker is about.
func subscriptionField(err error) error {
	p := asProblem(err)
	said := p.fault.Kind == fault.Invalid || p.fault.Kind == fault.Conflict || p.fault.Kind == fault.TooLarge
	if member := subscriptionMembers[p.fault.Subject]; said && p.field == "" && member != "" {
		p.field, p.pointer = member, "/"+member
	}
	return p
}
