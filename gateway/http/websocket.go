package http

import (
	"context"
	"encoding/base64"
	"errors"
	nethttp "net/http"

	"github.com/coder/websocket"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

// WebSocket (RFC 6455) on the paths that are read. Each text frame carries one event with its place:
//
//	{"ref":"orders/0/1234","position":"…","version":3,"event":{"specversion":"1.0",…}}
//
// A client that offers the subprotocol cloudevents.json (CloudEvents WebSocket binding) gets the bare event instead. ?from=<position>
// resumes after it. The client sends nothing but pongs and close; a data frame ends the connection.

const (
	subprotocolCloudEvents = "cloudevents.json"
	// closeProblem + an HTTP status is the close code for what ends a stream in its middle, such as 4410 for trimmed.
	closeProblem = 4000
	// closeReasonBytesMax is what fits into a close frame.
	closeReasonBytesMax = 123
)

func (x *call) followWebSocket(streams []string) error {
	if err := checkUpgrade(x.r); err != nil {
		return err
	}
	f, err := x.follow(streams)
	if err != nil {
		return err
	}
	defer x.g.followers.leave()
	defer f.Close()
	// The origin has been checked by guard, with the configured list; the library's own check would not know it.
	c, err := websocket.Accept(x.w, x.r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocolCloudEvents}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil { // answered by Accept
		return nil
	}
	defer func() { _ = c.CloseNow() }()
	x.g.metrics.followers.Inc()
	defer x.g.metrics.followers.Dec()
	// The library cuts a connection whose reading or writing is cancelled; alive ends when the client has gone, and only then. A drain
	// ends the waiting for events alone, so that what is being written is finished and a goodbye follows it.
	alive, cut := context.WithCancel(c.CloseRead(context.Background()))
	defer cut()
	wait, stop := context.WithCancel(alive)
	defer stop()
	defer context.AfterFunc(x.g.followers.ctx, stop)()
	go x.g.ping(wait, cut, c)
	err = x.g.deliverWebSocket(wait, alive, c, f)
	switch {
	case x.g.followers.ctx.Err() != nil:
		_ = c.Close(websocket.StatusGoingAway, "this node is stopping; connect again from your last position")
	case err != nil && !ended(err):
		x.g.closeWithProblem(alive, c, err, instanceOf(x.r))
	}
	return nil
}

// deliverWebSocket writes until the client goes (nil), or the follower ends.
func (g *server) deliverWebSocket(wait, alive context.Context, c *websocket.Conn, f *broker.Follower) error {
	format, encode := formatFrame, encodeFrame
	if c.Subprotocol() == subprotocolCloudEvents {
		format, encode = formatJSON, encodeJSON
	}
	for {
		events, err := f.Next(wait, g.config.FlushEventsMax)
		if err != nil {
			return err
		}
		g.metrics.delivered.Add(float64(len(events)))
		flush, done := context.WithTimeout(alive, g.limits.WriteTimeout)
		gone := false
		for i := 0; i < len(events) && !gone; i++ {
			gone = c.Write(flush, websocket.MessageText, events[i].Encoded(format, encode)) != nil
		}
		slow := errors.Is(flush.Err(), context.DeadlineExceeded)
		done()
		if slow {
			g.metrics.dropped.Inc()
		}
		if gone { // nobody is there to be told
			return nil
		}
	}
}

// ping finds out whether the client is still there. A ping that is not answered in time ends it.
func (g *server) ping(wait context.Context, cut context.CancelFunc, c *websocket.Conn) {
	for clock.Sleep(wait, g.config.HeartbeatInterval) == nil {
		answer, done := context.WithTimeout(context.WithoutCancel(wait), g.limits.WriteTimeout) // a cancelled ping cuts the connection
		err := c.Ping(answer)
		done()
		if err != nil {
			cut()
			return
		}
	}
}

// closeWithProblem tells in a last frame what happened, then closes with a code made of the status.
func (g *server) closeWithProblem(ctx context.Context, c *websocket.Conn, err error, instance string) {
	p := asProblem(err)
	code, doc := p.document(instance)
	wait, done := context.WithTimeout(ctx, g.limits.WriteTimeout)
	defer done()
	frame := append(append([]byte(`{"problem":`), doc[:len(doc)-1]...), '}')
	if c.Write(wait, websocket.MessageText, frame) == nil {
		reason := p.fault.Text
		if len(reason) > closeReasonBytesMax {
			reason = p.fault.Kind.String()
		}
		_ = c.Close(websocket.StatusCode(closeProblem+code), reason)
	}
}

// checkUpgrade refuses a handshake that cannot work before anything is started for it.
func checkUpgrade(r *nethttp.Request) error {
	key := r.Header.Get("Sec-Websocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	switch {
	case r.ProtoMajor != 1:
		return wrong("follow", "Upgrade", "a WebSocket starts with an HTTP/1.1 request")
	case !headerHasToken(r.Header["Connection"], "upgrade"):
		return wrong("follow", "Connection", "an upgrade needs the header Connection: Upgrade")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return (&problem{
			fault:  fault.New(fault.Unsupported, "follow", "", "only version 13 of the WebSocket protocol is spoken"),
			status: nethttp.StatusUpgradeRequired, title: "Another WebSocket version is needed", kind: "upgrade-required",
			field: "Sec-WebSocket-Version",
		}).with("Sec-WebSocket-Version", "13").with("Upgrade", "websocket")
	case err != nil || len(raw) != 16:
		return wrong("follow", "Sec-WebSocket-Key", "the key must be 16 bytes in base64")
	}
	return nil
}
