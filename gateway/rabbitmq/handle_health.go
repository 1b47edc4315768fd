package rabbitmq

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"slices"
	"strconv"

	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

func healthyObject() object { return object{"status": "ok"} }

func (x *call) failed(o object) error {
	o["status"] = "failed"
	return x.answer(http.StatusServiceUnavailable, o)
}

// GET health/checks/virtual-hosts and others of which answering is the proof
func healthy(_ context.Context, x *call) error { return x.answer(http.StatusOK, healthyObject()) }

// GET health/checks/alarms, health/checks/local-alarms: the alarm is a disk with nothing but its reserve left.
func checkAlarms(_ context.Context, x *call) error {
	if x.g.b.DiskFull() != nil {
		return x.failed(object{"reason": "There are alarms in effect in the cluster", "alarms": []object{{"node": x.g.node(), "resource": "disk"}}})
	}
	return x.answer(http.StatusOK, healthyObject())
}

// GET health/checks/node-is-quorum-critical
func checkQuorum(_ context.Context, x *call) error {
	return x.answer(http.StatusOK, object{"status": "ok", "reason": "single node cluster"})
}

// GET health/checks/certificate-expiration/{number}/{unit}
func checkCertificate(_ context.Context, x *call) error {
	n, err := strconv.Atoi(x.vars[0])
	if err != nil || n < 0 || n > 10_000 {
		return badRequest("the number of days, weeks, months or years is from 0 to 10000")
	}
	until := clock.Now()
	switch x.vars[1] {
	case "days":
		until = until.AddDate(0, 0, n)
	case "weeks":
		until = until.AddDate(0, 0, 7*n)
	case "months":
		until = until.AddDate(0, n, 0)
	case "years":
		until = until.AddDate(n, 0, 0)
	default:
		return badRequest("Invalid within unit")
	}
	if end, ok := x.conn.Listener().CertificateEnds(); ok && end.Before(until) {
		return x.failed(object{"reason": "Certificates expiring", "expired": []object{{"node": x.g.node(), "cert_expires_on": []string{end.UTC().Format("2006-01-02 15:04:05")}}}})
	}
	return x.answer(http.StatusOK, healthyObject())
}

// here is the address at which this request came in.
func (x *call) here() (host string, port int, ok bool) {
	at, ok := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return "", 0, false
	}
	host, text, err := net.SplitHostPort(at.String())
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.Atoi(text)
	return host, port, err == nil
}

// GET health/checks/port-listener/{port}
func checkPort(_ context.Context, x *call) error {
	want, err := strconv.Atoi(x.vars[0])
	if err != nil {
		return badRequest("Invalid port")
	}
	var ports []int
	for _, l := range x.listeners() {
		ports = append(ports, l["port"].(int))
	}
	if slices.Contains(ports, want) {
		return x.answer(http.StatusOK, object{"status": "ok", "port": want})
	}
	return x.failed(object{"reason": "No active listener", "missing": want, "ports": ports})
}

// GET health/checks/protocol-listener/{protocol}
func checkProtocol(_ context.Context, x *call) error {
	want := x.vars[0]
	switch want { // as RabbitMQ's checks take them
	case "amqp0.9.1", "amqp091":
		want = "amqp"
	case "https":
		want = "http"
	}
	var protocols []string
	for _, l := range x.listeners() {
		if p := l["protocol"].(string); !slices.Contains(protocols, p) {
			protocols = append(protocols, p)
		}
	}
	if slices.Contains(protocols, want) {
		return x.answer(http.StatusOK, object{"status": "ok", "protocol": x.vars[0]})
	}
	return x.failed(object{"reason": "No active listener", "missing": x.vars[0], "protocols": protocols})
}

// GET aliveness-test/{vhost}: makes a queue, publishes to it and takes the message back. The queue is the request's own and goes with it.
func aliveness(ctx context.Context, x *call) error {
	a, err := x.g.open(ctx, x, x.vhost)
	if err != nil {
		return err
	}
	defer a.close()
	queue := "aliveness-test-" + rand.Text()
	if err := a.do(&wire.QueueDeclare{Queue: []byte(queue), Exclusive: true}); err != nil {
		return err
	}
	properties, err := (&wire.Properties{}).Append(nil)
	if err != nil {
		return err
	}
	if _, err := a.publish("", queue, properties, []byte("test_message")); err != nil {
		return err
	}
	m, err := a.ask(channelNumber, &wire.BasicGet{Queue: []byte(queue), NoAck: true})
	if err != nil {
		return err
	}
	if _, is := m.(*wire.BasicGetOK); !is {
		return x.failed(object{"reason": "the message did not come back"})
	}
	if _, _, err := a.content(); err != nil {
		return err
	}
	return x.answer(http.StatusOK, healthyObject())
}
