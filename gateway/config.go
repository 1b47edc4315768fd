package gateway

import (
	"fmt"
	"time"
)

// Config bounds what the peers of one listener can take.
type Config struct {
	ConnectionsMax      int           // open at once; more are accepted and closed
	ConnectionsPerIPMax int           // of one IPv4 address or one IPv6 /64
	HandshakeTimeout    time.Duration // TLS handshake, from accept
	IdleTimeout         time.Duration // between two requests
	ReadTimeout         time.Duration // for each PieceBytes of a request that has begun
	WriteTimeout        time.Duration // for each PieceBytes of an answer
	DrainTimeout        time.Duration // from the start of a drain until connections are cut
}

// PieceBytes is what a peer must take or give within WriteTimeout or ReadTimeout: a slow line moves a large request in many
// pieces, and one that stands still is cut.
const PieceBytes = 1 << 20

// Default is for a node that faces the clients of one company.
func Default() Config {
	return Config{
		ConnectionsMax:      50_000,
		ConnectionsPerIPMax: 20_000,
		HandshakeTimeout:    10 * time.Second,
		IdleTimeout:         10 * time.Minute,
		ReadTimeout:         30 * time.Second,
		WriteTimeout:        30 * time.Second,
		DrainTimeout:        15 * time.Second,
	}
}

// Limits of the numbers and durations of Config.
const (
	ConnectionsLeast, ConnectionsMost = 1, 1_000_000
	TimeoutLeast, TimeoutMost         = 10 * time.Millisecond, 24 * time.Hour
)

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	for _, n := range []struct {
		name  string
		value int
	}{{"connections_max", c.ConnectionsMax}, {"connections_per_ip_max", c.ConnectionsPerIPMax}} {
		if n.value < ConnectionsLeast || n.value > ConnectionsMost {
			return fmt.Errorf("%s is %d; it must be from %d to %d", n.name, n.value, ConnectionsLeast, ConnectionsMost)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"handshake_timeout", c.HandshakeTimeout},
		{"idle_timeout", c.IdleTimeout},
		{"read_timeout", c.ReadTimeout},
		{"write_timeout", c.WriteTimeout},
		{"drain_timeout", c.DrainTimeout},
	} {
		if d.value < TimeoutLeast || d.value > TimeoutMost {
			return fmt.Errorf("%s is %v; it must be from %v to %v", d.name, d.value, TimeoutLeast, TimeoutMost)
		}
	}
	return nil
}
