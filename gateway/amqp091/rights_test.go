package amqp091

import (
	"fmt"
	"net"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway/amqp091/wire"
)

// bob may do everything with what begins with mine, and as much as reads and writes besides what everybody needs.
var bob = broker.User{
	Name: "bob", Password: "the-builder",
	Grants: []broker.Grant{
		{Action: broker.ActionAdmin, Kind: broker.KindStream, Pattern: "mine*"},
		{Action: broker.ActionAdmin, Kind: broker.KindSubscription, Pattern: "mine*"},
	},
}

// Refusals are those of RabbitMQ for the user bob with the permissions ^mine for all three, asked for the same.
func TestRights_RefusedAsRabbitMQDoes(t *testing.T) {
	b := newBroker(t, testUser)
	if _, err := b.PutUser(t.Context(), &broker.Caller{Principal: testUser.Name}, bob); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, b)
	login := func(u broker.User) *client {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testPatience))
		c, err := start(conn, u.Name, u.Password)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	alice := login(testUser)
	must[*wire.QueueDeclareOK](t, alice, &wire.QueueDeclare{Queue: []byte("yours"), Durable: true})
	must[*wire.ExchangeDeclareOK](t, alice, &wire.ExchangeDeclare{Exchange: []byte("yx"), Type: []byte("fanout")})
	must[*wire.ExchangeDeclareOK](t, alice, &wire.ExchangeDeclare{Exchange: []byte("minex"), Type: []byte("fanout")})
	must[*wire.QueueDeclareOK](t, alice, &wire.QueueDeclare{Queue: []byte("mine")})

	dead, _ := wire.Table(nil).Add(argumentDeadExchange, wire.String("yx"))
	alternate, _ := wire.Table(nil).Add(argumentAlternate, wire.String("yx"))
	q := func(s string) string {
		return fmt.Sprintf("access to queue '%s' in vhost '/' refused for user 'bob'", s)
	}
	x := func(s string) string {
		return fmt.Sprintf("access to exchange '%s' in vhost '/' refused for user 'bob'", s)
	}
	for _, c := range []struct {
		m    wire.Method
		want string // "": done
	}{
		{&wire.QueueDeclare{Queue: []byte("nope")}, q("nope")},
		{&wire.QueueDeclare{Queue: []byte("yours"), Durable: true}, q("yours")},
		{&wire.QueueDeclare{Queue: []byte("yours"), Passive: true}, ""},
		{&wire.QueueDeclare{Queue: []byte("mine")}, ""},
		{&wire.QueueDeclare{Queue: []byte("mine2"), Arguments: dead}, x("yx")},
		{&wire.QueueDelete{Queue: []byte("yours")}, q("yours")},
		{&wire.QueueDelete{Queue: []byte("yoursmissing")}, q("yoursmissing")},
		{&wire.QueuePurge{Queue: []byte("yours")}, q("yours")},
		{&wire.QueuePurge{Queue: []byte("mine")}, ""},
		{&wire.BasicConsume{Queue: []byte("yours")}, q("yours")},
		{&wire.QueueBind{Queue: []byte("yours"), Exchange: []byte("minex")}, q("yours")},
		{&wire.QueueBind{Queue: []byte("mine"), Exchange: []byte("yx")}, x("yx")},
		{&wire.QueueBind{Queue: []byte("mine"), Exchange: []byte("minex")}, ""},
		{&wire.QueueUnbind{Queue: []byte("yours"), Exchange: []byte("minex")}, q("yours")},
		{&wire.ExchangeDeclare{Exchange: []byte("nopex"), Type: []byte("fanout")}, x("nopex")},
		{&wire.ExchangeDeclare{Exchange: []byte("yx"), Type: []byte("fanout"), Passive: true}, ""},
		{&wire.ExchangeDeclare{Exchange: []byte("mineae"), Type: []byte("fanout"), Arguments: alternate}, x("yx")},
		{&wire.ExchangeDelete{Exchange: []byte("yx")}, x("yx")},
		{&wire.ExchangeBind{Destination: []byte("yx"), Source: []byte("minex")}, x("yx")},
		{&wire.ExchangeBind{Destination: []byte("minex"), Source: []byte("yx")}, x("yx")},
	} {
		cl := login(bob)
		if err := cl.send(1, c.m); err != nil {
			t.Fatal(err)
		}
		got, err := cl.method()
		if err != nil {
			t.Fatal(err)
		}
		refused, is := got.(*wire.ChannelClose)
		switch {
		case c.want == "" && is:
			t.Errorf("%s: %s", wire.Text(c.m), refused.ReplyText)
		case c.want != "" && (!is || string(refused.ReplyText) != "ACCESS_REFUSED - "+c.want):
			t.Errorf("%s: %s, want %s", wire.Text(c.m), wire.Text(got), c.want)
		}
	}
	for exchange, key := range map[string]string{"yx": "yx", "": "amq.default"} {
		cl := login(bob)
		cl.publish(t, exchange, "mine", "x", false)
		if m := next[*wire.ChannelClose](t, cl); string(m.ReplyText) != "ACCESS_REFUSED - "+x(key) {
			t.Errorf("publish to %q: %s", exchange, m.ReplyText)
		}
	}
}

// A virtual host is the namespace of its name: what is declared in one is not in another.
func TestVhost_IsANamespace(t *testing.T) {
	b := newBroker(t)
	if _, err := b.CreateStream(t.Context(), &broker.Caller{Namespace: "blue"}, "first", broker.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, b)
	open := func(user, password, host string) (*client, wire.Method) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testPatience))
		c, m, err := startIn(conn, user, password, host)
		if err != nil {
			t.Fatal(err)
		}
		return c, m
	}
	blue, _ := open("guest", "guest", "blue")
	must[*wire.QueueDeclareOK](t, blue, &wire.QueueDeclare{Queue: []byte("q"), Durable: true})
	if m := must[*wire.ChannelClose](t, dial(t, addr), &wire.QueueDeclare{Queue: []byte("q"), Passive: true}); string(m.ReplyText) != "NOT_FOUND - no queue 'q' in vhost '/'" {
		t.Errorf("in the other virtual host: %s", m.ReplyText)
	}
	if m := must[*wire.ChannelClose](t, blue, &wire.QueueDeclare{Queue: []byte("p"), Passive: true}); string(m.ReplyText) != "NOT_FOUND - no queue 'p' in vhost 'blue'" {
		t.Errorf("in this virtual host: %s", m.ReplyText)
	}
	if _, m := open("guest", "guest", "green"); wire.Text(m) != `connection.close reply-code=530 reply-text="NOT_ALLOWED - vhost green not found" class-id=10 method-id=40` {
		t.Error(wire.Text(m))
	}
	eve := bob
	eve.Namespace = "red"
	if _, err := b.PutUser(t.Context(), &broker.Caller{}, testUser); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutUser(t.Context(), &broker.Caller{Principal: testUser.Name}, eve); err != nil {
		t.Fatal(err)
	}
	if _, m := open("alice", "wonderland", "blue"); m != nil {
		t.Error(wire.Text(m))
	}
	if _, m := open("bob", "the-builder", "blue"); wire.Text(m) != `connection.close reply-code=530 reply-text="NOT_ALLOWED - access to vhost 'blue' refused for user 'bob'" class-id=10 method-id=40` {
		t.Error(wire.Text(m))
	}
}
