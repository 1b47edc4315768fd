package amqp091

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway/amqp091/wire"
)

func TestConfirms_AreInOrderAndOfEachMessage(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	c.queue(t, "jobs")
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	raw, err := (&wire.Properties{}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 5000
	for i := range n {
		body := fmt.Append(nil, i, strings.Repeat("x", i%300))
		if err := c.w.Content(1, &wire.BasicPublish{RoutingKey: []byte("jobs")}, raw, body); err != nil {
			t.Fatal(err)
		}
		if i%700 == 0 || i == n-1 {
			if err := c.flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.confirmed(t, n)
	c.consume(t, "jobs", "a", true)
	for i := range n {
		d := c.delivery(t)
		if want := fmt.Sprint(i, strings.Repeat("x", i%300)); d.body != want || d.tag != uint64(i+1) || d.again {
			t.Fatalf("delivery %d: %+v, want %q", i, d, want)
		}
	}
}

func TestPublish_MandatoryComesBackBeforeItsConfirm(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	c.queue(t, "jobs")
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	for range 50 { // written at once with others, so that they are of one batch
		for _, key := range []string{"jobs", "nobody"} {
			if err := c.w.Content(1, &wire.BasicPublish{RoutingKey: []byte(key), Mandatory: true}, []byte{0, 0}, []byte(key)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	returned := uint64(0)
	for c.seen < 100 {
		m, err := c.method()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *wire.BasicReturn:
			if returned++; m.ReplyCode != wire.NoRoute || string(m.ReplyText) != "NO_ROUTE" || string(m.RoutingKey) != "nobody" {
				t.Errorf("%s", wire.Text(m))
			}
			c.content(t)
		case *wire.BasicAck:
			if c.seen = m.DeliveryTag; returned < c.seen/2 {
				t.Fatalf("%d confirmed, %d returned", c.seen, returned)
			}
		default:
			t.Fatal(wire.Text(m))
		}
	}
	if returned != 50 {
		t.Errorf("%d came back, want 50", returned)
	}
}

// A queue that takes no more refuses what is too much, one by one, and takes the rest.
func TestPublish_AFullQueueRefusesWhatIsTooMuch(t *testing.T) {
	b := newBroker(t)
	c := dial(t, serve(t, b))
	c.queue(t, "small")
	_, err := b.PutSubscription(t.Context(), &broker.Caller{}, "small", func(s *broker.SubscriptionConfig) error {
		s.Policy.LengthMax, s.Policy.Overflow = 3, broker.OverflowRejectAppend
		return nil
	}, broker.Start{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	for i := range 10 {
		if err := c.w.Content(1, &wire.BasicPublish{RoutingKey: []byte("small")}, []byte{0, 0}, []byte{byte('0' + i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	acked, nacked, last := 0, 0, uint64(0)
	for last < 10 {
		m, err := c.method()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *wire.BasicAck:
			acked, last = acked+int(m.DeliveryTag-last), m.DeliveryTag
		case *wire.BasicNack:
			nacked, last = nacked+int(m.DeliveryTag-last), m.DeliveryTag
		default:
			t.Fatal(wire.Text(m))
		}
	}
	if acked != 3 || nacked != 7 {
		t.Errorf("%d acks and %d nacks, want 3 and 7", acked, nacked)
	}
}

func TestPublish_OversizedEndsTheChannelOnly(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	c.queue(t, "jobs")
	c.w.SetFrameMax(0)
	head := []byte{2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, wire.FrameEnd}
	if err := c.w.Method(1, &wire.BasicPublish{RoutingKey: []byte("jobs")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.c.Write(append(c.w.AppendTo(nil), head...)); err != nil {
		t.Fatal(err)
	}
	c.w.Reset()
	c.closed(t, wire.PreconditionFailed, "is larger than configured max size")
	c.fill(t, "jobs", "fits")
}

func TestPublish_AnotherUsersNameIsRefused(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	c.queue(t, "jobs")
	c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte("jobs")}, wire.Properties{Flags: wire.HasUserID, UserID: []byte("guest")}, "mine")
	c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte("jobs")}, wire.Properties{Flags: wire.HasUserID, UserID: []byte("root")}, "not mine")
	c.closed(t, wire.PreconditionFailed, "user_id property set to 'root' but authenticated user was 'guest'")
	if m := must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("jobs"), Passive: true}); m.MessageCount != 1 {
		t.Errorf("%d messages, want 1", m.MessageCount)
	}
}

func TestTx_CommitsPublishesAndAcksTogether(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, watch := dial(t, addr), dial(t, addr)
	c.queue(t, "in")
	c.queue(t, "out")
	watch.fill(t, "in", "a", "b")
	count := func(queue string) uint32 {
		return must[*wire.QueueDeclareOK](t, watch, &wire.QueueDeclare{Queue: []byte(queue), Passive: true}).MessageCount
	}
	must[*wire.TxSelectOK](t, c, &wire.TxSelect{})
	c.consume(t, "in", "a", false)
	a, b := c.delivery(t), c.delivery(t)
	if a.body != "a" || b.body != "b" {
		t.Fatal(a, b)
	}
	c.publish(t, "", "out", "of a", false)
	c.ack(t, a.tag, false)
	if n := count("out"); n != 0 {
		t.Errorf("%d messages before the commit", n)
	}
	must[*wire.TxRollbackOK](t, c, &wire.TxRollback{})
	if n := count("out"); n != 0 {
		t.Errorf("%d messages after the rollback", n)
	}
	c.publish(t, "", "out", "of a", false)
	c.ack(t, a.tag, false) // it waits again
	must[*wire.TxCommitOK](t, c, &wire.TxCommit{})
	if n := count("out"); n != 1 {
		t.Errorf("%d messages after the commit, want 1", n)
	}
	if err := c.send(1, &wire.BasicReject{DeliveryTag: b.tag, Requeue: true}); err != nil {
		t.Fatal(err)
	}
	must[*wire.TxCommitOK](t, c, &wire.TxCommit{})
	if d := c.delivery(t); d.body != "b" || !d.again {
		t.Errorf("%+v came after b was given back", d)
	}
	must[*wire.ChannelCloseOK](t, c, &wire.ChannelClose{})
	if n := count("in"); n != 1 {
		t.Errorf("%d messages are left, want b", n)
	}
	m := must[*wire.ChannelClose](t, watch, &wire.TxCommit{})
	if m.ReplyCode != wire.PreconditionFailed {
		t.Errorf("a commit on a channel that confirms: %s", wire.Text(m))
	}
}

func TestQoS_ConsumersWindow(t *testing.T) {
	addr := serve(t, newBroker(t))
	c := dial(t, addr)
	c.queue(t, "jobs")
	dial(t, addr).fill(t, "jobs", strings.Split("abcdefgh", "")...)
	c.prefetch(t, 3, false)
	c.consume(t, "jobs", "x", false)
	for _, want := range []string{"a", "b", "c"} {
		if d := c.delivery(t); d.body != want {
			t.Fatalf("%+v, want %s", d, want)
		}
	}
	c.nothing(t, "a fourth delivery with a prefetch of 3")
	c.ack(t, 2, true)
	for _, want := range []string{"d", "e"} {
		if d := c.delivery(t); d.body != want {
			t.Fatalf("%+v, want %s", d, want)
		}
	}
	c.nothing(t, "too many after two were acknowledged")
}

// Without a prefetch everything comes, however much of it is unacknowledged.
func TestQoS_None(t *testing.T) {
	addr := serve(t, newBroker(t))
	c := dial(t, addr)
	c.queue(t, "jobs")
	c.consume(t, "jobs", "x", false)
	const n = 7000
	other := dial(t, addr)
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprint(i)
	}
	other.fill(t, "jobs", bodies...)
	for i := range n {
		if d := c.delivery(t); d.body != bodies[i] {
			t.Fatalf("%+v, want %d", d, i)
		}
	}
	c.ack(t, 0, true)
	if m := must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("jobs"), Passive: true}); m.MessageCount != 0 {
		t.Error(wire.Text(m))
	}
}

func TestQoS_ChannelsWindow(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "one")
	c.queue(t, "two")
	c.queue(t, "three")
	c.prefetch(t, 3, true)
	c.consume(t, "three", "3", true) // takes no room
	other.fill(t, "three", "1", "2", "3", "4", "5")
	for range 5 {
		c.delivery(t)
	}
	c.consume(t, "one", "1", false)
	c.consume(t, "two", "2", false)
	other.fill(t, "one", "a", "b", "c", "d", "e")
	other.fill(t, "two", "v", "w", "x", "y", "z")
	got := map[string]int{}
	held := []uint64{}
	for len(got) < 10 {
		d := c.delivery(t)
		if held = append(held, d.tag); len(held) > 3 {
			t.Fatalf("%d deliveries are unacknowledged", len(held))
		}
		if got[d.body]++; got[d.body] > 1 {
			t.Fatalf("%s twice", d.body)
		}
		if len(held) == 3 {
			c.nothing(t, "a fourth delivery with a prefetch of 3 over the channel")
			c.ack(t, held[0], false)
			c.ack(t, held[2], false)
			held = held[1:2]
		}
	}
	c.ack(t, 0, true)
	c.prefetch(t, 0, true)
	other.fill(t, "two", strings.Split("0123456789", "")...)
	for range 10 {
		c.delivery(t)
	}
}

func TestConsume_CancelIsToldWhenTheQueueGoes(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	c.consume(t, "jobs", "mine", false)
	must[*wire.QueueDeleteOK](t, other, &wire.QueueDelete{Queue: []byte("jobs")})
	if m := next[*wire.BasicCancel](t, c); string(m.ConsumerTag) != "mine" || !m.NoWait {
		t.Errorf("%s", wire.Text(m))
	}
	c.queue(t, "jobs")
	c.consume(t, "jobs", "mine", false) // the tag is free
	other.fill(t, "jobs", "again")
	if d := c.delivery(t); d.body != "again" {
		t.Error(d)
	}
}

func TestConsume_Exclusive(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	c.consume(t, "jobs", "shared", false)
	if m := must[*wire.ChannelClose](t, other, &wire.BasicConsume{Queue: []byte("jobs"), Exclusive: true}); m.ReplyCode != wire.AccessRefused ||
		string(m.ReplyText) != "ACCESS_REFUSED - queue 'jobs' in vhost '/' in exclusive use" {
		t.Errorf("an exclusive consumer beside another one: %s", wire.Text(m))
	}
	must[*wire.BasicCancelOK](t, c, &wire.BasicCancel{ConsumerTag: []byte("shared")})
	must[*wire.BasicConsumeOK](t, c, &wire.BasicConsume{Queue: []byte("jobs"), Exclusive: true})
	third := dial(t, addr)
	if m := must[*wire.ChannelClose](t, third, &wire.BasicConsume{Queue: []byte("jobs")}); m.ReplyCode != wire.AccessRefused {
		t.Errorf("a consumer beside an exclusive one: %s", wire.Text(m))
	}
	_ = c.c.Close()
	for deadline := time.Now().Add(testPatience); ; time.Sleep(10 * time.Millisecond) { // until the node has noticed
		fourth := dial(t, addr)
		m, err := call[*wire.BasicConsumeOK](fourth, &wire.BasicConsume{Queue: []byte("jobs")})
		if err == nil && m != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the queue is still taken: ", err)
		}
	}
}

func TestConsume_TheHigherPriorityIsServedFirst(t *testing.T) {
	addr := serve(t, newBroker(t))
	low, high, other := dial(t, addr), dial(t, addr), dial(t, addr)
	low.queue(t, "jobs")
	low.consume(t, "jobs", "low", false)
	args, err := wire.Table(nil).Add("x-priority", wire.Int32(10))
	if err != nil {
		t.Fatal(err)
	}
	high.prefetch(t, 2, false)
	high.consume(t, "jobs", "high", false, args)
	other.fill(t, "jobs", "a", "b", "c")
	if a, b := high.delivery(t), high.delivery(t); a.body != "a" || b.body != "b" {
		t.Error(a, b)
	}
	if d := low.delivery(t); d.body != "c" {
		t.Error(d) // when the higher one has no room
	}
}

func TestConsume_CancelledConsumersDeliveriesCanBeAcknowledged(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	other.fill(t, "jobs", "a", "b", "c")
	c.prefetch(t, 1, false)
	for round := range 3 { // a client that comes and goes on one channel leaves nothing behind
		tag := fmt.Sprint(round)
		c.consume(t, "jobs", tag, false)
		d := c.delivery(t)
		must[*wire.BasicCancelOK](t, c, &wire.BasicCancel{ConsumerTag: []byte(tag)})
		c.ack(t, d.tag, false)
	}
	if m := must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("jobs"), Passive: true}); m.MessageCount != 0 || m.ConsumerCount != 0 {
		t.Errorf("%s", wire.Text(m))
	}
}

