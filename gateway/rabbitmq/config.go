package rabbitmq

import (
	"fmt"
	"time"
)

// Config bounds the gateway.
type Config struct {
	BodyBytesMax int64         `yaml:"body_bytes_max" doc:"longest request body: a message, or definitions"`
	GetMax       int           `yaml:"get_max" doc:"messages that one get returns"`
	CallTimeout  time.Duration `yaml:"call_timeout" doc:"how long a request may take to do what it asks for"`
	Hosts        []string      `yaml:"hosts" doc:"names, besides loopback ones, by which this listener is reached; while no users exist no other Host is answered"`
}

// Default is fit for tools.
func Default() Config {
	return Config{BodyBytesMax: 20 << 20, GetMax: 1000, CallTimeout: 30 * time.Second}
}

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	if c.BodyBytesMax < 1<<10 || c.BodyBytesMax > 1<<30 {
		return fmt.Errorf("body_bytes_max is %d; it must be from %d to %d", c.BodyBytesMax, 1<<10, 1<<30)
	}
	if c.GetMax < 1 || c.GetMax > 50_000 {
		return fmt.Errorf("get_max is %d; it must be from 1 to 50000", c.GetMax)
	}
	if c.CallTimeout < time.Second || c.CallTimeout > time.Hour {
		return fmt.Errorf("call_timeout is %v; it must be from 1s to 1h", c.CallTimeout)
	}
	return nil
}
