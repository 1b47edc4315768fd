package coupling

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kinds of findings.
const (
	Unproduced       = "unproduced"        // somebody consumes what nobody produces any more
	Unconsumed       = "unconsumed"        // somebody produces what nobody consumes
	SeveralProducers = "several-producers" // one type, several who publish it
	NoContract       = "no-contract"       // published without a contract
	OldVersion       = "old-version"       // of a schema, still in use
	Conversation     = "conversation"      // two services ask and answer
	Ring             = "ring"              // services hang on one another in a ring
)

func (w *world) lately(of map[string]*part) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if w.active(of[name].last) {
			out = append(out, name)
		}
	}
	return out
}

func newest(of map[string]*part) (t time.Time) {
	for _, p := range of {
		if p.last.After(t) {
			t = p.last
		}
	}
	return t
}

func unproduced(w *world) (out []Finding) {
	for _, k := range w.types {
		who := w.lately(k.consumers)
		if len(who) == 0 || len(w.lately(k.producers)) > 0 {
			continue
		}
		why := "it was never seen being produced"
		if t := newest(k.producers); !t.IsZero() {
			why = "it was produced last on " + t.UTC().Format(time.RFC3339)
		}
		out = append(out, Finding{Unproduced, k.name, who, why, "find out whether the consumers still need it, or the producer stands still"})
	}
	return out
}

func unconsumed(w *world) (out []Finding) {
	for _, k := range w.types {
		if who := w.lately(k.producers); len(who) > 0 && len(k.consumers) == 0 {
			out = append(out, Finding{Unconsumed, k.name, who, "nobody was seen consuming it", "keep it if it is kept for later, else stop producing it"})
		}
	}
	return out
}

func severalProducers(w *world) (out []Finding) {
	for _, k := range w.types {
		if who := w.lately(k.producers); len(who) > 1 {
			out = append(out, Finding{SeveralProducers, k.name, who, "a type of event should have one owner: of several nobody knows who may change it",
				"give each its own type, or name the owner in the contract"})
		}
	}
	return out
}

func withoutContract(w *world) (out []Finding) {
	for _, k := range w.types {
		var who []string
		for _, name := range w.lately(k.producers) {
			if !k.producers[name].contract {
				who = append(who, name)
			}
		}
		if len(who) > 0 {
			out = append(out, Finding{NoContract, k.name, who, consumers(len(k.consumers)) + " by heart what is sent", "leat contract put"})
		}
	}
	return out
}

func oldVersions(w *world) (out []Finding) {
	for _, k := range w.types {
		for _, side := range []struct {
			of  map[string]*part
			why string
		}{{k.producers, "produced"}, {k.consumers, "consumed"}} {
			for _, name := range slices.Sorted(maps.Keys(side.of)) {
				p := side.of[name]
				var old []string
				for _, v := range slices.Sorted(maps.Keys(p.versions)) {
					if v < p.latest && w.active(p.versions[v]) {
						old = append(old, fmt.Sprint(v))
					}
				}
				if len(old) > 0 {
					out = append(out, Finding{OldVersion, k.name, []string{name}, fmt.Sprintf("version %s is still %s; the newest is %d", strings.Join(old, ", "), side.why, p.latest),
						"bring the producer up to date before the old version goes"})
				}
			}
		}
	}
	return out
}

// edges are who depends on whom: a consumer of a type on each of its producers.
func (w *world) edges() map[string]map[string][]string {
	out, n := map[string]map[string][]string{}, 0
	for _, k := range w.types {
		for _, from := range w.lately(k.producers) {
			for _, to := range w.lately(k.consumers) {
				if n++; from == to || n > edgesMax {
					continue
				}
				if out[from] == nil {
					out[from] = map[string][]string{}
				}
				out[from][to] = append(out[from][to], k.name)
			}
		}
	}
	return out
}

func conversations(w *world) (out []Finding) {
	e := w.edges()
	for _, a := range slices.Sorted(maps.Keys(e)) {
		for _, b := range slices.Sorted(maps.Keys(e[a])) {
			if a < b && len(e[b][a]) > 0 {
				out = append(out, Finding{Conversation, "", []string{a, b},
					fmt.Sprintf("%s sends %s to %s, which sends %s back: a request and its answer, made of events", a, list(e[a][b]), b, list(e[b][a])),
					"if one waits for the other, call it; if not, have the event say enough that nothing has to come back"})
			}
		}
	}
	return out
}

func consumers(n int) string {
	if n == 1 {
		return "one consumer knows"
	}
	return fmt.Sprintf("%d consumers know", n)
}

const namesTold = 5

func list(names []string) string {
	if len(names) > namesTold {
		return strings.Join(names[:namesTold], ", ") + fmt.Sprintf(" and %d more", len(names)-namesTold)
	}
	return strings.Join(names, ", ")
}
