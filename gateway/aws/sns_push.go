package aws

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/aws/wire"
	"leat/gateway/aws/wire/envelope"
	"leat/internal/clock"
	"leat/internal/outbound"
)

// Delivery by HTTP: each confirmed endpoint has a pusher, which is the one member of its subscription. What is pushed is rendered when it is
// sent; what is not taken waits in the subscription for its next attempt, which survives a restart with its count.
//
//	member ──Next──▶ notice ──Pump──▶ endpoint ──2xx──▶ Ack
//	                                           ├─retry─▶ Release after the policy's pause
//	                                           └─given up, or 4xx ─▶ append to the dead-letter queue and ack in one frame, or just ack

const (
	pushConcurrency = 16
	pushTimeout     = 15 * time.Second // of one attempt, as at Amazon
	pushLease       = time.Minute
	pushRest        = time.Second // after an error of our own
	pushersMax      = 10_000
	asksMax         = 1_000 // requests for confirmation under way
	sweepEvery      = time.Hour
)

// pushers deliver while any listener serves.
type pushers struct {
	g       *Gateway
	mu      sync.Mutex
	serving int
	ctx     context.Context // ends when the last listener does; nil before the first
	cancel  context.CancelFunc
	running sync.WaitGroup
	of      map[pushKey]context.CancelFunc
	asks    int
}

type pushKey struct{ namespace, name string }

// enter begins with the first listener, and leave ends with the last.
func (p *pushers) enter() (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving++; p.serving == 1 && p.g.outbound != nil {
		p.ctx, p.cancel = context.WithCancel(context.Background())
		p.of = map[pushKey]context.CancelFunc{}
		p.running.Go(p.sweep)
	}
	return func() {
		p.mu.Lock()
		p.serving--
		last := p.serving == 0 && p.cancel != nil
		if last {
			p.cancel()
		}
		p.mu.Unlock()
		if last {
			p.running.Wait()
		}
	}
}

// sweep starts what is to be delivered when the node starts, and every now and then takes away what nobody has confirmed.
func (p *pushers) sweep() {
	for {
		for _, ns := range p.g.broker.OwnNamespaces() {
			for _, s := range p.g.broker.SubscriptionsWith(ns, subscriptionName) {
				d, err := p.g.endpointOf(&s)
				switch {
				case err != nil:
					p.g.log.Warn("a subscription to a topic cannot be read", "subscription", s.Name, "error", err)
				case d.expired():
					who := p.g.caller(ns, &d.subDocument)
					if err := p.g.broker.DeleteSubscription(p.ctx, &who, s.Name); err != nil {
						p.g.log.Debug("a subscription that nobody confirmed stays", "subscription", s.Name, "error", err)
					}
				case !d.Pending:
					p.begin(ns, s.Name, false)
				}
			}
		}
		if clock.Sleep(p.ctx, sweepEvery) != nil {
			return
		}
	}
}

// caller is who serves a subscription: whoever made it. What was made when there were no users belongs to nobody, and goes on when there are some.
func (g *Gateway) caller(namespace string, d *subDocument) broker.Caller {
	if d.By == "" {
		own := *g.broker.OwnCaller(namespace)
		own.Client = "sns"
		return own
	}
	return broker.Caller{Principal: d.By, Namespace: namespace, Listener: protocolName, Protocol: protocolName, Client: "sns"}
}

// start has a subscription delivered, anew where it is already.
func (p *pushers) start(namespace, name string) { p.begin(namespace, name, true) }

