package kafka

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"leat/gateway/kafka/group"
	"leat/gateway/kafka/oidc"
)

// Config bounds and addresses the gateway.
type Config struct {
	Advertise         string        `yaml:"advertise" doc:"host:port that clients are told to connect to; empty: the address at which they came in"`
	RequestBytesMax   int           `yaml:"request_bytes_max" doc:"largest Produce request"`
	OtherBytesMax     int           `yaml:"other_bytes_max" doc:"largest request of any other kind"`
	LoginBytesMax     int           `yaml:"login_bytes_max" doc:"largest request while users exist and nobody has logged in"`
	FetchBytesMax     int           `yaml:"fetch_bytes_max" doc:"largest Fetch response, whatever the client allows"`
	FetchWaitMax      time.Duration `yaml:"fetch_wait_max" doc:"longest wait of a Fetch, whatever the client asks for"`
	FetchSessionsMax  int           `yaml:"fetch_sessions_max" doc:"fetch sessions that are remembered (max.incremental.fetch.session.cache.slots); 0: none"`
	InFlightMax       int           `yaml:"in_flight_max" doc:"requests of one connection that are not answered yet"`
	InFlightBytesMax  int           `yaml:"in_flight_bytes_max" doc:"bytes of requests of one connection that are not answered yet, from which on nothing more is read; those below 64 KiB do not count"`
	LoginDelay        time.Duration `yaml:"login_delay" doc:"wait before a refused login is answered"`
	AutoCreate        bool          `yaml:"auto_create" doc:"make topics that a client names in Metadata and that are not there"`
	PartitionsDefault int32         `yaml:"partitions_default" doc:"partitions of topics whose maker does not say"`
	PartitionsMax     int32         `yaml:"partitions_max" doc:"partitions of one topic"`
	Groups            group.Config  `yaml:"groups"`

	SessionLifetimeMax time.Duration `yaml:"session_lifetime_max" doc:"how long a login by SASL holds before the client has to log in again; 0: as long as the connection, or until its token expires"`
	PrincipalRules     string        `yaml:"principal_rules" doc:"which user a client certificate is: RULE:pattern/replacement/[LU] over its distinguished name, separated by commas, DEFAULT being the whole name; empty: its common name"`
	Oauth              oidc.Config   `yaml:"oauth"`
}

// Default is what Kafka's own defaults lead clients to expect.
func Default() Config {
	return Config{
		RequestBytesMax:   100 << 20,
		OtherBytesMax:     4 << 20,
		LoginBytesMax:     64 << 10,
		FetchBytesMax:     16 << 20,
		FetchWaitMax:      5 * time.Minute,
		FetchSessionsMax:  1000,
		InFlightMax:       256,
		InFlightBytesMax:  16 << 20,
		LoginDelay:        100 * time.Millisecond,
		AutoCreate:        true,
		PartitionsDefault: 1,
		PartitionsMax:     10_000,
		Groups:            group.Default(),
		Oauth:             oidc.Default(),
	}
}

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"request_bytes_max", c.RequestBytesMax, 1 << 10, 1 << 30},
		{"other_bytes_max", c.OtherBytesMax, 1 << 10, 64 << 20},
		{"login_bytes_max", c.LoginBytesMax, 1 << 10, 1 << 20},
		{"fetch_bytes_max", c.FetchBytesMax, 1 << 10, 1 << 30},
		{"fetch_sessions_max", c.FetchSessionsMax, 0, 10_000},
		{"in_flight_max", c.InFlightMax, 1, 10_000},
		{"in_flight_bytes_max", c.InFlightBytesMax, 64 << 10, 1 << 30},
		{"partitions_default", int(c.PartitionsDefault), 1, int(c.PartitionsMax)},
		{"partitions_max", int(c.PartitionsMax), 1, 100_000},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("%s is %d; it must be from %d to %d", n.name, n.value, n.least, n.most)
		}
	}
	if c.FetchWaitMax < time.Millisecond || c.FetchWaitMax > time.Hour {
		return fmt.Errorf("fetch_wait_max is %v; it must be from 1ms to 1h", c.FetchWaitMax)
	}
	if c.LoginDelay < 0 || c.LoginDelay > time.Minute {
		return fmt.Errorf("login_delay is %v; it must be from 0s to 1m", c.LoginDelay)
	}
	if err := c.Groups.Validate(); err != nil {
		return fmt.Errorf("groups.%w", err)
	}
	if c.SessionLifetimeMax != 0 && (c.SessionLifetimeMax < time.Second || c.SessionLifetimeMax > 365*24*time.Hour) {
		return fmt.Errorf("session_lifetime_max is %v; it must be 0 or from 1s to 8760h", c.SessionLifetimeMax)
	}
	if _, err := parseRules(c.PrincipalRules); err != nil {
		return fmt.Errorf("principal_rules: %w", err)
	}
	if err := c.Oauth.Validate(); err != nil {
		return err
	}
	if c.Advertise != "" {
		if _, _, err := splitAddr(c.Advertise); err != nil {
			return fmt.Errorf("advertise is %q; it must be HOST:PORT", c.Advertise)
		}
	}
	return nil
}

// splitAddr takes host:port apart.
func splitAddr(addr string) (host string, port int32, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && (host == "" || n == 0) {
		err = fmt.Errorf("%q names no host or no port", addr)
	}
	return host, int32(n), err
}
