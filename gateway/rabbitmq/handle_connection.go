package rabbitmq

import (
	"context"
	"net/http"

	"leat/gateway/amqp091"
	"leat/internal/clock"
)

func (x *call) connection(c *amqp091.ConnectionInfo) object {
	o := object{
		"name": c.Name, "node": x.g.node(), "user": c.User, "user_who_performed_action": c.User, "vhost": c.Vhost, "state": c.State(), "type": "network",
		"protocol": "AMQP 0-9-1", "auth_mechanism": c.Mechanism, "channels": len(c.Channels), "channel_max": c.Limits.ChannelMax, "frame_max": c.Limits.FrameMax,
		"timeout": c.Limits.Heartbeat, "connected_at": c.Since.UnixMilli(), "client_properties": jsonOf(c.ClientProperties), "host": c.Host, "port": c.Port,
		"peer_host": c.PeerHost, "peer_port": c.PeerPort, "ssl": c.TLS,
		"recv_cnt": c.Traffic.Reads, "send_cnt": c.Traffic.Writes, "send_pend": c.Traffic.Waiting, "reductions": 0, "garbage_collection": object{},
	}
	counts := [countsMax]int64{countRead: c.Traffic.ReadBytes, countWritten: c.Traffic.WrittenBytes}
	per := x.g.rates.of("c "+c.Name, clock.Now(), counts)
	details(o, "recv_oct", counts[countRead], per[countRead])
	details(o, "send_oct", counts[countWritten], per[countWritten])
	if v, ok := c.ClientProperties.Get("connection_name"); ok {
		if text, ok := v.Text(); ok {
			o["user_provided_name"] = string(text)
		}
	}
	return o
}

// connections are those of the virtual host that the path names, or of all.
func (x *call) connections() (out []*amqp091.ConnectionInfo) {
	_ = x.each(func(x *call) error { // nothing can fail
		out = append(out, x.g.amqp.Connections(&x.caller)...)
		return nil
	})
	return out
}

// GET connections, vhosts/{vhost}/connections
func getConnections(_ context.Context, x *call) error {
	var all []named
	for _, c := range x.connections() {
		all = append(all, named{c.Name, func() (object, error) { return x.connection(c), nil }})
	}
	return x.list(all)
}

func (x *call) findConnection(name string) (*amqp091.ConnectionInfo, error) {
	for _, c := range x.connections() {
		if c.Name == name {
			return c, nil
		}
	}
	return nil, errNotFound
}

// GET connections/{name}
func getConnection(_ context.Context, x *call) error {
	c, err := x.findConnection(x.vars[0])
	if err != nil {
		return err
	}
	return x.item(x.connection(c))
}

// DELETE connections/{name}, with the reason in the header X-Reason
func deleteConnection(ctx context.Context, x *call) error {
	reason := x.r.Header.Get("X-Reason")
	if reason == "" {
		reason = "Closed via management plugin"
	}
	closed := false
	_ = x.each(func(x *call) error { // nothing can fail
		closed = closed || x.g.amqp.CloseConnection(ctx, &x.caller, x.vars[0], clip(reason))
		return nil
	})
	if !closed {
		return errNotFound
	}
	return x.done(http.StatusNoContent)
}

// GET connections/username/{name}
func getConnectionsOf(_ context.Context, x *call) error {
	all := []named{}
	for _, c := range x.connections() {
		if c.User == x.vars[0] {
			all = append(all, named{c.Name, func() (object, error) {
				return object{"name": c.Name, "node": x.g.node(), "user": c.User, "vhost": c.Vhost}, nil
			}})
		}
	}
	return x.list(all)
}

// DELETE connections/username/{name}
func deleteConnectionsOf(ctx context.Context, x *call) error {
	reason := x.r.Header.Get("X-Reason")
	if reason == "" {
		reason = "Closed via management plugin"
	}
	_ = x.each(func(x *call) error { // nothing can fail
		for _, c := range x.g.amqp.Connections(&x.caller) {
			if c.User == x.vars[0] {
				x.g.amqp.CloseConnection(ctx, &x.caller, c.Name, clip(reason))
			}
		}
		return nil
	})
	return x.done(http.StatusNoContent)
}

