package broker

import (
	"sync"
	"sync/atomic"

	"leat/broker/shard"
)

// Stats are counters that node exports.
type Stats struct {
	mu       sync.RWMutex
	protocol map[string]*atomic.Int64
}

const protocolsMax = 32

func (s *Stats) appended(c *Caller) {
	s.mu.RLock()
	n := s.protocol[c.Protocol]
	s.mu.RUnlock()
	if n == nil {
		s.mu.Lock()
		if s.protocol == nil {
			s.protocol = map[string]*atomic.Int64{}
		}
		if n = s.protocol[c.Protocol]; n == nil && len(s.protocol) < protocolsMax {
			n = &atomic.Int64{}
			s.protocol[c.Protocol] = n
		}
		s.mu.Unlock()
		if n == nil {
			return
		}
	}
	n.Add(1)
}

// BatchesAppended counts appended batches by protocol since the start.
func (b *Broker) BatchesAppended() map[string]int64 {
	b.stats.mu.RLock()
	defer b.stats.mu.RUnlock()
	out := make(map[string]int64, len(b.stats.protocol))
	for k, n := range b.stats.protocol {
		out[k] = n.Load()
	}
	return out
}

// Streams is how many streams there are, in all namespaces.
func (b *Broker) Streams() int {
	b.names.mu.RLock()
	defer b.names.mu.RUnlock()
	return len(b.names.streams)
}

// KeepStats tells what each shard does to keep events outside its journal.
func (b *Broker) KeepStats() []shard.KeepStats {
	out := make([]shard.KeepStats, len(b.shards))
	for i, s := range b.shards {
		out[i] = s.KeepStats()
	}
	return out
}

// Holders lists, for each shard, what the journal is still needed for.
func (b *Broker) Holders() [][]shard.Holder {
	out := make([][]shard.Holder, len(b.shards))
	for i, s := range b.shards {
		out[i] = s.Holders()
	}
	return out
}
