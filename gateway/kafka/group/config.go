package group

import (
	"fmt"
	"time"
)

// Config is what the operator says of groups. The names of the protocol's own settings are beside what they set.
type Config struct {
	SessionMin      time.Duration `yaml:"session_min" doc:"shortest session timeout a member may ask for (group.min.session.timeout.ms)"`
	SessionMax      time.Duration `yaml:"session_max" doc:"longest session timeout a member may ask for (group.max.session.timeout.ms)"`
	InitialDelay    time.Duration `yaml:"initial_delay" doc:"how long the first rebalance of an empty group waits for more members (group.initial.rebalance.delay.ms)"`
	MembersMax      int           `yaml:"members_max" doc:"members of one group (group.max.size)"`
	GroupsMax       int           `yaml:"groups_max" doc:"groups of the node"`
	MemberBytesMax  int           `yaml:"member_bytes_max" doc:"what one member says about itself, and likewise its assignment"`
	GroupBytesMax   int           `yaml:"group_bytes_max" doc:"what all members of a group say about themselves, with their assignments"`
	OffsetRetention time.Duration `yaml:"offset_retention" doc:"how long offsets are kept that nobody uses (offsets.retention.minutes)"`
	Session         time.Duration `yaml:"session" doc:"session timeout of members of the newer protocol (group.consumer.session.timeout.ms)"`
	Heartbeat       time.Duration `yaml:"heartbeat" doc:"how often members of the newer protocol say that they are there (group.consumer.heartbeat.interval.ms)"`
}

// Default is what Kafka has by default, and a limit where it has none.
func Default() Config {
	return Config{
		SessionMin: 6 * time.Second, SessionMax: 30 * time.Minute, InitialDelay: 3 * time.Second,
		MembersMax: 10_000, GroupsMax: 100_000, MemberBytesMax: 128 << 10, GroupBytesMax: 64 << 20,
		OffsetRetention: 7 * 24 * time.Hour, Session: 45 * time.Second, Heartbeat: 5 * time.Second,
	}
}

// Validate says which field is out of its limits.
func (c Config) Validate() error {
	for _, d := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"session_min", c.SessionMin, time.Millisecond, c.SessionMax},
		{"session_max", c.SessionMax, time.Millisecond, 24 * time.Hour},
		{"initial_delay", c.InitialDelay, 0, 5 * time.Minute},
		{"offset_retention", c.OffsetRetention, time.Minute, 10 * 365 * 24 * time.Hour},
		{"session", c.Session, 10 * time.Millisecond, 24 * time.Hour},
		{"heartbeat", c.Heartbeat, time.Millisecond, c.Session},
	} {
		if d.value < d.least || d.value > d.most {
			return fmt.Errorf("%s is %v; it must be from %v to %v", d.name, d.value, d.least, d.most)
		}
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"members_max", c.MembersMax, 1, 100_000},
		{"groups_max", c.GroupsMax, 1, 10_000_000},
		{"member_bytes_max", c.MemberBytesMax, 1 << 10, memberBytesMost},
		{"group_bytes_max", c.GroupBytesMax, 1 << 10, 1 << 30},
	} {
		if n.value < n.least || n.value > n.most {
			return fmt.Errorf("%s is %d; it must be from %d to %d", n.name, n.value, n.least, n.most)
		}
	}
	return nil
}

// memberBytesMost: what is kept of a member, in base64 and with its assignment, is one row.
const memberBytesMost = 128 << 10
