package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

const (
	settleBatch    = 500      // handles in one request
	handleBytesMax = 1 << 10  // of one handle
	handleLineMax  = 64 << 20 // of a line, which may be a whole delivery
)

// settleVerb is a way to be done with deliveries.
type settleVerb struct {
	name, short, long, example string
	flags                      func(cmd *cobra.Command) (body func() (map[string]any, error))
}

const settleInput = "HANDLE is what receive printed as \"handle\". A - reads standard input: a handle a line, or JSON objects with a \"handle\" such as deliveries. They are\n" +
	"settled as they come, many in one request. Exit code 6 says that some were lost: their lease had run out and somebody else has them, or\n" +
	"will."

func (a *app) subSettle() []*cobra.Command {
	none := func(*cobra.Command) func() (map[string]any, error) {
		return func() (map[string]any, error) { return nil, nil }
	}
	verbs := []settleVerb{
		{"ack", "The work is done: never hand these over again", "", "  leat sub receive mails --follow | ./send | leat sub ack mails -", none},
		{"release", "Give deliveries back, to be handed over again", "Without --after they wait as the subscription's backoff says.\n", "  leat sub release mails --after 10m HANDLE", releaseFlags},
		{"reject", "These will never work: make dead letters of them", "Where the subscription keeps no dead letters they are dropped.\n", "  leat sub reject mails HANDLE", none},
		{"renew", "Keep deliveries for longer", "", "  leat sub renew mails --lease 5m HANDLE", renewFlags},
	}
	var out []*cobra.Command
	for _, v := range verbs {
		out = append(out, a.settleCommand(v))
	}
	return out
}

func releaseFlags(cmd *cobra.Command) func() (map[string]any, error) {
	after := cmd.Flags().Duration("after", 0, "hand them over again so long from now (default the subscription's backoff)")
	uncounted := cmd.Flags().Bool("uncounted", false, "this was no attempt that failed")
	return func() (map[string]any, error) {
		body := map[string]any{"counts": !*uncounted}
		if *after < 0 {
			return nil, usageError("--after %v: it is 0 or more", *after)
		}
		if cmd.Flags().Changed("after") {
			body["after"] = after.Milliseconds()
		}
		return body, nil
	}
}

func renewFlags(cmd *cobra.Command) func() (map[string]any, error) {
	lease := cmd.Flags().Duration("lease", 0, "they are yours so long from now")
	return func() (map[string]any, error) {
		if *lease < time.Millisecond {
			return nil, usageError("--lease says how long they are yours from now")
		}
		return map[string]any{"lease": lease.Milliseconds()}, nil
	}
}

func (a *app) settleCommand(v settleVerb) *cobra.Command {
	cmd := &cobra.Command{
		Use: v.name + " NAME HANDLE... | -", Short: v.short, Long: v.short + ".\n" + v.long + "\n" + settleInput, Example: v.example,
		Args: between(2, settleBatch+1), ValidArgsFunction: a.completeSubscriptions,
	}
	more := v.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := more()
		if err != nil {
			return err
		}
		c, err := a.client()
		if err != nil {
			return err
		}
		name, handles := args[0], args[1:]
		var t tally
		one := func(handles []string) error {
			outcomes, err := c.settle(cmd.Context(), name, v.name, handles, body)
			if err == nil {
				t.add(handles, outcomes)
			}
			return err
		}
		if len(handles) == 1 && handles[0] == "-" {
			err = eachHandles(cmd.Context(), a.in, a.persist(cmd.Context(), one))
		} else {
			for i, s := range handles {
				if handles[i], err = handleOf([]byte(s)); err != nil {
					return err
				}
			}
			err = one(handles)
		}
		if t.count > 0 {
			if err := a.list(t.rows(), []string{"outcome", "handles"}); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		return t.problem()
	}
	return cmd
}

// persist tries again while the node is away, once it has answered: a pipe that receives on after a restart must not end at its ack.
// Handles outlive the restart, and settling twice does what once does.
func (a *app) persist(ctx context.Context, do func([]string) error) func([]string) error {
	begun := false
	return func(handles []string) error {
		wait := reconnectFirst
		for {
			err := do(handles)
			var p *problem
			switch {
			case err == nil:
				begun = true
				return nil
			case ctx.Err() != nil:
				return err
			case errors.As(err, &p) && p.exit() != exitLater, p == nil && !(begun && unreachable(err)):
				return err
			}
			a.remark("the node went away (%v); trying again in %v", err, wait)
			if stopped := clock.Sleep(ctx, wait); stopped != nil {
				return stopped
			}
			wait = min(2*wait, reconnectMost)
		}
	}
}

