package rabbitmq

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
)

// Versions that tools branch on. That it is Leat is said in product_name and node.
const (
	rabbitVersion = "3.10.8"
	productName   = "Leat"
)

// node is what this node is called where RabbitMQ says rabbit@host.
func (g *Gateway) node() string { return fmt.Sprintf("leat@node-%d", g.b.NodeID()) }

var exchangeTypes = []object{
	{"name": "direct", "description": "by routing key", "enabled": true},
	{"name": "fanout", "description": "everything", "enabled": true},
	{"name": "headers", "description": "by headers", "enabled": true},
	{"name": "topic", "description": "by patterns of routing keys", "enabled": true},
}

// totals are what there is in the caller's namespace.
type totals struct {
	queues, exchanges, consumers, connections, channels int
	counts                                              [countsMax]int64
}

func (x *call) totals(ctx context.Context) (t totals, err error) {
	qs, err := x.g.amqp.Queues(ctx, &x.caller)
	if err != nil {
		return t, err
	}
	for i := range qs {
		d, err := x.g.amqp.Depth(ctx, &x.caller, &qs[i])
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return t, err
		}
		t.queues++
		t.consumers += qs[i].Consumers
		t.counts[countMessages] += d.Waiting
		t.counts[countReady] += max(0, d.Waiting-int64(d.Leased))
		t.counts[countUnacked] += int64(d.Leased)
		t.counts[countDeliver] += d.Acked + d.Dead + int64(d.Leased)
		t.counts[countAck] += d.Acked
	}
	xs, err := x.g.amqp.Exchanges(ctx, &x.caller)
	if err != nil {
		return t, err
	}
	t.exchanges = len(xs)
	for i := range xs {
		n, err := x.g.amqp.Published(ctx, &x.caller, &xs[i])
		if err != nil {
			return t, err
		}
		t.counts[countPublish] += n
	}
	for _, c := range x.g.amqp.Connections(&x.caller) {
		t.connections++
		t.channels += len(c.Channels)
	}
	return t, nil
}

func (x *call) tellTotals(t *totals) (queues, stats object) {
	per := x.g.rates.of("o "+x.caller.Namespace+" "+x.caller.Principal, clock.Now(), t.counts)
	queues = object{}
	details(queues, "messages", t.counts[countMessages], per[countMessages])
	details(queues, "messages_ready", t.counts[countReady], per[countReady])
	details(queues, "messages_unacknowledged", t.counts[countUnacked], per[countUnacked])
	return queues, messageStats(&t.counts, &per)
}

// GET overview
func getOverview(ctx context.Context, x *call) error {
	t, err := x.totals(ctx)
	if err != nil {
		return err
	}
	queues, stats := x.tellTotals(&t)
	return x.item(object{
		"management_version": rabbitVersion, "rabbitmq_version": rabbitVersion, "product_name": productName, "product_version": rabbitVersion,
		"cluster_name": x.g.b.ClusterID(), "node": x.g.node(), "rates_mode": "basic", "erlang_version": "", "erlang_full_version": "",
		"exchange_types": exchangeTypes, "disable_stats": false, "enable_queue_totals": false, "statistics_db_event_queue": 0,
		"message_stats": stats, "queue_totals": queues, "churn_rates": object{}, "listeners": x.listeners(), "contexts": []object{},
		"sample_retention_policies": object{"global": []int{}, "basic": []int{}, "detailed": []int{}},
		"object_totals": object{
			"channels": t.channels, "connections": t.connections, "consumers": t.consumers, "exchanges": t.exchanges, "queues": t.queues,
		},
	})
}

// listeners are those of the AMQP gateway, and this one.
func (x *call) listeners() []object {
	out := []object{}
	for _, a := range x.g.amqp.Listening() {
		out = append(out, object{"node": x.g.node(), "protocol": a.Protocol, "ip_address": a.Host, "port": a.Port, "socket_opts": []object{}})
	}
	if host, port, ok := x.here(); ok {
		out = append(out, object{"node": x.g.node(), "protocol": "http", "ip_address": host, "port": port, "socket_opts": []object{}})
	}
	return out
}