func TestGet_CountsWhatIsLeft(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	other.fill(t, "jobs", "a", "b", "c")
	for i, want := range []string{"a", "b", "c"} {
		m := must[*wire.BasicGetOK](t, c, &wire.BasicGet{Queue: []byte("jobs"), NoAck: i == 1})
		left := m.MessageCount
		if _, body := c.content(t); body != want || left != uint32(2-i) {
			t.Errorf("got %q with %d left, want %q with %d", body, left, want, 2-i)
		}
	}
	must[*wire.BasicGetEmpty](t, c, &wire.BasicGet{Queue: []byte("jobs")})
	must[*wire.BasicRecoverOK](t, c, &wire.BasicRecover{Requeue: true})
	var again []string
	for range 2 {
		m := must[*wire.BasicGetOK](t, c, &wire.BasicGet{Queue: []byte("jobs"), NoAck: true})
		if !m.Redelivered {
			t.Error("not redelivered")
		}
		_, body := c.content(t)
		again = append(again, body)
	}
	if slices.Sort(again); strings.Join(again, "") != "ac" {
		t.Errorf("%v came back", again)
	}
}

func TestAck_UnknownTagsEndTheChannel(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, other := dial(t, addr), dial(t, addr)
	c.queue(t, "jobs")
	other.fill(t, "jobs", "a")
	for _, m := range []wire.Method{&wire.BasicAck{DeliveryTag: 7}, &wire.BasicNack{DeliveryTag: 7, Multiple: true}, &wire.BasicReject{DeliveryTag: 7}} {
		c.consume(t, "jobs", "x", false)
		c.delivery(t)
		if err := c.send(1, m); err != nil {
			t.Fatal(err)
		}
		c.closed(t, wire.PreconditionFailed, "unknown delivery tag 7")
	}
	c.consume(t, "jobs", "x", false)
	if d := c.delivery(t); !d.again || d.body != "a" { // the channel's end gave it back
		t.Error(d)
	}
}

