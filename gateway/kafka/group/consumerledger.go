package group

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// save notes that the group, or a member, is to be kept as it is.
func (g *Consumer) save(ids ...string) {
	if len(ids) == 0 {
		g.changed[groupKey] = struct{}{}
	}
	for _, id := range ids {
		g.changed[memberPrefix+id] = struct{}{}
	}
}

type consumerRow struct {
	Type        string `json:"type"` // consumer
	Epoch       int32  `json:"epoch"`
	TargetEpoch int32  `json:"target_epoch"`
	Topics      string `json:"topics,omitempty"` // digest
	SinceMS     int64  `json:"since_ms"`
}

type consumerMemberRow struct {
	Instance    string   `json:"instance,omitempty"`
	Rack        string   `json:"rack,omitempty"`
	ClientID    string   `json:"client_id,omitempty"`
	Host        string   `json:"host,omitempty"`
	RebalanceMS int64    `json:"rebalance_ms"`
	Names       []string `json:"names,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
	Assignor    string   `json:"assignor,omitempty"`
	Epoch       int32    `json:"epoch"`
	Before      int32    `json:"epoch_before"`
	Progress    progress `json:"progress,omitempty"`
	Target      runs     `json:"target,omitempty"`
	Settled     bool     `json:"settled,omitempty"` // it owns its target, and Owned is left out
	Owned       runs     `json:"owned,omitempty"`
	Revoked     runs     `json:"revoked,omitempty"`

	Classic *classicSideRow `json:"classic,omitempty"` // it is of the older protocol
}

type classicSideRow struct {
	SessionMS int64      `json:"session_ms"`
	Protocols []Protocol `json:"protocols"`
}

// runs is Parts as text for each topic: "0-3,7".
type runs map[ID]string

func runsOf(p Parts) runs {
	out := runs{}
	for id, ns := range p {
		var b strings.Builder
		for i := 0; i < len(ns); {
			j := i
			for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
				j++
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(int(ns[i])))
			if j > i {
				b.WriteString("-" + strconv.Itoa(int(ns[j])))
			}
			i = j + 1
		}
		out[id] = b.String()
	}
	return out
}

func (r runs) parts() (Parts, error) {
	p := Parts{}
	for id, text := range r {
		for run := range strings.SplitSeq(text, ",") {
			from, to, is := strings.Cut(run, "-")
			if !is {
				to = from
			}
			a, err := strconv.ParseInt(from, 10, 32)
			if err != nil {
				return nil, err
			}
			z, err := strconv.ParseInt(to, 10, 32)
			if err != nil || z-a > runMax {
				return nil, fmt.Errorf("%q are no partitions: %w", run, err)
			}
			for n := a; n <= z; n++ {
				p[id] = append(p[id], int32(n))
			}
		}
	}
	return p, nil
}

// runMax is more than a topic has partitions.
const runMax = 1_000_000

// Unsaved are the rows to be kept before what Heartbeat answered is told to anybody. They come again until Saved is called.
func (g *Consumer) Unsaved() []Row {
	if len(g.changed) == 0 {
		return nil
	}
	var rows []Row
	for key := range g.kept {
		if g.members[key[len(memberPrefix):]] == nil {
			rows = append(rows, Row{Key: key})
		}
	}
	for key := range g.changed {
		if key == groupKey {
			rows = append(rows, Row{key, encode(consumerRow{"consumer", g.epoch, g.targetEpoch, g.digest, g.sinceMS})})
			continue
		}
		m := g.members[key[len(memberPrefix):]]
		if m == nil {
			continue
		}
		row := consumerMemberRow{
			Instance: m.instance, Rack: m.rack, ClientID: m.clientID, Host: m.host, RebalanceMS: m.rebalanceMS, Names: m.names, Pattern: m.pattern, Assignor: m.assignor,
			Epoch: m.epoch, Before: m.before, Progress: m.progress, Target: runsOf(m.target), Settled: m.owned.equal(m.target), Revoked: runsOf(m.revoked),
		}
		if !row.Settled {
			row.Owned = runsOf(m.owned)
		}
		if m.classic != nil {
			row.Classic = &classicSideRow{m.classic.sessionMS, m.classic.protocols}
		}
		rows = append(rows, Row{key, encode(row)})
	}
	return rows
}

// LoadConsumer is the group as it was kept: epochs and assignments stand, and the sessions of its members begin anew.
func LoadConsumer(cfg Config, rows []Row, nowMS int64) (*Consumer, error) {
	g := NewConsumer(cfg, nowMS)
	for _, r := range sorted(rows) {
		if r.Key == groupKey {
			var v consumerRow
			if err := json.Unmarshal(r.Value, &v); err != nil {
				return nil, fmt.Errorf("group: %w", err)
			}
			g.epoch, g.targetEpoch, g.digest, g.sinceMS = v.Epoch, v.TargetEpoch, v.Topics, v.SinceMS
			continue
		}
		id, is := strings.CutPrefix(r.Key, memberPrefix)
		if !is {
			continue
		}
		if err := g.loadMember(id, r.Value, nowMS); err != nil {
			return nil, fmt.Errorf("member %q: %w", id, err)
		}
		g.kept[r.Key] = struct{}{}
	}
	return g, nil
}

func (g *Consumer) loadMember(id string, row []byte, nowMS int64) error {
	var v consumerMemberRow
	if err := json.Unmarshal(row, &v); err != nil {
		return err
	}
	m := &consumer{
		id: id, instance: v.Instance, rack: v.Rack, clientID: v.ClientID, host: v.Host, rebalanceMS: v.RebalanceMS, names: v.Names, pattern: v.Pattern, assignor: v.Assignor,
		epoch: v.Epoch, before: v.Before, progress: v.Progress,
	}
	if v.Classic != nil {
		if len(v.Classic.Protocols) == 0 {
			return errors.New("it is of the older protocol and has none of its own")
		}
		m.classic = &classicSide{sessionMS: v.Classic.SessionMS, protocols: v.Classic.Protocols}
	}
	g.alive(nowMS, m)
	var err error
	if m.target, err = v.Target.parts(); err != nil {
		return err
	}
	owned := m.target
	if !v.Settled {
		if owned, err = v.Owned.parts(); err != nil {
			return err
		}
	}
	revoked, err := v.Revoked.parts()
	if err != nil {
		return err
	}
	if m.progress == revoking {
		m.revokeMS = nowMS + m.rebalanceMS
	}
	g.members[id] = m
	if m.instance != "" {
		g.instances[m.instance] = m
	}
	g.own(m, owned, revoked)
	return nil
}
