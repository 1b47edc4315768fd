package kafka

import (
	"fmt"
	"slices"
	"strings"

	"leat/broker/fault"
	"leat/gateway"
)

// failures gathers what went wrong inside while one request is answered. A request of a thousand partitions that meets a broken disk
// fails a thousand times for one reason, and its client sends it again at once: it is one line a request, and one line each
// gateway.FaultLineInterval a connection.
type failures struct {
	first  error
	at     string // the partition of the first one
	counts [fault.Unsupported + 1]int
	lines  gateway.Sparse
}

// report notes what went wrong inside, at a partition or, with a stream of "", of the request as a whole. What is the client's doing is
// answered and nothing more.
func (k *conn) report(stream string, partition int32, err error) {
	f := fault.As(err)
	if f.Kind != fault.Internal && f.Kind != fault.Corrupt && f.Cause == nil {
		return
	}
	w := &k.out.failures
	if w.first == nil {
		w.first = err
		if stream != "" {
			w.at = fmt.Sprintf("%s/%d", stream, partition)
		}
	}
	w.counts[f.Kind]++
}

// logFailures writes the line of request s, unless nothing failed or there was one just now.
func (k *conn) logFailures(s *slot) {
	w := &k.out.failures
	if w.first == nil {
		return
	}
	if held, ok := w.lines.Pass(); ok {
		f := fault.As(w.first)
		args := []any{"request", s.id.String(), "api", s.header.Key, "op", f.Op, "faults", w.tally()}
		for _, a := range [...][2]string{{"subject", f.Subject}, {"partition", w.at}} {
			if a[1] != "" {
				args = append(args, a[0], a[1])
			}
		}
		if held > 0 {
			args = append(args, "held_back", held)
		}
		k.c.Log().Error("request failed", append(args, "error", w.first)...)
	}
	w.first, w.at, w.counts = nil, "", [fault.Unsupported + 1]int{}
}

// tally is "unknown 12, corrupt 1": the commonest first.
func (w *failures) tally() string {
	kinds := []fault.Kind{}
	for k, n := range w.counts {
		if n > 0 {
			kinds = append(kinds, fault.Kind(k))
		}
	}
	slices.SortStableFunc(kinds, func(a, b fault.Kind) int { return w.counts[b] - w.counts[a] })
	parts := make([]string, len(kinds))
	for i, k := range kinds {
		parts[i] = fmt.Sprintf("%s %d", k, w.counts[k])
	}
	return strings.Join(parts, ", ")
}

// logHeldBack tells, at the end of a connection, of failures that no line has told of.
func (k *conn) logHeldBack() {
	if n := k.out.failures.lines.Rest(); n > 0 {
		k.c.Log().Error("requests failed", "held_back", n)
	}
}