func TestReply_ComesBackToItsChannel(t *testing.T) {
	addr := serve(t, newBroker(t))
	c, worker := dial(t, addr), dial(t, addr)
	worker.queue(t, "rpc")
	ask := wire.Properties{Flags: wire.HasReplyTo | wire.HasCorrelationID, ReplyTo: []byte(replyQueue), CorrelationID: []byte("1")}
	c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte("rpc")}, ask, "too early")
	c.closed(t, wire.PreconditionFailed, "fast reply consumer does not exist")
	if err := c.send(1, &wire.BasicConsume{Queue: []byte(replyQueue)}); err != nil {
		t.Fatal(err)
	}
	c.closed(t, wire.PreconditionFailed, "reply consumer cannot acknowledge")
	c.consume(t, replyQueue, "replies", true)
	c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte("rpc")}, ask, "2+2")
	must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("rpc"), Passive: true}) // it is there now

	get := must[*wire.BasicGetOK](t, worker, &wire.BasicGet{Queue: []byte("rpc"), NoAck: true})
	_ = get
	f, err := worker.frame()
	if err != nil {
		t.Fatal(err)
	}
	h, err := wire.DecodeContentHeader(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var p wire.Properties
	if err := p.Decode(h.Properties); err != nil {
		t.Fatal(err)
	}
	to := string(p.ReplyTo)
	if _, err := worker.frame(); err != nil || !strings.HasPrefix(to, replyPrefix) || string(p.CorrelationID) != "1" {
		t.Fatal(err, to, p.String())
	}
	must[*wire.ConfirmSelectOK](t, worker, &wire.ConfirmSelect{})
	worker.message(t, 1, &wire.BasicPublish{RoutingKey: []byte(to), Mandatory: true}, wire.Properties{}, "4")
	worker.confirmed(t, 1)
	if d := c.delivery(t); d.body != "4" || d.consumer != "replies" || d.key != to || d.exchange != "" {
		t.Error(d)
	}
	must[*wire.BasicCancelOK](t, c, &wire.BasicCancel{ConsumerTag: []byte("replies")})
	worker.message(t, 1, &wire.BasicPublish{RoutingKey: []byte(to), Mandatory: true}, wire.Properties{}, "5")
	if m := next[*wire.BasicReturn](t, worker); m.ReplyCode != wire.NoRoute {
		t.Error(wire.Text(m))
	}
	worker.content(t)
	worker.confirmed(t, 1)
}

