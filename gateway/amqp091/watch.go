package amqp091

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// What the management API tells of connections, channels and consumers: as they are when somebody asks. What is counted for it
// costs an addition where something else is done under the same lock, or one atomic one for each message or system call.

// Counts are what a channel has done.
type Counts struct {
	Published, Confirmed, Returned         int64
	Delivered, DeliveredNoAck, Redelivered int64 // of both
	Got, GotNoAck, GotNone                 int64
	Acked                                  int64
	refused                                int64 // of the published ones, by a nack
}

// Traffic is what a connection has read and written: bytes, and how often.
type Traffic struct {
	ReadBytes, Reads, WrittenBytes, Writes int64
	Waiting                                int // bytes that wait to be written
}

// ConnectionInfo is an open connection.
type ConnectionInfo struct {
	Name               string // 127.0.0.1:53122 -> 127.0.0.1:5672
	PeerHost, Host     string
	PeerPort, Port     int
	User, Vhost        string
	Mechanism          string
	ClientProperties   wire.Table
	Limits             wire.Limits
	TLS                bool
	Since              time.Time
	Traffic            Traffic
	Channels           []ChannelInfo // by number
	blocked, namespace string
}

// ChannelInfo is a channel of a connection.
type ChannelInfo struct {
	Connection              *ConnectionInfo
	Number                  uint16
	Confirms, Transactional bool
	Prefetch, Window        int // of each consumer, of all together
	Unacked                 int
	Uncommitted             int   // messages that wait for a commit
	UncommittedAcks         int   // and acks
	Unconfirmed             int64 // messages
	Counts                  Counts
	Consumers               []ConsumerInfo // by tag
}

// ConsumerInfo is a consumer of a channel.
type ConsumerInfo struct {
	Channel    *ChannelInfo
	Tag, Queue string
	NoAck      bool
	Exclusive  bool
	Prefetch   int
	Unacked    int
}

// Name is how the channel is called: its connection and its number.
func (c *ChannelInfo) Name() string {
	return c.Connection.Name + " (" + strconv.Itoa(int(c.Number)) + ")"
}

// State is "blocked" while the connection is told not to publish, else "running".
func (c *ConnectionInfo) State() string { return cmp.Or(c.blocked, "running") }

// ListenerInfo is an address at which the gateway listens.
type ListenerInfo struct {
	Protocol string // as RabbitMQ calls it: amqp, amqp/ssl
	Host     string
	Port     int
}

// Listening are the addresses at which the gateway listens, those in memory excepted.
func (g *Gateway) Listening() []ListenerInfo {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]ListenerInfo, 0, len(g.listening))
	for _, l := range g.listening {
		at := ListenerInfo{Protocol: "amqp"}
		if l.TLS() {
			at.Protocol = "amqp/ssl"
		}
		at.Host, at.Port = hostPort(l.Addr())
		out = append(out, at)
	}
	return out
}

// listens notes a listener until the function is called that it returns.
func (g *Gateway) listens(l *gateway.Listener) (until func()) {
	if l.Addr().Network() != "tcp" {
		return func() {}
	}
	g.mu.Lock()
	g.listening = append(g.listening, l)
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		g.listening = slices.DeleteFunc(g.listening, func(x *gateway.Listener) bool { return x == l })
		g.mu.Unlock()
	}
}

// enter makes an opened connection known. Connections in memory, by which the node speaks to itself, are not.
func (k *conn) enter() {
	if k.c.LocalAddr().Network() == "pipe" {
		return
	}
	at := ConnectionInfo{
		Name: k.c.RemoteAddr().String() + " -> " + k.c.LocalAddr().String(), User: cmp.Or(k.caller.Principal, k.login), Vhost: k.host,
		Mechanism: k.mechanism, ClientProperties: k.said, Limits: k.s.Limits(), TLS: k.c.TLSState() != nil, Since: clock.Now(), namespace: k.namespace(),
	}
	at.PeerHost, at.PeerPort = hostPort(k.c.RemoteAddr())
	at.Host, at.Port = hostPort(k.c.LocalAddr())
	k.g.mu.Lock()
	if k.g.conns == nil {
		k.g.conns = map[*conn]ConnectionInfo{}
	}
	k.g.conns[k] = at
	k.g.mu.Unlock()
}

