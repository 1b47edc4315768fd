package usage

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// SummaryUsesMax and SummaryBytesMax are how much of a namespace a summary keeps: of what was seen last.
const (
	SummaryUsesMax  = 1000
	SummaryBytesMax = 200 << 10
)

// kept is a use in a summary.
type kept struct {
	Stream    string   `json:"s"`
	Role      Role     `json:"r,omitempty"`
	Principal string   `json:"u,omitempty"`
	Protocol  string   `json:"p,omitempty"`
	Client    string   `json:"c,omitempty"`
	Via       string   `json:"v,omitempty"`
	Vias      []string `json:"w,omitempty"`
	Type      string   `json:"t,omitempty"`
	Schema    int32    `json:"i,omitempty"`
	GUID      string   `json:"g,omitempty"`
	FirstMS   int64    `json:"f"`
	LastMS    int64    `json:"l"`
	Records   int64    `json:"n"`
	Bytes     int64    `json:"b"`
}

// Summary is what is kept of a namespace over a restart.
func (l *Ledger) Summary(namespace string) ([]byte, error) {
	out := []kept{}
	l.each(namespace, func(x *Line, s *share) {
		p := &x.key.party
		out = append(out, kept{
			x.key.place.Stream, x.key.role, p.Principal, p.Protocol, p.Client, p.Via, slices.Clone(x.vias), s.Type, s.Schema, s.GUID, s.firstMS, s.lastMS, s.records, s.bytes,
		})
	})
	slices.SortFunc(out, func(a, b kept) int { return cmp.Or(cmp.Compare(b.LastMS, a.LastMS), cmp.Compare(b.Records, a.Records)) })
	for n := min(len(out), SummaryUsesMax); ; n /= 2 {
		b, err := json.Marshal(out[:n])
		if err != nil || len(b) <= SummaryBytesMax || n == 0 {
			return b, err
		}
	}
}

// Restore adds what a summary has kept to what was counted since.
func (l *Ledger) Restore(namespace string, summary []byte) error {
	var all []kept
	if err := json.Unmarshal(summary, &all); err != nil {
		return err
	}
	for _, k := range all {
		x := l.Line(Place{namespace, k.Stream}, Party{k.Principal, k.Protocol, k.Client, k.Via}, k.Role, k.LastMS)
		x.mu.Lock()
		if len(x.vias) == 0 {
			x.vias = k.Vias[:min(len(k.Vias), viasMax)]
		}
		x.merge(&share{What: What{k.Type, k.Schema, k.GUID}, firstMS: k.FirstMS, lastMS: k.LastMS, records: k.Records, bytes: k.Bytes})
		x.mu.Unlock()
	}
	return nil
}

// Namespaces are those of which there is something.
func (l *Ledger) Namespaces() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := map[string]bool{}
	for k := range l.lines {
		all[k.place.Namespace] = true
	}
	return slices.Sorted(maps.Keys(all))
}
