package coupling

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var now = time.Unix(1_700_000_000, 0)

// world of lines: service > type [contract] [version/latest] [days ago]
func uses(t *testing.T, text string) (out []Use) {
	t.Helper()
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		u := Use{Service: f[0], Produces: f[1] == ">", Type: f[2], Stream: "s", LastSeen: now, Records: 1}
		for _, x := range f[3:] {
			var days int
			switch {
			case strings.HasPrefix(x, "c="):
				u.Contract = x[2:]
			case strings.HasPrefix(x, "v="):
				if _, err := fmt.Sscanf(x, "v=%d/%d", &u.Version, &u.Latest); err != nil {
					t.Fatal(err)
				}
			case strings.HasPrefix(x, "-"):
				if _, err := fmt.Sscanf(x, "-%dd", &days); err != nil {
					t.Fatal(err)
				}
				u.LastSeen = now.AddDate(0, 0, -days)
			default:
				t.Fatal(line)
			}
		}
		out = append(out, u)
	}
	return out
}

func told(r *Report) string {
	var out strings.Builder
	fmt.Fprintln(&out, r.Services, r.Types, r.Producers, r.Consumers, "edges", r.ContractEdges, r.DirectEdges, "pairs", r.Pairs)
	for _, f := range r.Findings {
		fmt.Fprintf(&out, "%s %s %v: %s\n", f.Kind, f.Type, f.Services, f.Why)
	}
	return out.String()
}

func TestOf(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a contract makes of pairs a sum", "a > t c=k\nb > t c=k\nx < t c=k\ny < t c=k\nz < t c=k\nx < u\ny < u\na > u", `5 2 2 3 edges 5 2 pairs 8
several-producers t [a b]: a type of event should have one owner: of several nobody knows who may change it
no-contract u [a]: 2 consumers know by heart what is sent
`},
		{"nobody produces it any more", "a > t c=k -30d\nx < t\ny < never\nold < t -30d", `4 2 1 3 edges 3 0 pairs 2
unproduced never [y]: it was never seen being produced
unproduced t [x]: it was produced last on 2023-10-15T22:13:20Z
`},
		{"nobody consumes it", "a > t c=k", "1 1 1 0 edges 1 0 pairs 0\nunconsumed t [a]: nobody was seen consuming it\n"},
		{"old versions", "a > t c=k v=1/3\na > t c=k v=3/3\na > t c=k v=2/3 -30d\nx < t c=k v=1/3", `2 1 1 1 edges 2 0 pairs 1
old-version t [a]: version 1 is still produced; the newest is 3
old-version t [x]: version 1 is still consumed; the newest is 3
`},
		{"ask and answer", "a > asked c=k\nb < asked c=k\nb > answered c=k\na < answered c=k", `2 2 2 2 edges 4 0 pairs 2
conversation  [a b]: a sends asked to b, which sends answered back: a request and its answer, made of events
`},
		{"a ring, and what hangs on it", "a > ab c=k\nb < ab c=k\nb > bc c=k\nc < bc c=k\nc > ca c=k\na < ca c=k\nz < ca c=k", `4 3 3 4 edges 7 0 pairs 4
ring  [a b c]: each hangs on the others: a, b, c; none can be changed or started alone
`},
		{"who reads his own events is no ring", "a > t c=k\na < t c=k", "1 1 1 1 edges 2 0 pairs 1\n"},
		{"nothing", "", "0 0 0 0 edges 0 0 pairs 0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Of(uses(t, c.in), Options{Now: now, Quiet: 7 * 24 * time.Hour})
			if got := told(&r); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// A long chain is no ring, and many findings are cut.
func TestOf_IsBounded(t *testing.T) {
	var all []Use
	for i := range 1100 {
		all = append(all, Use{Service: fmt.Sprint("s", i), Type: fmt.Sprint("t", i), Produces: true, LastSeen: now}, Use{Service: fmt.Sprint("s", i+1), Type: fmt.Sprint("t", i), LastSeen: now})
	}
	r := Of(all, Options{Now: now, Quiet: time.Hour})
	if len(r.Findings) != FindingsMax || r.LeftOut != 100 {
		t.Errorf("%d findings, %d left out", len(r.Findings), r.LeftOut)
	}
	all = append(all, Use{Service: "s1100", Type: "back", Produces: true, LastSeen: now, Contract: "k"}, Use{Service: "s0", Type: "back", LastSeen: now})
	for i := range all {
		all[i].Contract = "k"
	}
	if r = Of(all, Options{Now: now, Quiet: time.Hour}); len(r.Findings) != 1 || r.Findings[0].Kind != Ring || len(r.Findings[0].Services) != 1101 {
		t.Errorf("%d findings", len(r.Findings))
	}
}