// GET whoami
func getWhoAmI(_ context.Context, x *call) error {
	return x.answer(http.StatusOK, object{"name": x.user, "tags": x.tags()})
}

// tags are RabbitMQ's word for what a user may do beside its permissions.
func (x *call) tags() []string {
	if !x.g.b.UsersExist() || x.g.b.Allowed(&x.caller, broker.ActionAdmin, broker.KindNode, "rabbitmq") {
		return []string{"administrator"}
	}
	return []string{"management"}
}

// GET cluster-name
func getClusterName(_ context.Context, x *call) error {
	return x.answer(http.StatusOK, object{"name": x.g.b.ClusterID()})
}

// GET extensions, feature-flags and other lists that are empty here
func getNothing(_ context.Context, x *call) error { return x.answer(http.StatusOK, []object{}) }

// GET auth
func getAuth(_ context.Context, x *call) error {
	return x.answer(http.StatusOK, object{"enable_uaa": false, "uaa_client_id": "", "uaa_location": ""})
}

func (x *call) nodeObject() object {
	return object{
		"name": x.g.node(), "type": "disc", "running": true, "os_pid": strconv.Itoa(os.Getpid()), "partitions": []string{}, "uptime": clock.Since(x.g.born).Milliseconds(),
		"mem_used": x.g.b.MemoryReserved(), "mem_alarm": false, "disk_free_alarm": x.g.b.DiskFull() != nil, "rates_mode": "basic", "exchange_types": exchangeTypes, "run_queue": 0,
		"auth_mechanisms": []object{{"name": "PLAIN", "enabled": true}, {"name": "AMQPLAIN", "enabled": true}}, "applications": []object{}, "contexts": []object{},
		"enabled_plugins": []string{"rabbitmq_management"}, "being_drained": false,
	}
}

// GET nodes
func getNodes(_ context.Context, x *call) error {
	return x.list([]named{{x.g.node(), func() (object, error) { return x.nodeObject(), nil }}})
}

// GET nodes/{name}
func getNode(_ context.Context, x *call) error {
	if x.vars[0] != x.g.node() {
		return errNotFound
	}
	return x.item(x.nodeObject())
}

func (x *call) host(ctx context.Context) (object, error) {
	t, err := x.totals(ctx)
	if err != nil {
		return nil, err
	}
	o, stats := x.tellTotals(&t)
	o["name"], o["description"], o["tags"], o["tracing"], o["default_queue_type"] = x.vhost, "a namespace", []string{}, false, "undefined"
	o["metadata"], o["cluster_state"] = object{"description": o["description"], "tags": []string{}}, object{x.g.node(): "running"}
	o["message_stats"] = stats
	return o, nil
}

// GET vhosts
func getVhosts(ctx context.Context, x *call) error {
	all := []named{}
	_ = x.each(func(x *call) error { // nothing can fail yet
		all = append(all, named{x.vhost, func() (object, error) { return x.host(ctx) }})
		return nil
	})
	return x.list(all)
}

// GET vhosts/{vhost}
func getVhost(ctx context.Context, x *call) error {
	o, err := x.host(ctx)
	if err != nil {
		return err
	}
	return x.item(o)
}

// PUT vhosts/{name}: one that is there stays as it is
func putVhost(ctx context.Context, x *call) error {
	if _, is := x.g.amqp.Namespace(&x.caller, x.vars[0]); is {
		return x.done(http.StatusNoContent)
	}
	if err := x.g.amqp.MakeVhost(ctx, &x.caller, x.vars[0]); err != nil {
		return err
	}
	return x.done(http.StatusCreated)
}

// DELETE vhosts/{name}, with all that is in it
func deleteVhost(ctx context.Context, x *call) error {
	if _, is := x.g.amqp.Namespace(&x.caller, x.vars[0]); !is {
		return errNotFound
	}
	if err := x.g.amqp.DeleteVhost(ctx, &x.caller, x.vars[0]); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}
