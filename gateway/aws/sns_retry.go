package aws

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Delivery policies: when a notice that an endpoint did not take is sent again. What nobody has set is as at Amazon: three times, every twenty
// seconds.
//
//	|  no delay  | min, min, … |  from min to max, as the function says  | max, max, … |  given up
//	 numNoDelay   numMinDelay      the rest of numRetries                numMaxDelay

// retryPolicy is a healthyRetryPolicy. Times are seconds.
type retryPolicy struct {
	MinDelay  int    `json:"minDelayTarget"`
	MaxDelay  int    `json:"maxDelayTarget"`
	Retries   int    `json:"numRetries"`
	NoDelay   int    `json:"numNoDelayRetries"`
	MinDelays int    `json:"numMinDelayRetries"`
	MaxDelays int    `json:"numMaxDelayRetries"`
	Backoff   string `json:"backoffFunction"`
}

type throttlePolicy struct {
	PerSecond *float64 `json:"maxReceivesPerSecond,omitempty"`
}

type requestPolicy struct {
	ContentType string `json:"headerContentType,omitempty"`
}

// deliveryPolicy is a subscription's. What is nil was not set.
type deliveryPolicy struct {
	Retry    *retryPolicy    `json:"healthyRetryPolicy,omitempty"`
	Throttle *throttlePolicy `json:"throttlePolicy,omitempty"`
	Request  *requestPolicy  `json:"requestPolicy,omitempty"`
}

// topicDelivery is a topic's, which is about HTTP only.
type topicDelivery struct {
	HTTP struct {
		Retry    *retryPolicy    `json:"defaultHealthyRetryPolicy,omitempty"`
		Throttle *throttlePolicy `json:"defaultThrottlePolicy,omitempty"`
		Request  *requestPolicy  `json:"defaultRequestPolicy,omitempty"`
		Fixed    bool            `json:"disableSubscriptionOverrides"`
	} `json:"http"`
}

// Limits of a delivery policy.
const (
	retriesMax     = 100
	retryDelayMax  = 3600 // seconds, of one pause and of all together
	contentTypeMax = 128
)

// retryDefault is the retry policy where none is set.
var retryDefault = retryPolicy{MinDelay: 20, MaxDelay: 20, Retries: 3, Backoff: "linear"}

const contentTypeDefault = "text/plain; charset=UTF-8"

// parseRetry reads the delivery policy of a subscription; why says what is wrong with it.
func parseRetry(text string) (p deliveryPolicy, why string) {
	if text == "" {
		return p, ""
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, "failed to parse JSON."
	}
	return p, checkDelivery("", p.Retry, p.Throttle, p.Request, text, "healthyRetryPolicy")
}

// parseTopicRetry reads that of a topic.
func parseTopicRetry(text string) (p topicDelivery, why string) {
	if text == "" {
		return p, ""
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, "failed to parse JSON."
	}
	var inside struct {
		HTTP json.RawMessage `json:"http"`
	}
	_ = json.Unmarshal([]byte(text), &inside) // it was just read
	return p, checkDelivery("http.", p.HTTP.Retry, p.HTTP.Throttle, p.HTTP.Request, string(inside.HTTP), "defaultHealthyRetryPolicy")
}

func checkDelivery(at string, r *retryPolicy, t *throttlePolicy, q *requestPolicy, text, name string) string {
	if r != nil {
		var raw map[string]map[string]any
		var whole map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &whole) == nil {
			var set map[string]any
			_ = json.Unmarshal(whole[name], &set) // it was just read
			raw = map[string]map[string]any{name: set}
		}
		for _, must := range []string{"minDelayTarget", "maxDelayTarget", "numRetries"} {
			if _, some := raw[name][must]; !some {
				return at + name + "." + must + " must be specified"
			}
		}
		if why := r.check(); why != "" {
			return at + name + "." + why
		}
	}
	if t != nil && t.PerSecond != nil && !(*t.PerSecond >= 1 && *t.PerSecond <= 1e6) {
		return at + "throttlePolicy.maxReceivesPerSecond must be greater than or equal to 1"
	}
	if q != nil && (len(q.ContentType) > contentTypeMax || !printable(q.ContentType)) {
		return at + "requestPolicy.headerContentType is no content type"
	}
	return ""
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func (r *retryPolicy) check() string {
	within := func(name string, v, least, most int) string {
		if v < least || v > most {
			return name + " must be from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
		}
		return ""
	}
	for _, why := range []string{
		within("numRetries", r.Retries, 0, retriesMax), within("minDelayTarget", r.MinDelay, 1, retryDelayMax),
		within("maxDelayTarget", r.MaxDelay, r.MinDelay, retryDelayMax), within("numNoDelayRetries", r.NoDelay, 0, r.Retries),
		within("numMinDelayRetries", r.MinDelays, 0, r.Retries), within("numMaxDelayRetries", r.MaxDelays, 0, r.Retries),
	} {
		if why != "" {
			return why
		}
	}
	switch r.Backoff {
	case "", "linear", "arithmetic", "geometric", "exponential":
	default:
		return "backoffFunction must be one of linear, arithmetic, geometric, exponential"
	}
	if r.NoDelay+r.MinDelays+r.MaxDelays > r.Retries {
		return "numRetries must be at least the sum of the retries of its phases"
	}
	total := time.Duration(0)
	for n := 1; n <= r.Retries; n++ {
		total += r.pause(n)
	}
	if total > retryDelayMax*time.Second {
		return "numRetries: all retries together may take at most " + strconv.Itoa(retryDelayMax) + " seconds"
	}
	return ""
}