func TestHeartbeat_SilentPeersAreCut(t *testing.T) {
	bubble(t, func(*broker.Options) {}, func(t *testing.T, dial func() (net.Conn, error)) {
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := startBeating(conn, "guest", "guest", 1); err != nil {
			t.Fatal(err)
		}
		began, beats := time.Now(), 0
		var p [8]byte
		for {
			n, err := conn.Read(p[:])
			if err != nil {
				break
			}
			beats += n
		}
		if took := time.Since(began); took < 1900*time.Millisecond || took > 4*time.Second || beats < 2*8 {
			t.Errorf("cut after %v, %d bytes of heartbeats; want two intervals of a second, and a heartbeat each half", took, beats)
		}
	})
}

func TestLogin_Mechanisms(t *testing.T) {
	addr := serve(t, newBroker(t))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testPatience))
	c, err := start(conn, "guest", "guest")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.send(0, &wire.ConnectionUpdateSecret{NewSecret: []byte("x"), Reason: []byte("it is time")}); err != nil {
		t.Fatal(err)
	}
	next[*wire.ConnectionUpdateSecretOK](t, c)
}

func TestPublish_FurtherKeys(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	for _, q := range []string{"a", "b", "c"} {
		c.queue(t, q)
	}
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	headers, err := wire.Table(nil).Add("CC", wire.ArrayValue(wire.Array(nil).Add(wire.String("b")).Add(wire.String("nobody"))))
	if err == nil {
		headers, err = headers.Add("BCC", wire.ArrayValue(wire.Array(nil).Add(wire.String("c"))))
	}
	if err != nil {
		t.Fatal(err)
	}
	c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte("a"), Mandatory: true}, wire.Properties{Flags: wire.HasHeaders, Headers: headers}, "for three")
	c.confirmed(t, 1)
	for _, q := range []string{"a", "b", "c"} {
		m := must[*wire.BasicGetOK](t, c, &wire.BasicGet{Queue: []byte(q), NoAck: true})
		if string(m.RoutingKey) != "a" || m.MessageCount != 0 {
			t.Errorf("%s: %s", q, wire.Text(m))
		}
		f, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		h, err := wire.DecodeContentHeader(f.Payload)
		var p wire.Properties
		if err == nil {
			err = p.Decode(h.Properties)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, cc := p.Headers.Get("CC")
		if _, bcc := p.Headers.Get("BCC"); bcc || !cc {
			t.Errorf("%s: %s", q, p.String())
		}
		if f, err = c.frame(); err != nil || string(f.Payload) != "for three" {
			t.Errorf("%s: %q, %v", q, f.Payload, err)
		}
	}
	wrong, err := wire.Table(nil).Add("CC", wire.String("b"))
	if err != nil {
		t.Fatal(err)
	}
	c.message(t, 1, &wire.BasicPublish{RoutingKey: []byte("a")}, wire.Properties{Flags: wire.HasHeaders, Headers: wrong}, "for nobody")
	c.closed(t, wire.PreconditionFailed, "CC")
}
