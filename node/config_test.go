package node_test

import (
	"strings"
	"testing"
	"time"

	"leat/gateway/kafka"
	"leat/internal/outbound"
	"leat/node"
)

func TestDecodeConfig_ReadsBackWhatItPrints(t *testing.T) {
	ps := protocols()
	want := node.EncodeConfig(node.DefaultConfig(ps))
	c := node.DefaultConfig(protocols())
	c.Broker.MemoryBytes, c.Listeners.IdleTimeout = 1, 1
	if err := node.DecodeConfig([]byte(want), c); err != nil {
		t.Fatal(err)
	}
	if got := node.EncodeConfig(c); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestDecodeConfig_TypedText(t *testing.T) {
	t.Setenv("LEAT_TEST_CERT", "/etc/cert.pem")
	c := node.DefaultConfig(protocols())
	err := node.DecodeConfig([]byte("journal:\n  ring_bytes: 2GiB\nlisteners:\n  idle_timeout: 90s\ntls:\n  cert_file: ${LEAT_TEST_CERT}\ngateways:\n  kafka:\n    auto_create: false\n"), c)
	if err != nil {
		t.Fatal(err)
	}
	k := c.Gateways["kafka"].(*kafka.Config)
	if c.Journal.RingBytes != 2<<30 || c.Listeners.IdleTimeout != 90*time.Second || c.TLS.CertFile != "/etc/cert.pem" || k.AutoCreate {
		t.Fatalf("%+v %+v", c, k)
	}
}

func TestDecodeConfig_SaysWhatIsWrong(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"journal:\n  ring_byte: 1GiB\n", "journal.ring_byte is not a setting; did you mean ring_bytes?"},
		{"jornal: {}\n", "did you mean journal?"},
		{"gateways:\n  mqtt: {}\n", "gateways.mqtt is not a setting; here are: amqp, aws, http, kafka, rabbitmq-management"},
		{"broker:\n  reserve_wait: 5\n", "write a duration such as"},
		{"broker:\n  memory_bytes: lots\n", "write a number of bytes such as"},
		{"broker: 7\n", "broker must be a section"},
		{"tls:\n  cert_file: ${LEAT_TEST_NOT_SET}\n", "${LEAT_TEST_NOT_SET} is not set"},
		{"a: [\n", "config:"},
	} {
		err := node.DecodeConfig([]byte(x.text), node.DefaultConfig(protocols()))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%q: got %v, want %q in it", x.text, err, x.want)
		}
	}
}

func TestConfigValidate_LimitsAtBothEnds(t *testing.T) {
	for _, x := range []struct {
		set func(*node.Config)
		ok  bool
	}{
		{func(c *node.Config) { c.Shards = 1 }, true},
		{func(c *node.Config) { c.Shards = 0 }, false},
		{func(c *node.Config) { c.Shards = node.ShardsMax }, true},
		{func(c *node.Config) { c.Shards = node.ShardsMax + 1 }, false},
		{func(c *node.Config) { c.DiskReserveBytes = 0 }, true},
		{func(c *node.Config) { c.DiskReserveBytes = -1 }, false},
		{func(c *node.Config) { c.DiskReserveBytes = 1<<50 + 1 }, false},
		{func(c *node.Config) { c.GCHeadroomBytes = 0 }, true},
		{func(c *node.Config) { c.GCHeadroomBytes = -1 }, false},
		{func(c *node.Config) { c.GCHeadroomBytes = 1<<40 + 1 }, false},
		{func(c *node.Config) { c.TLS.CertFile = "x" }, false},
		{func(c *node.Config) { c.TLS.ClientCAFile = "x" }, false},
		{func(c *node.Config) { c.Broker.InboxMax = 15 }, false},
		{func(c *node.Config) { c.Broker.InboxMax = 16 }, true},
		{func(c *node.Config) { c.Broker.HotTailBytes = 0 }, true},
		{func(c *node.Config) { c.Broker.HotTailBytes = 64<<30 + 1 }, false},
		{func(c *node.Config) { c.Journal.RingBytes = -1 }, false},
		{func(c *node.Config) { c.Outbound.ConnsMax = 1 }, true},
		{func(c *node.Config) { c.Outbound.ConnsMax = 0 }, false},
		{func(c *node.Config) { c.Outbound.ConnsMax = outbound.ConnsMost }, true},
		{func(c *node.Config) { c.Outbound.ConnsMax = outbound.ConnsMost + 1 }, false},
		{func(c *node.Config) { c.Outbound.AnswerTimeout = 0 }, false},
		{func(c *node.Config) { c.Outbound.RetryAfterMax = outbound.RetryAfterMost }, true},
		{func(c *node.Config) { c.Outbound.Allow = []string{"10.0.0.0/8", "hooks.internal:8080"} }, true},
		{func(c *node.Config) { c.Outbound.Allow = []string{"10.0.0.1/8"} }, false},
	} {
		c := node.DefaultConfig(protocols())
		x.set(c)
		if err := c.Validate(); (err == nil) != x.ok {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
