package node

import (
	"fmt"
	"maps"
	"slices"

	"leat/broker"
	"leat/gateway"
	"leat/internal/outbound"
	"leat/storage/journal/disk"
	"leat/storage/keys"
	"leat/storage/segment"
	"leat/storage/state/pebble"
)

// Config is all that a node needs to boot. What belongs to the platform (streams, users) is in the catalog instead.
type Config struct {
	Shards           int             // of a new data directory; an existing one keeps its number
	DiskReserveBytes int64           // appends are refused when less than this is free
	GCHeadroomBytes  int64           // garbage that may gather before the collector runs; 0: as Go decides
	Broker           broker.Config   // the one way in
	Journal          disk.Config     // per shard
	State            pebble.Config   // per shard
	Segments         segment.Config  // per shard
	Keys             keys.Config     // per shard
	Listeners        gateway.Config  // limits of each listener
	TLS              TLSConfig       // of every listener
	Archive          ArchiveConfig   // a second copy elsewhere
	Outbound         outbound.Config // whom the node may send HTTP requests to, and how many at once
	Gateways         map[string]any  // by protocol: pointer to the gateway's own Config
}

// TLSConfig names the files of TLS; without a certificate all listeners speak plain text. Changed files are read anew.
type TLSConfig struct {
	CertFile     string // PEM, leaf first
	KeyFile      string // PEM
	ClientCAFile string // PEM; clients must show a certificate that it signed. Empty: they are asked for none
}

// Limits of Config's own numbers.
const (
	diskReserveLeast, diskReserveMost = 0, 1 << 50
	gcHeadroomLeast, gcHeadroomMost   = 0, 1 << 40
)

// DefaultConfig is what runs without a configuration file.
func DefaultConfig(protocols []Protocol) *Config {
	c := &Config{
		Shards: 1, DiskReserveBytes: 256 << 20, GCHeadroomBytes: 64 << 20, Broker: broker.Default(), Journal: disk.Default(), State: pebble.Default(),
		Segments: segment.Default(), Keys: keys.Default(), Listeners: gateway.Default(), Archive: DefaultArchive(), Outbound: outbound.Default(), Gateways: map[string]any{},
	}
	for _, p := range protocols {
		if p.Config != nil {
			c.Gateways[p.Name] = p.Config
		}
	}
	return c
}

type validator interface{ Validate() error }

// Validate says which setting is out of its limits, by its whole name.
func (c *Config) Validate() error {
	if c.Shards < 1 || c.Shards > ShardsMax {
		return fmt.Errorf("config: shards is %d; it must be from 1 to %d", c.Shards, ShardsMax)
	}
	if c.DiskReserveBytes < diskReserveLeast || c.DiskReserveBytes > diskReserveMost {
		return fmt.Errorf("config: disk_reserve_bytes is %d; it must be from %d to %d", c.DiskReserveBytes, diskReserveLeast, int64(diskReserveMost))
	}
	if c.GCHeadroomBytes < gcHeadroomLeast || c.GCHeadroomBytes > gcHeadroomMost {
		return fmt.Errorf("config: gc_headroom_bytes is %d; it must be from %d to %d", c.GCHeadroomBytes, gcHeadroomLeast, int64(gcHeadroomMost))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return fmt.Errorf("config: tls needs both cert_file and key_file, or neither")
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		return fmt.Errorf("config: tls.client_ca_file needs cert_file and key_file")
	}
	rooms := map[string]any{"broker": &c.Broker, "journal": &c.Journal, "state": &c.State, "segments": &c.Segments, "keys": &c.Keys, "listeners": &c.Listeners, "archive": &c.Archive, "outbound": &c.Outbound}
	for name, g := range c.Gateways {
		rooms["gateways."+name] = g
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if v, ok := rooms[name].(validator); ok {
			if err := v.Validate(); err != nil {
				return fmt.Errorf("config: %s: %w", name, err)
			}
		}
	}
	return nil
}
