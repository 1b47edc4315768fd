package amqp091

import (
	"fmt"
	"time"

	"leat/broker"
)

// Config bounds the gateway.
type Config struct {
	FrameBytesMax   int           `yaml:"frame_bytes_max" doc:"largest frame that is offered to clients"`
	ChannelsMax     int           `yaml:"channels_max" doc:"channels of one connection"`
	MessageBytesMax int           `yaml:"message_bytes_max" doc:"largest body of a message"`
	HeldBytesMax    int           `yaml:"held_bytes_max" doc:"bodies of one connection that have come in part"`
	Heartbeat       time.Duration `yaml:"heartbeat" doc:"heartbeat interval that is offered to clients"`
	LoginDelay      time.Duration `yaml:"login_delay" doc:"wait before a refused login is answered"`
	AheadMax        int           `yaml:"ahead_max" doc:"deliveries that wait to be written to a consumer that sets no prefetch"`
}

// messageBytesLimit is how large a message may be at all: it has to fit into a batch with its properties.
const messageBytesLimit = broker.BatchBytesLimit - 1<<20

// Default is what RabbitMQ's own defaults lead clients to expect.
func Default() Config {
	return Config{
		FrameBytesMax: 128 << 10, ChannelsMax: 2047, MessageBytesMax: messageBytesLimit, HeldBytesMax: 64 << 20,
		Heartbeat: time.Minute, LoginDelay: 100 * time.Millisecond, AheadMax: 2000,
	}
}

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"frame_bytes_max", c.FrameBytesMax, 4096, 16 << 20},
		{"channels_max", c.ChannelsMax, 1, 65_535},
		{"message_bytes_max", c.MessageBytesMax, 1 << 10, messageBytesLimit},
		{"held_bytes_max", c.HeldBytesMax, c.MessageBytesMax, 1 << 30},
		{"ahead_max", c.AheadMax, 1, 65_535},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("%s is %d; it must be from %d to %d", n.name, n.value, n.least, n.most)
		}
	}
	if c.Heartbeat < 0 || c.Heartbeat > time.Hour {
		return fmt.Errorf("heartbeat is %v; it must be from 0s to 1h", c.Heartbeat)
	}
	if c.LoginDelay < 0 || c.LoginDelay > time.Minute {
		return fmt.Errorf("login_delay is %v; it must be from 0s to 1m", c.LoginDelay)
	}
	return nil
}
