package schemaregistry

import (
	"fmt"
	"time"
)

// Config bounds the gateway.
type Config struct {
	BodyBytesMax int64         `yaml:"body_bytes_max" doc:"longest request body"`
	ListMax      int           `yaml:"list_max" doc:"schemas that one answer of /schemas lists"`
	CallTimeout  time.Duration `yaml:"call_timeout" doc:"how long a request may take to do what it asks for"`
	Hosts        []string      `yaml:"hosts" doc:"names, besides loopback ones, by which this listener is reached; while no users exist no other Host is answered"`
}

// Default is fit for serializers and tools.
func Default() Config {
	return Config{BodyBytesMax: 1 << 20, ListMax: 10_000, CallTimeout: 30 * time.Second}
}

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	switch {
	case c.BodyBytesMax < 1<<10 || c.BodyBytesMax > 64<<20:
		return fmt.Errorf("body_bytes_max is %d; it must be from %d to %d", c.BodyBytesMax, 1<<10, 64<<20)
	case c.ListMax < 1 || c.ListMax > 1_000_000:
		return fmt.Errorf("list_max is %d; it must be from 1 to 1000000", c.ListMax)
	case c.CallTimeout < time.Second || c.CallTimeout > time.Hour:
		return fmt.Errorf("call_timeout is %v; it must be from 1s to 1h", c.CallTimeout)
	}
	return nil
}
