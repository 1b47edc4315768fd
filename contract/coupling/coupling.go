package coupling

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Use is what a service does with a type of event.
type Use struct {
	Type     string
	Stream   string
	Service  string
	Produces bool
	Contract string // that the events are under; "": none
	Version  int    // of the schema; 0: not known
	Latest   int
	LastSeen time.Time
	Records  int64
}

// Options say what counts as over.
type Options struct {
	Now   time.Time
	Quiet time.Duration // nobody produces what was not produced for so long, and nobody consumes likewise
}

// Limits of a report.
const (
	FindingsMax = 1000 // of one report
	CyclesMax   = 100
	edgesMax    = 100_000 // pairs of services that are told apart
)

// Report is how services hang together.
type Report struct {
	Services  int `json:"services"`
	Types     int `json:"types"`
	Producers int `json:"producers"` // services that produce
	Consumers int `json:"consumers"`

	// Edges are what somebody has to know of others: each producer and each consumer of a type under a contract knows the contract, while without one
	// each consumer knows each producer. Pairs is what it would be without any contract.
	ContractEdges int `json:"contract_edges"`
	DirectEdges   int `json:"direct_edges"`
	Pairs         int `json:"service_pairs"`

	ByType   []TypeEdges `json:"types_detail"`
	Findings []Finding   `json:"findings"`
	LeftOut  int         `json:"left_out,omitempty"` // findings beyond FindingsMax
}

// TypeEdges is one type of event: who publishes it, and for whom.
type TypeEdges struct {
	Type      string   `json:"type"`
	Contract  string   `json:"contract,omitempty"`
	Producers []string `json:"producers"`
	Consumers []string `json:"consumers"`
	Edges     int      `json:"edges"` // with a contract producers + consumers, without one producers × consumers
	Pairs     int      `json:"pairs"` // producers × consumers
}

// Finding is one thing that is worth a look.
type Finding struct {
	Kind     string   `json:"kind"`
	Type     string   `json:"type,omitempty"`
	Services []string `json:"services"`
	Why      string   `json:"why"`
	Do       string   `json:"do"`
}

// world is what the findings are made from.
type world struct {
	Options
	uses  []Use
	types []*kind
}

// kind is one type of event.
type kind struct {
	name                 string
	contract             string
	producers, consumers map[string]*part
}

// part is what one service has in a type.
type part struct {
	last     time.Time
	contract bool
	versions map[int]time.Time
	latest   int
}

// Of makes a report.
func Of(uses []Use, o Options) Report {
	w := &world{Options: o, uses: uses}
	byName := map[string]*kind{}
	services, producing, consuming := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range uses {
		u := &uses[i]
		k := byName[u.Type]
		if k == nil {
			k = &kind{name: u.Type, producers: map[string]*part{}, consumers: map[string]*part{}}
			byName[u.Type] = k
		}
		k.contract = cmp.Or(k.contract, u.Contract)
		of := k.consumers
		consuming[u.Service] = consuming[u.Service] || !u.Produces
		if u.Produces {
			of, producing[u.Service] = k.producers, true
		}
		services[u.Service] = true
		p := of[u.Service]
		if p == nil {
			p = &part{versions: map[int]time.Time{}}
			of[u.Service] = p
		}
		p.take(u)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		w.types = append(w.types, byName[name])
	}
	r := Report{Services: len(services), Types: len(w.types), Producers: count(producing), Consumers: count(consuming), ByType: []TypeEdges{}, Findings: []Finding{}}
	for _, k := range w.types {
		e := TypeEdges{Type: k.name, Contract: k.contract, Producers: slices.Sorted(maps.Keys(k.producers)), Consumers: slices.Sorted(maps.Keys(k.consumers))}
		e.Pairs = len(k.producers) * len(k.consumers)
		if e.Edges = e.Pairs; k.contract != "" {
			e.Edges = len(k.producers) + len(k.consumers)
			r.ContractEdges += e.Edges
		} else {
			r.DirectEdges += e.Edges
		}
		r.Pairs += e.Pairs
		r.ByType = append(r.ByType, e)
	}
	for _, find := range []func(*world) []Finding{unproduced, unconsumed, severalProducers, withoutContract, oldVersions, conversations, rings} {
		r.Findings = append(r.Findings, find(w)...)
	}
	if n := len(r.Findings); n > FindingsMax {
		r.Findings, r.LeftOut = r.Findings[:FindingsMax], n-FindingsMax
	}
	return r
}

func count(m map[string]bool) (n int) {
	for _, is := range m {
		if is {
			n++
		}
	}
	return n
}

func (p *part) take(u *Use) {
	if u.LastSeen.After(p.last) {
		p.last = u.LastSeen
	}
	p.contract = p.contract || u.Contract != ""
	p.latest = max(p.latest, u.Latest)
	if u.Version > 0 && u.LastSeen.After(p.versions[u.Version]) {
		p.versions[u.Version] = u.LastSeen
	}
}

// active reports whether somebody was seen lately.
func (w *world) active(t time.Time) bool { return w.Now.Sub(t) <= w.Quiet }