func (p *pushers) begin(namespace, name string, anew bool) {
	k := pushKey{namespace, name}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil || p.ctx.Err() != nil {
		return
	}
	was := p.of[k]
	switch {
	case was != nil && !anew:
		return
	case was != nil:
		was()
	case len(p.of) >= pushersMax:
		p.g.log.Warn("too many endpoints are subscribed to topics: nothing is delivered to one", "subscription", name, "limit", pushersMax)
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.of[k] = cancel
	p.running.Go(func() { p.deliver(ctx, namespace, name) })
}

func (p *pushers) stop(namespace, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := pushKey{namespace, name}
	if cancel := p.of[k]; cancel != nil {
		cancel()
		delete(p.of, k)
	}
}

// pusher delivers to one endpoint.
type pusher struct {
	*Gateway
	namespace string
	name      string
	who       broker.Caller
	endpoint  *outbound.Endpoint
	stream    string
}

// state is a subscription, its topic and what counts for deliveries, as they are at the moment.
type pushState struct {
	subDocument
	topic *topic
	delivery
}

func (u *pusher) state() (st pushState, ok bool) {
	s, ok := u.broker.SubscriptionWith(u.namespace, u.name, subscriptionName)
	if !ok {
		return st, false
	}
	one, err := u.endpointOf(&s)
	if err != nil {
		return st, false
	}
	st.subDocument = one.subDocument
	t, err := u.topicNamed(u.namespace, st.Topic)
	if err != nil {
		return st, false
	}
	st.topic, st.delivery = t, deliveryOf(t.Attributes["DeliveryPolicy"], st.Attributes["DeliveryPolicy"])
	return st, true
}

// endpointFor makes the connection side of a subscription. SNS counts attempts for each message, so the endpoint's own health stops nothing
// but what it asks for itself by Retry-After.
func (g *Gateway) endpointFor(url string, perSecond float64) (*outbound.Endpoint, error) {
	policy := outbound.DefaultPolicy()
	policy.Concurrency, policy.Rate, policy.PauseAfter = pushConcurrency, perSecond, 0
	policy.FailuresMax, policy.OpenFirst, policy.OpenMost = outbound.FailuresMost, outbound.OpenLeast, pushRest
	if perSecond > 0 {
		policy.Burst = 1
	}
	return g.outbound.Endpoint(outbound.EndpointConfig{URL: url, Timeout: pushTimeout, Policy: policy})
}

// deliver runs until its context ends or the subscription is gone.
func (p *pushers) deliver(ctx context.Context, namespace, name string) {
	u := &pusher{Gateway: p.g, namespace: namespace, name: name}
	for ctx.Err() == nil {
		st, ok := u.state()
		if !ok {
			return
		}
		u.who, u.stream = p.g.caller(namespace, &st.subDocument), st.topic.stream
		if err := u.run(ctx, &st); err != nil && ctx.Err() == nil {
			if fault.Is(err, fault.NotFound) {
				return
			}
			p.g.log.Warn("delivery to an endpoint begins anew", "subscription", name, "endpoint", st.Endpoint, "error", err)
		}
		_ = clock.Sleep(ctx, pushRest) // it ends with ctx, and so does the loop
	}
}

// run delivers until something fails.
func (u *pusher) run(ctx context.Context, st *pushState) (err error) {
	if u.endpoint, err = u.endpointFor(st.Endpoint, st.perSecond); err != nil {
		return err
	}
	defer u.endpoint.Close()
	m, err := u.broker.Attach(ctx, &u.who, u.name, broker.MemberOptions{Prefetch: pushConcurrency, Lease: pushLease})
	if err != nil {
		return err
	}
	defer func() {
		_ = m.Detach(context.WithoutCancel(ctx), false) // what it has comes again by itself
	}()
	return u.endpoint.Pump(ctx, func(ctx context.Context) (*outbound.Request, error) { return u.next(ctx, m) }, u.done) //nolint:contextcheck // what was sent is settled also when ctx has ended
}

// pushed is what a request carries along.
type pushed struct {
	d  broker.Delivery
	st pushState
	n  *notice
}

func (u *pusher) next(ctx context.Context, m *broker.Member) (*outbound.Request, error) {
	ds, err := m.Next(ctx, 1)
	if err != nil {
		return nil, err
	}
	t := &pushed{d: ds[0]}
	var ok bool
	if t.st, ok = u.state(); !ok {
		return nil, io.EOF // it is just going
	}
	t.n = u.noticeOf(t.st.Topic, t.st.Protocol, t.d.Ref, t.d.Record, t.d.AppendTime)
	r := &outbound.Request{Tag: t, Header: http.Header{}}
	for _, h := range t.n.Headers(u.subscriptionARN(&t.st.subDocument), t.st.contentType, t.st.raw()) {
		r.Header.Set(h.Name, h.Value)
	}
	r.Header.Set("Accept-Encoding", "gzip,deflate") // as Amazon says; what is answered is not looked at
	if t.st.raw() {
		r.Body = []byte(t.n.Message)
		return r, nil
	}
	r.Body, err = u.appendNotice(nil, t.n, t.st.topic.version, t.st.Base, u.subscriptionARN(&t.st.subDocument)) //nolint:contextcheck // the key is made once, for all
	return r, err
}

// settleTime bounds how long it may take to say what became of a delivery.
const settleTime = 30 * time.Second

// done says what became of a delivery.
func (u *pusher) done(r *outbound.Request, res outbound.Result) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	t := r.Tag.(*pushed)
	if res.Outcome == outbound.Gone { // about this message only, here
		u.endpoint.Resume()
	}
	hs := []broker.Handle{t.d.Handle}
	var err error
	switch {
	case res.Outcome == outbound.Delivered:
		_, err = u.broker.Ack(ctx, &u.who, hs)
	case res.Outcome == outbound.Unsent:
		_, err = u.broker.Release(ctx, &u.who, hs, 0, false)
	case permanent(&res) || t.d.Attempt > t.st.retry.Retries:
		err = u.giveUp(ctx, t, &res)
	default:
		_, err = u.broker.Release(ctx, &u.who, hs, max(t.st.retry.pause(t.d.Attempt), res.RetryAfter), true)
	}
	if err != nil {
		u.log.Warn("what became of a delivery could not be noted; it is made again", "subscription", u.name, "ref", t.d.Ref.String(), "error", err)
	}
}

// permanent is what is not tried again: the endpoint has understood, and does not want it.
func permanent(res *outbound.Result) bool {
	return res.Outcome == outbound.Blocked || res.Status >= 400 && res.Status < 500 && res.Status != http.StatusTooManyRequests && res.Status != http.StatusRequestTimeout
}

