package clienttest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rabbitmqadmin finds the script that comes with RabbitMQ.
func rabbitmqadmin(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("RABBITMQADMIN"); p != "" {
		return p
	}
	found, err := filepath.Glob("/usr/lib/rabbitmq/lib/*/plugins/rabbitmq_management-*/priv/www/cli/rabbitmqadmin")
	if err != nil || len(found) == 0 {
		t.Skip("rabbitmqadmin is not here: apt-get install rabbitmq-server, or set RABBITMQADMIN")
	}
	return found[0]
}

// TestRabbitmqadmin does with RabbitMQ's own tool what teams do with it: declare, look, publish, get, take definitions out and in again.
func TestRabbitmqadmin(t *testing.T) {
	script := rabbitmqadmin(t)
	n := startLeat(t)
	host, port, err := net.SplitHostPort(n.api)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "definitions.json")
	admin := func(want string, args ...string) {
		t.Helper()
		out, err := run(patience(t), nil, "python3", append([]string{script, "--host", host, "--port", port, "-f", "tsv"}, args...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v\n%s\nwant in it: %s", args, err, out, want)
		}
	}
	admin("exchange declared", "declare", "exchange", "name=shop", "type=topic")
	admin("queue declared", "declare", "queue", "name=orders", "durable=true", `arguments={"x-max-length":100}`)
	admin("binding declared", "declare", "binding", "source=shop", "destination=orders", "routing_key=order.#")
	admin("Message published", "publish", "exchange=shop", "routing_key=order.new", "payload=hello", `properties={"delivery_mode":2}`)
	admin("NOT routed", "publish", "exchange=shop", "routing_key=other", "payload=lost")
	admin("orders\t1\t1", "list", "queues", "name", "messages", "messages_ready")
	admin("hello", "get", "queue=orders", "ackmode=ack_requeue_true")
	admin("shop\torders\torder.#\torder.%23", "list", "bindings", "source", "destination", "routing_key", "properties_key")
	admin("Exported definitions", "export", file)
	admin("queue purged", "purge", "queue", "name=orders")
	admin("queue deleted", "delete", "queue", "name=orders")
	admin("exchange deleted", "delete", "exchange", "name=shop")
	admin("Uploaded definitions", "import", file)
	admin("orders\t0", "list", "queues", "name", "messages")
	admin("shop\torders", "list", "bindings", "source", "destination")
	admin("leat@node-", "list", "nodes", "name")
}