func (x *call) channel(c *amqp091.ChannelInfo) object {
	o := object{
		"name": c.Name(), "number": c.Number, "node": x.g.node(), "user": c.Connection.User, "user_who_performed_action": c.Connection.User, "vhost": c.Connection.Vhost,
		"state": "running", "confirm": c.Confirms, "transactional": c.Transactional, "prefetch_count": c.Prefetch, "global_prefetch_count": c.Window,
		"messages_unacknowledged": c.Unacked, "messages_unconfirmed": c.Unconfirmed, "messages_uncommitted": c.Uncommitted, "acks_uncommitted": c.UncommittedAcks,
		"consumer_count": len(c.Consumers), "connection_details": connectionDetails(c.Connection), "message_stats": x.channelStats(c),
	}
	if c.Connection.State() != "running" {
		o["state"] = "flow"
	}
	return o
}

// channelStats are what a channel has done, of what it has done any.
func (x *call) channelStats(c *amqp091.ChannelInfo) object {
	n := &c.Counts
	counts := [countsMax]int64{
		countPublish: n.Published, countConfirm: n.Confirmed, countReturn: n.Returned, countDeliver: n.Delivered, countDeliverNoAck: n.DeliveredNoAck,
		countGet: n.Got, countGetNoAck: n.GotNoAck, countGetEmpty: n.GotNone, countRedeliver: n.Redelivered, countAck: n.Acked,
	}
	per := x.g.rates.of("h "+c.Name(), clock.Now(), counts)
	o := object{}
	for i, name := range map[int]string{
		countPublish: "publish", countConfirm: "confirm", countReturn: "return_unroutable", countDeliver: "deliver", countDeliverNoAck: "deliver_no_ack",
		countGet: "get", countGetNoAck: "get_no_ack", countGetEmpty: "get_empty", countRedeliver: "redeliver", countAck: "ack",
	} {
		if counts[i] > 0 {
			details(o, name, counts[i], per[i])
		}
	}
	given, rate := int64(0), 0.0
	for _, i := range []int{countDeliver, countDeliverNoAck, countGet, countGetNoAck} {
		given, rate = given+counts[i], rate+per[i]
	}
	if given > 0 {
		details(o, "deliver_get", given, rate)
	}
	return o
}

func connectionDetails(c *amqp091.ConnectionInfo) object {
	return object{"name": c.Name, "peer_host": c.PeerHost, "peer_port": c.PeerPort}
}

func (x *call) listChannels(cs []*amqp091.ConnectionInfo) error {
	var all []named
	for _, conn := range cs {
		for i := range conn.Channels {
			c := &conn.Channels[i]
			all = append(all, named{c.Name(), func() (object, error) { return x.channel(c), nil }})
		}
	}
	return x.list(all)
}

// GET channels, vhosts/{vhost}/channels
func getChannels(_ context.Context, x *call) error {
	return x.listChannels(x.connections())
}

// GET connections/{name}/channels
func getConnectionChannels(_ context.Context, x *call) error {
	c, err := x.findConnection(x.vars[0])
	if err != nil {
		return err
	}
	return x.listChannels([]*amqp091.ConnectionInfo{c})
}

// GET channels/{name}
func getChannel(_ context.Context, x *call) error {
	for _, conn := range x.connections() {
		for i := range conn.Channels {
			if c := &conn.Channels[i]; c.Name() == x.vars[0] {
				o := x.channel(c)
				o["consumer_details"] = x.consumers(func(u *amqp091.ConsumerInfo) bool { return u.Channel.Name() == c.Name() })
				return x.item(o)
			}
		}
	}
	return errNotFound
}

// consumers are those that fit.
func (x *call) consumers(fits func(*amqp091.ConsumerInfo) bool) []object {
	out := []object{}
	for _, conn := range x.connections() {
		for i := range conn.Channels {
			for j := range conn.Channels[i].Consumers {
				if u := &conn.Channels[i].Consumers[j]; fits(u) {
					out = append(out, x.consumer(u))
				}
			}
		}
	}
	return out
}

func (x *call) consumer(u *amqp091.ConsumerInfo) object {
	c := u.Channel.Connection
	return object{
		"consumer_tag": u.Tag, "queue": object{"name": u.Queue, "vhost": c.Vhost}, "ack_required": !u.NoAck, "exclusive": u.Exclusive, "prefetch_count": u.Prefetch,
		"active": true, "activity_status": "up", "arguments": object{},
		"channel_details": object{
			"name": u.Channel.Name(), "number": u.Channel.Number, "connection_name": c.Name, "node": x.g.node(), "peer_host": c.PeerHost, "peer_port": c.PeerPort, "user": c.User,
		},
	}
}

// GET consumers, consumers/{vhost}
func getConsumers(_ context.Context, x *call) error {
	all := []named{}
	for _, o := range x.consumers(func(*amqp091.ConsumerInfo) bool { return true }) {
		all = append(all, named{o["consumer_tag"].(string), func() (object, error) { return o, nil }})
	}
	return x.list(all)
}