func hostPort(a net.Addr) (host string, port int) {
	host, text, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String(), 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

func (k *conn) leave() {
	k.g.mu.Lock()
	delete(k.g.conns, k)
	k.g.mu.Unlock()
}

// Connections lists the connections that a caller may see, by name: his own, and those of his namespace if he administers the node.
func (g *Gateway) Connections(c *broker.Caller) []*ConnectionInfo {
	var out []*ConnectionInfo
	for k, at := range g.opened(c) {
		info := &at
		k.look(info)
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b *ConnectionInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// opened are the connections that a caller may see.
func (g *Gateway) opened(c *broker.Caller) map[*conn]ConnectionInfo {
	g.mu.Lock()
	all := maps.Clone(g.conns)
	g.mu.Unlock()
	every := !g.b.UsersExist() || g.b.Allowed(c, broker.ActionAdmin, broker.KindNode, "connections")
	maps.DeleteFunc(all, func(_ *conn, at ConnectionInfo) bool {
		return at.namespace != namespaceOf(c) || !every && at.User != c.Principal
	})
	return all
}

// look takes down what the connection has open. Locks as in conn: sm before mu.
func (k *conn) look(at *ConnectionInfo) {
	if k.paused.Load() {
		at.blocked = "blocked"
	}
	k.sm.Lock()
	chs := slices.Collect(maps.Values(k.channels))
	k.sm.Unlock()
	slices.SortFunc(chs, func(a, b *channel) int { return cmp.Compare(a.number, b.number) })
	k.mu.Lock()
	defer k.mu.Unlock()
	at.Traffic = Traffic{k.in.bytesRead.Load(), k.in.reads.Load(), k.bytesWritten.Load(), k.writes.Load(), k.w.Len()}
	at.Channels = make([]ChannelInfo, len(chs))
	for i, ch := range chs {
		c := &at.Channels[i]
		*c = ChannelInfo{Connection: at, Number: ch.number, Confirms: ch.confirms, Transactional: ch.tx != nil, Prefetch: ch.prefetch, Window: ch.window, Unacked: ch.unacked.Len(), Counts: ch.counts}
		if c.Counts.Published = ch.sent.Load(); ch.confirms {
			c.Unconfirmed = max(0, c.Counts.Published-ch.counts.Confirmed-ch.counts.refused)
		}
		if ch.tx != nil {
			c.Uncommitted, c.UncommittedAcks = len(ch.tx.Publishes), len(ch.tx.Settlements)
		}
		for _, tag := range slices.Sorted(maps.Keys(ch.consumers)) {
			u := ch.consumers[tag]
			c.Consumers = append(c.Consumers, ConsumerInfo{c, u.tag, u.queue, u.noAck, u.excluded, u.options.Prefetch, u.held})
		}
	}
}

// closePatience is how long a client may take to agree that its connection is closed.
const closePatience = 5 * time.Second

// CloseConnection closes a connection that the caller may see, by name, and reports whether there is one.
func (g *Gateway) CloseConnection(ctx context.Context, c *broker.Caller, name, reason string) bool {
	for k, at := range g.opened(c) {
		if at.Name != name {
			continue
		}
		_, _ = k.fail(0, &wire.Error{Code: wire.ConnectionForced, Text: reason}) // a connection that is gone is found out by reading
		go func() {
			_ = clock.Sleep(context.WithoutCancel(ctx), closePatience)
			k.closed.Store(true)
			_ = k.c.Close()
		}()
		return true
	}
	return false
}
