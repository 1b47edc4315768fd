package group

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What is kept of a group is a row for the group, and one for each member of its generation: JSON, under "g" and "m/" and the id of the member.
// A member that has joined and whose generation does not stand yet has none.
const (
	groupKey     = "g"
	memberPrefix = "m/"
)

// Row is something to be kept, or to be kept no more where Value is nil.
type Row struct {
	Key   string
	Value []byte
}

// ledger notes what has changed since it was kept.
type ledger struct {
	changed map[string]struct{} // keys
	kept    map[string]struct{} // keys of the members that have a row
}

func newLedger() ledger { return ledger{map[string]struct{}{}, map[string]struct{}{}} }

// save notes that the group, or a member, is to be kept as it is.
func (g *Classic) save(ms ...*member) {
	if len(ms) == 0 {
		g.changed[groupKey] = struct{}{}
	}
	for _, m := range ms {
		g.changed[memberPrefix+m.id] = struct{}{}
	}
}

type classicRow struct {
	Type       string `json:"type"` // classic
	Generation int32  `json:"generation"`
	Kind       string `json:"protocol_type,omitempty"`
	Protocol   string `json:"protocol,omitempty"`
	Leader     string `json:"leader,omitempty"`
	SinceMS    int64  `json:"since_ms"`
}

type classicMemberRow struct {
	Instance    string     `json:"instance,omitempty"`
	ClientID    string     `json:"client_id,omitempty"`
	Host        string     `json:"host,omitempty"`
	SessionMS   int64      `json:"session_ms"`
	RebalanceMS int64      `json:"rebalance_ms"`
	Protocols   []Protocol `json:"protocols"`
	Assignment  []byte     `json:"assignment,omitempty"`
}

// Unsaved are the rows to be kept before anything that Take gives is told to anybody. They come again until Saved is called.
func (g *Classic) Unsaved() []Row {
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
			rows = append(rows, Row{key, encode(classicRow{"classic", g.generation, g.kind, g.protocol, g.leader, g.sinceMS})})
			continue
		}
		if m := g.members[key[len(memberPrefix):]]; m != nil {
			rows = append(rows, Row{key, encode(classicMemberRow{m.instance, m.clientID, m.host, m.sessionMS, m.rebalanceMS, m.protocols, m.assignment})})
		}
	}
	return rows
}

// Saved says that those rows are kept.
func (l *ledger) Saved(rows []Row) {
	clear(l.changed)
	for _, r := range rows {
		switch {
		case r.Key == groupKey:
		case r.Value == nil:
			delete(l.kept, r.Key)
		default:
			l.kept[r.Key] = struct{}{}
		}
	}
}

// Kept are the keys of all rows that are kept.
func (l *ledger) Kept() []string {
	keys := []string{groupKey}
	for k := range l.kept {
		keys = append(keys, k)
	}
	return keys
}

// forget notes that a member has gone. Its row goes with what is kept next.
func (l *ledger) forget(id string) { delete(l.changed, memberPrefix+id) }

func encode(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings, numbers and bytes
	}
	return p
}

// TypeOf is which protocol the group has whose rows these are: "classic", "consumer", or "" when they are none's.
func TypeOf(rows []Row) string {
	for _, r := range rows {
		if r.Key == groupKey {
			var v struct {
				Type string `json:"type"`
			}
			if json.Unmarshal(r.Value, &v) == nil {
				return v.Type
			}
		}
	}
	return ""
}

// sorted are rows in an order that is always the same.
func sorted(rows []Row) []Row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

// LoadClassic is the group as it was kept: its generation stands, and the sessions of its members begin anew.
func LoadClassic(cfg Config, rows []Row, nowMS int64) (*Classic, error) {
	g := NewClassic(cfg, nowMS)
	for _, r := range sorted(rows) {
		if r.Key == groupKey {
			var v classicRow
			if err := json.Unmarshal(r.Value, &v); err != nil {
				return nil, fmt.Errorf("group: %w", err)
			}
			g.generation, g.kind, g.protocol, g.leader, g.sinceMS = v.Generation, v.Kind, v.Protocol, v.Leader, v.SinceMS
			continue
		}
		id, is := strings.CutPrefix(r.Key, memberPrefix)
		if !is {
			continue
		}
		var v classicMemberRow
		if err := json.Unmarshal(r.Value, &v); err != nil {
			return nil, fmt.Errorf("member %q: %w", id, err)
		}
		m := &member{
			id: id, instance: v.Instance, clientID: v.ClientID, host: v.Host, sessionMS: v.SessionMS, rebalanceMS: v.RebalanceMS,
			protocols: v.Protocols, assignment: v.Assignment,
		}
		m.alive(nowMS)
		g.add(m)
		g.kept[r.Key] = struct{}{}
	}
	if len(g.order) > 0 {
		g.state = Stable
		if g.members[g.leader] == nil {
			g.leader = g.order[0].id
		}
	}
	return g, nil
}
