package aws

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

// call is one request.
type call struct {
	g       *server
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	who     broker.Caller
	id      string // for people and logs
	wire    wire.Call
	body    []byte
	release func() // of the body's memory
	visit   bool   // by somebody who was sent a URL; who he is is not known
	out     []byte
	held    []broker.Handle // of messages in out, which are given back when it cannot be written
}

// verb is an action that is offered.
type verb struct {
	wire.Key
	do func(x *call) error
}

// offer makes a verb: decode, do, write the answer.
func offer[In, Out any](a *wire.Action[In, Out], do func(x *call, in *In, out *Out) error) verb {
	return verb{a.Key, func(x *call) error {
		var in In
		var out Out
		if err := a.Decode(&x.wire, &in); err != nil {
			return err
		}
		if err := do(x, &in, &out); err != nil {
			return err
		}
		x.out = a.Append(nil, x.wire.Protocol, &out, x.id)
		return nil
	}}
}

// verbs are the actions that are offered.
var verbs = []verb{
	offer(wire.CreateQueue, createQueue), offer(wire.GetQueueURL, getQueueURL), offer(wire.ListQueues, listQueues),
	offer(wire.ListDeadLetterSourceQueues, listSources), offer(wire.GetQueueAttributes, getAttributes),
	offer(wire.SetQueueAttributes, setAttributes), offer(wire.DeleteQueue, deleteQueue), offer(wire.PurgeQueue, purgeQueue),
	offer(wire.TagQueue, tagQueue), offer(wire.UntagQueue, untagQueue), offer(wire.ListQueueTags, listTags),
	offer(wire.SendMessage, sendMessage), offer(wire.SendMessageBatch, sendBatch), offer(wire.ReceiveMessage, receiveMessage),
	offer(wire.DeleteMessage, deleteMessage), offer(wire.DeleteMessageBatch, deleteBatch),
	offer(wire.AddPermission, addPermission), offer(wire.RemovePermission, removePermission),
	offer(wire.StartMessageMoveTask, startMove), offer(wire.CancelMessageMoveTask, cancelMove), offer(wire.ListMessageMoveTasks, listMoves),
	offer(wire.ChangeMessageVisibility, changeVisibility), offer(wire.ChangeMessageVisibilityBatch, changeVisibilityBatch),

	offer(wire.CreateTopic, createTopic), offer(wire.DeleteTopic, deleteTopic), offer(wire.ListTopics, listTopics),
	offer(wire.GetTopicAttributes, getTopicAttributes), offer(wire.SetTopicAttributes, setTopicAttributes),
	offer(wire.TagResource, tagTopic), offer(wire.UntagResource, untagTopic), offer(wire.ListTagsForResource, listTopicTags),
	offer(wire.AddTopicPermission, addTopicPermission), offer(wire.RemoveTopicPermission, removeTopicPermission),
	offer(wire.Subscribe, subscribe), offer(wire.ConfirmSubscription, confirmSubscription), offer(wire.Unsubscribe, unsubscribe),
	offer(wire.ListSubscriptions, listSubscriptions), offer(wire.ListSubscriptionsByTopic, listSubscriptionsByTopic),
	offer(wire.GetSubscriptionAttributes, getSubscriptionAttributes), offer(wire.SetSubscriptionAttributes, setSubscriptionAttributes),
	offer(wire.Publish, publish), offer(wire.PublishBatch, publishBatch),

	offer(wire.GetCallerIdentity, callerIdentity),
}

// verbOf is verbs by service and name: two names are both services'.
var verbOf = func() map[wire.Key]func(*call) error {
	m := map[wire.Key]func(*call) error{}
	for i := range verbs {
		m[verbs[i].Key] = verbs[i].do
	}
	return m
}()

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == healthPath && r.Method == http.MethodGet:
		s.health(w, r)
		return
	case r.Method == http.MethodGet && !r.URL.Query().Has("Action") && !strings.HasSuffix(r.URL.Path, ".pem"):
		s.nothing(w, r)
		return
	case strings.HasSuffix(r.URL.Path, ".pem"):
		s.certificate(w, r)
		return
	}
	s.nextOn(r.Context())
	began := clock.Now()
	x := &call{g: s, w: w, r: r, ctx: r.Context(), id: newID(), release: func() {}}
	x.who = broker.Caller{Listener: s.listener, Protocol: protocolName, Client: clip(r.UserAgent()), Address: hostOf(r.RemoteAddr)}
	err := x.serve()
	x.release()
	op := s.operations[x.wire.Action]
	if op == nil {
		op = s.other
	}
	if err == nil {
		if len(x.held) > 0 {
			x.handOver() //nolint:contextcheck // what is given back is no part of the request
		} else {
			_ = x.answer(http.StatusOK) // else nobody is there to be told
		}
		op.Done(clock.Now().Sub(began), nil)
		return
	}
	e := x.refusal(err)
	if e.Code == wire.QueueDoesNotExist && x.wire.Protocol == wire.Query {
		e = wire.Refuse(e.Code, "The specified queue does not exist for this wsdl version.") // the text that programs know
	}
	x.out = wire.AppendError(nil, &x.wire, e, x.id)
	if x.wire.Protocol == wire.JSON {
		w.Header().Set("X-Amzn-Query-Error", e.QueryError())
	}
	_ = x.answer(e.Status()) // likewise
	op.Done(clock.Now().Sub(began), counted(err))
}

