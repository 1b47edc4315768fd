package broker

import (
	"context"
	"time"
)

// Diagnosis is how a node, or a data directory without one, is doing.
type Diagnosis struct {
	Running      bool         `json:"running"`
	Version      string       `json:"version,omitempty"`
	Data         string       `json:"data,omitempty"` // the data directory
	Lineage      string       `json:"lineage,omitempty"`
	Format       int          `json:"format,omitempty"`
	FormatNewest int          `json:"format_newest,omitempty"` // that this program writes
	FreeBytes    int64        `json:"free_bytes"`              // -1: not known, or there is no disk
	ReserveBytes int64        `json:"reserve_bytes"`
	Disk         []DiskUse    `json:"disk,omitempty"`
	Shards       []ShardState `json:"shards,omitempty"`
	Holders      []Holding    `json:"holders,omitempty"`
	Stages       []StageTimes `json:"stages,omitempty"`
	Memory       *MemoryUse   `json:"memory,omitempty"`
	Jobs         []JobState   `json:"jobs,omitempty"`
	Clock        *ClockState  `json:"clock,omitempty"`
	Dropped      int64        `json:"system_events_dropped"`
	Findings     []Finding    `json:"findings"`
}

// DiskUse is what one part of one shard takes on the disk. Shard is -1 for what belongs to none.
type DiskUse struct {
	Shard int    `json:"shard"`
	Part  string `json:"part"` // the folder: journal, state, segments, keys
	Bytes int64  `json:"bytes"`
	Files int64  `json:"files"`
}

// ShardState is one shard. JournalUsual is up to how many bytes its journal has when nothing holds it; 0: not known.
type ShardState struct {
	Shard        int    `json:"shard"`
	Seq          uint64 `json:"seq"`
	Unhealthy    string `json:"unhealthy,omitempty"`
	Slowed       int64  `json:"slowed,omitempty"` // frames that waited because too much was only in the journal
	JournalBytes int64  `json:"journal_bytes,omitempty"`
	JournalUsual int64  `json:"journal_usual,omitempty"`
}

// Holding is something that the journal of a shard is still needed for: from Seq on, which is Behind frames behind.
type Holding struct {
	Shard  int    `json:"shard"`
	Name   string `json:"name"`
	Seq    uint64 `json:"seq"`
	Behind uint64 `json:"behind"`
}

// StageTimes are how long a stage of the pipeline takes, since the start.
type StageTimes struct {
	Stage string  `json:"stage"`
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

// MemoryUse is the budget of requests.
type MemoryUse struct {
	Reserved int64 `json:"reserved"`
	Max      int64 `json:"max"`
}

// ClockState is what was seen of the machine's clock.
type ClockState struct {
	Jumps  int64     `json:"jumps"` // since the start
	LastMS int64     `json:"last_ms,omitempty"`
	Last   time.Time `json:"last,omitzero"`

	Age time.Duration `json:"-"` // of the last one
}

// holdings are what the journal of a shard, which stands at seq, is still needed for.
func (b *Broker) holdings(i int, seq uint64) []Holding {
	var out []Holding
	for _, h := range b.shards[i].Holders() {
		out = append(out, Holding{Shard: i, Name: h.Name, Seq: h.Seq, Behind: seq - min(h.Seq, seq)})
	}
	return out
}

// Doctor tells how the node is doing and what to do about it. It takes the right to administer the node.
func (b *Broker) Doctor(_ context.Context, c *Caller) (Diagnosis, error) {
	if err := b.allow(c, "doctor", ActionAdmin, KindNode, "doctor"); err != nil {
		return Diagnosis{}, err
	}
	b.lookAround()
	d := Diagnosis{
		Running: true, Lineage: b.opt.Cluster, FreeBytes: -1, Jobs: b.Jobs(), Dropped: b.SystemDropped(),
		Memory: &MemoryUse{Reserved: b.MemoryReserved(), Max: b.cfg.MemoryBytes},
	}
	if b.opt.FreeBytes != nil {
		d.FreeBytes, d.ReserveBytes = b.opt.FreeBytes()
	}
	for i, s := range b.shards {
		seq := s.Published().Seq()
		k := s.KeepStats()
		d.Shards = append(d.Shards, ShardState{Shard: i, Seq: seq, Unhealthy: s.Unhealthy(), Slowed: k.Slowed})
		d.Holders = append(d.Holders, b.holdings(i, seq)...)
	}
	if b.opt.Diagnose != nil {
		b.opt.Diagnose(&d)
	}
	d.Judge()
	return d, nil
}