// giveUp puts a notice into the dead-letter queue, where there is one, and settles it: both or neither.
func (u *pusher) giveUp(ctx context.Context, t *pushed, res *outbound.Result) error {
	hs := []broker.Handle{t.d.Handle}
	u.log.Info("a notice is given up", "subscription", u.name, "endpoint", t.st.Endpoint, "ref", t.d.Ref.String(), "attempts", t.d.Attempt, "error", res.Err)
	queue := t.st.deadLetters()
	if queue == "" {
		_, err := u.broker.Reject(ctx, &u.who, hs)
		return err
	}
	to, ok := u.queueStream(u.namespace, queue)
	if !ok {
		u.log.Warn("a notice is lost: its dead-letter queue is not there", "subscription", u.name, "queue", queue)
		_, err := u.broker.Reject(ctx, &u.who, hs)
		return err
	}
	why := ""
	if res.Err != nil {
		why = res.Err.Error()
	}
	e, err := u.deadNotice(t.n, &t.st.subDocument, t.st.topic.version, to, t.st.Base, why) //nolint:contextcheck // the key is made once, for all
	if err != nil {
		return err
	}
	_, err = u.broker.AppendEvents(ctx, &u.who, broker.EventsAppend{Events: []broker.EventEntry{e}, Acks: hs})
	return err
}

// ask sends a request for confirmation, again and again as the default policy says, until the endpoint has answered it.
func (p *pushers) ask(namespace string, d subDocument) {
	doc := envelope.Confirm(newID(), p.g.topicARN(d.Topic), d.Token, d.Base, clock.Now())
	p.tell(namespace, d, doc)
}

// tellEnd tells an endpoint that its subscription has ended, once.
func (p *pushers) tellEnd(namespace string, d subDocument) {
	d.Token = newToken() // nothing can be restored with it: the subscription is gone
	p.tell(namespace, d, envelope.Ended(newID(), p.g.topicARN(d.Topic), p.g.subscriptionARN(&d), d.Token, d.Base, clock.Now()))
}

func (p *pushers) tell(namespace string, d subDocument, doc envelope.Document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil || p.ctx.Err() != nil || p.asks >= asksMax {
		return
	}
	p.asks++
	ctx := p.ctx
	p.running.Go(func() {
		defer func() {
			p.mu.Lock()
			p.asks--
			p.mu.Unlock()
		}()
		p.tellNow(ctx, namespace, &d, &doc)
	})
}

func (p *pushers) tellNow(ctx context.Context, namespace string, d *subDocument, doc *envelope.Document) {
	g := p.g
	fail := func(err error) {
		g.log.Warn("an endpoint of a topic could not be told", "what", string(doc.Type), "topic", d.Topic, "endpoint", d.Endpoint, "error", err)
	}
	e, err := g.endpointFor(d.Endpoint, 0)
	if err != nil {
		fail(err)
		return
	}
	defer e.Close()
	version := int64(1)
	if t, err := g.topicNamed(namespace, d.Topic); err == nil {
		version = t.version
	}
	sig, err := g.sign(doc, signKey{}, version, d.Base) //nolint:contextcheck // the key is made once, for all
	if err != nil {
		fail(err)
		return
	}
	body := doc.Append(nil, sig)
	for n := 1; ; n++ {
		r := &outbound.Request{Body: body, Header: http.Header{}}
		for _, h := range doc.Headers(g.subscriptionARN(d), "", false) {
			r.Header.Set(h.Name, h.Value)
		}
		r.Header.Set("Accept-Encoding", "gzip,deflate")
		res := e.Try(ctx, r)
		switch {
		case res.Outcome == outbound.Delivered || ctx.Err() != nil:
			return
		case n > retryDefault.Retries || permanent(&res) || doc.Type == envelope.UnsubscribeConfirmation:
			fail(res.Err)
			return
		}
		if clock.Sleep(ctx, retryDefault.pause(n)) != nil {
			return
		}
	}
}

// certificate serves the certificate that notices are signed with. It is for everybody.
func (s *server) certificate(w http.ResponseWriter, r *http.Request) {
	signer, cert, err := s.identity() //nolint:contextcheck // the key is made once, for all
	if err != nil || r.URL.Path != signer.CertificatePath() || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(clock.Now().Add(s.limits.WriteTimeout)) // fails when closed, and so will the write
	w.Header().Set("Content-Type", "application/x-pem-file")
	if r.Method == http.MethodGet {
		_, _ = w.Write(cert) // else nobody is there to be told
	}
}

// visits reports whether a request is a visit of one of the URLs that subscribers are sent. Who has the URL may: it has a token, or the number of
// the subscription.
func visits(r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		return false
	}
	q := r.URL.Query()
	if q.Has("X-Amz-Signature") || q.Has("X-Amz-Algorithm") {
		return false
	}
	action := q.Get("Action")
	return action == wire.ConfirmSubscription.Action || action == wire.Unsubscribe.Action
}
