package pebble

import (
	"fmt"
	"log/slog"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// Config bounds what a store takes. Bytes are bytes.
type Config struct {
	CacheBytes     int64        // blocks kept in memory, uncompressed
	MemTableBytes  int64        // one memtable; the first is 256 KiB and each next one twice as large, up to this
	MemTablesMax   int          // memtables in memory, full ones that wait for the disk included; then Apply waits
	OpenFilesMax   int          // table files kept open
	CompactionsMax int          // compactions at once
	Log            *slog.Logger // Pebble's own talk, at debug; nil is slog.Default
}

// Default is a small node: state of some ten million rows is still served well.
func Default() Config {
	return Config{CacheBytes: 64 * mib, MemTableBytes: 16 * mib, MemTablesMax: 4, OpenFilesMax: 256, CompactionsMax: 1}
}

// limits of each field, minimum and maximum.
var limits = []struct {
	name     string
	value    func(*Config) int64
	min, max int64
}{
	{"cache_bytes", func(c *Config) int64 { return c.CacheBytes }, mib, 256 * gib},
	{"mem_table_bytes", func(c *Config) int64 { return c.MemTableBytes }, 256 * kib, gib},
	{"mem_tables_max", func(c *Config) int64 { return int64(c.MemTablesMax) }, 2, 64},
	{"open_files_max", func(c *Config) int64 { return int64(c.OpenFilesMax) }, 64, 1 << 20},
	{"compactions_max", func(c *Config) int64 { return int64(c.CompactionsMax) }, 1, 64},
}

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	for _, l := range limits {
		if v := l.value(&c); v < l.min || v > l.max {
			return fmt.Errorf("state: %s is %d; it must be from %d to %d", l.name, v, l.min, l.max)
		}
	}
	return nil
}