// healthPath is where programs written for LocalStack ask whether it is up.
const healthPath = "/_localstack/health"

// health answers them: whoever is answered at all is told no more than that.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	x := &call{g: s, w: w, r: r, id: newID(), out: []byte(`{"services":{"sqs":"running","sns":"running","sts":"running"},"edition":"leat"}`)}
	x.wire.Protocol = wire.JSON
	if err := x.guard(); err != nil {
		e := x.refusal(err)
		x.out = wire.AppendError(nil, &x.wire, e, x.id)
		_ = x.answer(e.Status())
		return
	}
	_ = x.answer(http.StatusOK)
}

// nothing answers who only looks, as Amazon does.
func (s *server) nothing(w http.ResponseWriter, r *http.Request) {
	x := &call{g: s, w: w, r: r, id: newID(), out: []byte("<UnknownOperationException/>\n")}
	_ = x.answer(http.StatusNotFound)
}

func (x *call) serve() error {
	h := wire.Head{Path: x.r.URL.Path, Query: x.r.URL.RawQuery, Target: x.r.Header.Get("X-Amz-Target"), ContentType: x.r.Header.Get("Content-Type")}
	if h.Target != "" {
		x.wire.Protocol = wire.JSON // until the call is known
	}
	if err := x.guard(); err != nil {
		return err
	}
	if x.r.Method != http.MethodPost && x.r.Method != http.MethodGet {
		return wire.Refuse(wire.InvalidAction, "Requests are made with POST or GET.")
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if x.visit = visits(x.r); x.visit {
		h.Signed = wire.SNS.String()
	} else if err := x.login(&h); err != nil { // before the body is taken apart: what is parsed is not what was signed any more
		return err
	}
	if x.who.Principal != "" {
		x.who.Namespace = x.g.broker.NamespaceOf(x.who.Principal)
	}
	c, err := wire.ParseCall(&h, x.body)
	x.wire = c
	if err != nil {
		return err
	}
	if !wire.Known(wire.Key{Service: c.Service, Action: c.Action}) {
		return wire.UnknownAction(&c)
	}
	do := verbOf[wire.Key{Service: c.Service, Action: c.Action}]
	switch {
	case do == nil && c.Service == wire.SNS:
		return notHere(c.Action)
	case do == nil:
		return wire.Refuse(wire.UnsupportedOperation, "The action "+c.Action+" of "+c.Service.String()+" is not offered here.")
	}
	return do(x)
}

// readBody reads the body, whose memory is reserved before.
func (x *call) readBody() error {
	most, length := int64(x.g.config.BodyBytesMax), x.r.ContentLength
	if length == 0 {
		return nil
	}
	tooLarge := wire.Refuse(wire.RequestTooLarge, "The request body is too large.")
	if length > most {
		x.w.Header().Set("Connection", "close")
		return tooLarge
	}
	room := length
	if room < 0 {
		room = most // it was not said; what comes is read as it comes
	}
	release, err := x.g.broker.Reserve(x.ctx, &x.who, int(room))
	if err != nil {
		x.w.Header().Set("Connection", "close")
		return err
	}
	x.release = release
	if pieces := room / gateway.PieceBytes; pieces > 0 {
		_ = http.NewResponseController(x.w).SetReadDeadline(clock.Now().Add(time.Duration(1+pieces) * x.g.limits.ReadTimeout)) // fails when closed, and so will the read
	}
	if length > 0 {
		x.body = make([]byte, length)
		_, err = io.ReadFull(x.r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(io.LimitReader(x.r.Body, most+1))
	}
	if err != nil {
		x.w.Header().Set("Connection", "close")
		return wire.Refuse(wire.MalformedRequest, "The request body did not come in full.")
	}
	if int64(len(x.body)) > most {
		x.w.Header().Set("Connection", "close")
		return tooLarge
	}
	return nil
}

// answer writes what is in out. When it returns nil all of that is with the kernel, as far as that can be known.
func (x *call) answer(code int) error {
	h := x.w.Header()
	h.Set("Content-Type", x.wire.Protocol.ContentType())
	h.Set("Content-Length", strconv.Itoa(len(x.out)))
	h.Set("X-Amzn-Requestid", x.id)
	x.w.WriteHeader(code)
	rc := http.NewResponseController(x.w)
	for b := x.out; len(b) > 0; {
		n := min(len(b), gateway.PieceBytes)
		_ = rc.SetWriteDeadline(clock.Now().Add(x.g.limits.WriteTimeout)) // fails when closed, and so will the write
		if _, err := x.w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return rc.Flush()
}

// newID makes a random UUID: of a request, of a message.
func newID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	return uuid(u, 4)
}

func uuid(u [16]byte, version byte) string {
	u[6], u[8] = u[6]&0x0f|version<<4, u[8]&0x3f|0x80
	var b [36]byte
	hex.Encode(b[:8], u[:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:], u[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// counted is an error as metrics count it.
func counted(err error) error {
	var e *wire.Error
	if !errors.As(err, &e) {
		return err
	}
	if !e.SenderFault() {
		return fault.New(fault.Internal, "request", "", "%s", e.Message)
	}
	return fault.New(fault.Invalid, "request", "", "%s", e.Message)
}
