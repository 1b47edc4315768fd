package coupling

import (
	"maps"
	"slices"
	"strings"
)

// rings are services each of which depends, over others, on itself: the strongly connected parts of three and more. Pairs are conversations.
func rings(w *world) (out []Finding) {
	e := w.edges()
	for _, part := range connected(e) {
		if len(part) < 3 || len(out) == CyclesMax {
			continue
		}
		out = append(out, Finding{Ring, "", part, "each hangs on the others: " + strings.Join(part, ", ") + "; none can be changed or started alone", "find the event that should not need to go back"})
	}
	return out
}

// connected are the strongly connected parts of a graph, each sorted, the parts by their first name. (Tarjan, without recursion: a chain of services may
// be long.)
func connected(edges map[string]map[string][]string) (out [][]string) {
	index, low, on := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	type call struct {
		node string
		next []string
	}
	for _, root := range slices.Sorted(maps.Keys(edges)) {
		if _, seen := index[root]; seen {
			continue
		}
		var calls []call
		enter := func(n string) {
			index[n] = len(index)
			low[n] = index[n]
			stack, on[n] = append(stack, n), true
			calls = append(calls, call{n, slices.Sorted(maps.Keys(edges[n]))})
		}
		for enter(root); len(calls) > 0; {
			c := &calls[len(calls)-1]
			if len(c.next) > 0 {
				to := c.next[0]
				c.next = c.next[1:]
				if _, seen := index[to]; !seen {
					enter(to)
				} else if on[to] {
					low[c.node] = min(low[c.node], index[to])
				}
				continue
			}
			n := c.node
			if calls = calls[:len(calls)-1]; len(calls) > 0 {
				up := calls[len(calls)-1].node
				low[up] = min(low[up], low[n])
			}
			if low[n] != index[n] {
				continue
			}
			at := slices.Index(stack, n)
			part := slices.Sorted(slices.Values(stack[at:]))
			for _, x := range part {
				on[x] = false
			}
			stack = stack[:at]
			out = append(out, part)
		}
	}
	slices.SortFunc(out, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return out
}
