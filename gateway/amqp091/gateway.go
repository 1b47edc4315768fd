package amqp091

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/amqp091/wire"
)

// Gateway speaks AMQP 0-9-1 with the clients of one node. It is safe for many listeners.
type Gateway struct {
	b   *broker.Broker
	cfg Config

	mu     sync.Mutex
	owners map[queueKey]*conn // of exclusive queues: the connection that declared them, for as long as it lives
	users  map[queueKey]int   // consumers of each queue, through this gateway

	conns     map[*conn]ConnectionInfo // that are open, see watch.go
	listening []*gateway.Listener

	exclusive map[queueKey]*consumer // who has a queue for himself
	repliers  map[string]replier     // who waits for replies, by token
	idles     map[queueKey]idle      // queues that go when they are not used
	readers   map[queueKey][]string  // of streams: the subscriptions of consumers

	topology sync.RWMutex  // see topology
	changed  atomic.Uint64 // changes of exchanges and what binds them to one another
	leads    sync.Map      // queueKey of an exchange → *lead
	once     sync.Once
	log      *slog.Logger
}

type queueKey struct{ namespace, name string }

// New makes the gateway. It does no I/O and starts nothing; cfg has been validated.
func New(b *broker.Broker, cfg Config) *Gateway {
	g := &Gateway{
		b: b, cfg: cfg, owners: map[queueKey]*conn{}, users: map[queueKey]int{}, exclusive: map[queueKey]*consumer{}, repliers: map[string]replier{},
		idles: map[queueKey]idle{}, readers: map[queueKey][]string{}, log: slog.Default(),
	}
	b.SetUndertaker(undertakerID, g.undertake)
	return g
}

// operations are what requests are counted as.
var operations = map[wire.ID]string{
	wire.IDConnectionStartOK: "login", wire.IDConnectionOpen: "connection.open", wire.IDChannelOpen: "channel.open", wire.IDChannelClose: "channel.close",
	wire.IDExchangeDeclare: "exchange.declare", wire.IDExchangeDelete: "exchange.delete", wire.IDExchangeBind: "exchange.bind", wire.IDExchangeUnbind: "exchange.unbind",
	wire.IDQueueDeclare: "queue.declare", wire.IDQueueBind: "queue.bind", wire.IDQueueUnbind: "queue.unbind", wire.IDQueuePurge: "queue.purge",
	wire.IDQueueDelete: "queue.delete", wire.IDBasicPublish: "basic.publish", wire.IDBasicGet: "basic.get", wire.IDBasicConsume: "basic.consume",
	wire.IDBasicCancel: "basic.cancel", wire.IDBasicAck: "basic.ack", wire.IDBasicNack: "basic.nack", wire.IDBasicReject: "basic.reject",
	wire.IDTxCommit: "tx.commit",
}

// Descriptor says what the gateway is.
func (g *Gateway) Descriptor() gateway.Descriptor {
	d := gateway.Descriptor{Name: "amqp091", Title: "AMQP 0-9-1", DefaultAddr: "127.0.0.1:5672"}
	for _, name := range operations {
		d.Operations = append(d.Operations, name)
	}
	return d
}

// Serve speaks AMQP with all who connect to l.
func (g *Gateway) Serve(ctx context.Context, l *gateway.Listener) error {
	defer g.listens(l)()
	ops := make(map[wire.ID]*gateway.Operation, len(operations))
	for id, name := range operations {
		ops[id] = l.Operation(name)
	}
	g.once.Do(func() { g.begin(ctx) })
	ctx, stop := context.WithCancel(ctx)
	var sweeping sync.WaitGroup
	sweeping.Go(func() { g.sweep(ctx) })
	defer func() {
		stop()
		sweeping.Wait()
	}()
	return l.ServeConns(ctx, func(ctx context.Context, c *gateway.Conn) { newConn(g, c, ops).serve(ctx) })
}

// takeQueue counts a consumer of a queue. It is refused beside an exclusive one, and an exclusive one beside any.
func (g *Gateway) takeQueue(q queueKey, u *consumer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.exclusive[q] != nil || u.excluded && g.users[q] > 0 {
		return false
	}
	if g.users[q]++; u.excluded {
		g.exclusive[q] = u
	}
	return true
}

// releaseQueue takes that back, and reports whether it was the last one.
func (g *Gateway) releaseQueue(q queueKey, u *consumer) (last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.exclusive[q] == u {
		delete(g.exclusive, q)
	}
	if g.users[q]--; g.users[q] > 0 {
		return false
	}
	delete(g.users, q)
	return true
}