// pause is how long to wait before the nth retry, from 1.
func (r *retryPolicy) pause(n int) time.Duration {
	low, high := float64(r.MinDelay), float64(r.MaxDelay)
	backoffs := r.Retries - r.NoDelay - r.MinDelays - r.MaxDelays
	n -= r.NoDelay
	switch {
	case n <= 0:
		return 0
	case n <= r.MinDelays:
		return time.Duration(low * float64(time.Second))
	}
	if n -= r.MinDelays; n > backoffs {
		return time.Duration(high * float64(time.Second))
	}
	// From just above low to high in so many steps; x is how far along.
	x := float64(n) / float64(backoffs)
	at := low + (high-low)*x // linear
	switch r.Backoff {
	case "arithmetic": // steps that grow by the same
		at = low + (high-low)*float64(n)*float64(n+1)/(float64(backoffs)*float64(backoffs+1))
	case "geometric": // each the same multiple of the one before
		at = low * math.Pow(high/low, x)
	case "exponential": // steps that double
		at = low + (high-low)*(math.Exp2(float64(n))-1)/(math.Exp2(float64(backoffs))-1)
	}
	return time.Duration(at * float64(time.Second))
}

// delivery is what counts for one subscription.
type delivery struct {
	retry       retryPolicy
	perSecond   float64 // 0: as many as come
	contentType string  // "": the usual one
}

// deliveryOf is what counts: what the subscription says, else what the topic says, else the default.
func deliveryOf(topicPolicy, policy string) delivery {
	d := delivery{retry: retryDefault}
	t, why := parseTopicRetry(topicPolicy)
	take := func(r *retryPolicy, th *throttlePolicy, q *requestPolicy) {
		if r != nil {
			d.retry = *r
		}
		if th != nil && th.PerSecond != nil {
			d.perSecond = *th.PerSecond
		}
		if q != nil && q.ContentType != "" {
			d.contentType = q.ContentType
		}
	}
	if why == "" {
		take(t.HTTP.Retry, t.HTTP.Throttle, t.HTTP.Request)
	}
	if p, why := parseRetry(policy); why == "" && !t.HTTP.Fixed {
		take(p.Retry, p.Throttle, p.Request)
	}
	return d
}

func (r *retryPolicy) told() map[string]any {
	function := r.Backoff
	if function == "" {
		function = "linear"
	}
	return map[string]any{
		"minDelayTarget": r.MinDelay, "maxDelayTarget": r.MaxDelay, "numRetries": r.Retries, "numNoDelayRetries": r.NoDelay,
		"numMinDelayRetries": r.MinDelays, "numMaxDelayRetries": r.MaxDelays, "backoffFunction": function,
	}
}

func (d *delivery) request() map[string]any {
	if d.contentType == "" {
		return map[string]any{"headerContentType": contentTypeDefault}
	}
	return map[string]any{"headerContentType": d.contentType}
}

// effectivePolicy is the EffectiveDeliveryPolicy of a topic.
func effectivePolicy(topicPolicy string) string {
	d := deliveryOf(topicPolicy, "")
	t, _ := parseTopicRetry(topicPolicy)
	h := map[string]any{"defaultHealthyRetryPolicy": d.retry.told(), "disableSubscriptionOverrides": t.HTTP.Fixed, "defaultRequestPolicy": d.request()}
	if d.perSecond > 0 {
		h["defaultThrottlePolicy"] = map[string]any{"maxReceivesPerSecond": d.perSecond}
	}
	return string(mustJSON(map[string]any{"http": h}))
}

// effectiveSubscriptionPolicy is that of a subscription.
func effectiveSubscriptionPolicy(topicPolicy, policy string) string {
	d := deliveryOf(topicPolicy, policy)
	out := map[string]any{"healthyRetryPolicy": d.retry.told(), "sicklyRetryPolicy": nil, "throttlePolicy": nil, "requestPolicy": d.request(), "guaranteed": false}
	if d.perSecond > 0 {
		out["throttlePolicy"] = map[string]any{"maxReceivesPerSecond": d.perSecond}
	}
	return string(mustJSON(out))
}