// settle sends one request about handles and returns an outcome for each.
func (c *client) settle(ctx context.Context, name, verb string, handles []string, more map[string]any) ([]string, error) {
	body := map[string]any{"handles": handles}
	maps.Copy(body, more)
	var got struct {
		Outcomes []struct {
			Outcome string `json:"outcome"`
		} `json:"outcomes"`
	}
	if err := c.call(ctx, "POST", subPath(name)+"/"+verb, body, &got); err != nil {
		return nil, err
	}
	if len(got.Outcomes) != len(handles) {
		return nil, fmt.Errorf("the node answered %d outcomes for %d handles", len(got.Outcomes), len(handles))
	}
	outcomes := make([]string, len(handles))
	for i, o := range got.Outcomes {
		outcomes[i] = o.Outcome
	}
	return outcomes, nil
}

// handleOf reads a handle: as it is, or the member of a JSON object.
func handleOf(line []byte) (string, error) {
	line = bytes.TrimSpace(line)
	s := string(line)
	if len(line) > 0 && line[0] == '{' {
		var d struct {
			Handle string `json:"handle"`
		}
		if err := json.Unmarshal(line, &d); err != nil {
			return "", usageError("%s is no delivery: %v", clipped(line), err)
		}
		s = d.Handle
	}
	if s == "" || len(s) > handleBytesMax || strings.ContainsAny(s, " \t\",{}") {
		return "", usageError("%s has no handle: a line is a handle, or a JSON object with a \"handle\"", clipped(line))
	}
	return s, nil
}

func clipped(line []byte) string { return fmt.Sprintf("%q", line[:min(len(line), 60)]) }

// eachHandles reads handles and passes on what is there, as soon as it is there: a worker that writes one line a minute has each
// settled at once, and one that writes thousands a second has them settled in hundreds. Empty lines are passed over. What was read
// before a line that is none is settled first.
func eachHandles(ctx context.Context, in io.Reader, do func([]string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string, settleBatch)
	var failed error // set before lines is closed
	go func() {
		defer close(lines)
		s := bufio.NewScanner(in)
		s.Buffer(make([]byte, 64<<10), handleLineMax)
		for n := 1; s.Scan(); n++ {
			if len(bytes.TrimSpace(s.Bytes())) == 0 {
				continue
			}
			h, err := handleOf(s.Bytes())
			if err != nil {
				failed = fmt.Errorf("line %d: %w", n, err)
				return
			}
			select {
			case lines <- h:
			case <-ctx.Done():
				return
			}
		}
		failed = s.Err()
	}()
	for {
		var batch []string
		select {
		case h, ok := <-lines:
			if !ok {
				return failed
			}
			batch = append(batch, h)
		case <-ctx.Done():
			return ctx.Err()
		}
		for more := true; more && len(batch) < settleBatch; {
			select {
			case h, ok := <-lines:
				if more = ok; ok {
					batch = append(batch, h)
				}
			default:
				more = false
			}
		}
		if err := do(batch); err != nil {
			return err
		}
	}
}

// Outcomes of a handle, best first. The first three are good: the record is settled.
var outcomeWords = []string{"done", "already", "late", "lost", "unknown"}

// tally counts what became of handles.
type tally struct {
	what  string // that is settled; "": handles
	count int
	by    map[string]int
	bad   string // a handle that came to nothing
}

func (t *tally) add(handles, outcomes []string) {
	if t.by == nil {
		t.by = map[string]int{}
	}
	for i, o := range outcomes {
		t.count++
		t.by[o]++
		if t.bad == "" && !settledWell(o) {
			t.bad = handles[i]
		}
	}
}

func settledWell(outcome string) bool {
	return outcome == "done" || outcome == "already" || outcome == "late"
}

func (t *tally) rows() []map[string]any {
	var rows []map[string]any
	for _, o := range outcomeWords {
		if n := t.by[o]; n > 0 {
			rows = append(rows, map[string]any{"outcome": o, t.noun(): n})
		}
	}
	for o, n := range t.by { // of a newer node
		if !slices.Contains(outcomeWords, o) {
			rows = append(rows, map[string]any{"outcome": o, t.noun(): n})
		}
	}
	return rows
}

func (t *tally) noun() string { return cmp.Or(t.what, "handles") }

// problem says that handles came to nothing; nil when none did.
func (t *tally) problem() error {
	bad := 0
	for o, n := range t.by {
		if !settledWell(o) {
			bad += n
		}
	}
	if bad == 0 {
		return nil
	}
	p := &problem{
		Title: fmt.Sprintf("%d of %d %s came to nothing", bad, t.count, t.noun()), Status: http.StatusConflict,
		Detail: fmt.Sprintf("somebody else has these events, or will, or the subscription knows them no more; the first is %s", t.bad),
	}
	if t.what != "" {
		return p
	}
	return advised{p, "a longer --lease, or renew while the work goes on"}
}
