package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

var (
	dlqColumns = []string{"ref", "reason", "attempts", "origin", "died", "type", "key"}
	dlqCauses  = []string{"letters", "reason", "type", "oldest", "newest", "example"}
)

const (
	replayBatch = 500  // refs in one request
	dlqPage     = 1000 // asked for at a time, the most a node gives
	dlqListed   = 1000 // listed unless --limit says otherwise
)

func (a *app) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", Short: "Dead letters: what a subscription has given up", Aliases: []string{"dead-letters"},
		Long: "Dead letters are copies of the events that a subscription has given up: rejected, out of attempts, expired, over a limit. They lie in the stream\n" +
			"that it was made with (leat sub create --dead-letters) and can be read there too. replay hands them to that subscription again, and to no other.",
	}
	cmd.AddCommand(a.dlqList(), a.dlqShow(), a.dlqAdd(), a.dlqReplay(), a.dlqDrop())
	return cmd
}

func deadPath(name string, q url.Values) string {
	p := subPath(name) + "/dead-letters"
	if len(q) > 0 {
		p += "?" + q.Encode()
	}
	return p
}

func (a *app) dlqList() *cobra.Command {
	var causes bool
	var from string
	limit := dlqListed
	cmd := &cobra.Command{
		Use: "list SUBSCRIPTION", Aliases: []string{"ls"}, Short: "The dead letters of a subscription", Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		Example: "  leat dlq list mails --causes\n  leat dlq list mails --from -1h",
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usageError("--limit %d: it is 0 (all) or more", limit)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if causes {
				rows, err := c.deadCauses(cmd.Context(), args[0], from)
				if err != nil {
					return err
				}
				return a.list(rows, dlqCauses)
			}
			var rows []map[string]any
			more := false
			err = c.deadLetters(cmd.Context(), args[0], from, func(l map[string]any) error {
				if more = limit > 0 && len(rows) == limit; more {
					return errEnough
				}
				rows = append(rows, deadRow(l, a.output))
				return nil
			})
			if err != nil && !errors.Is(err, errEnough) {
				return err
			}
			if more {
				a.remark("these are the first %d; --limit 0 lists all, --causes counts them", limit)
			}
			return a.list(rows, dlqColumns)
		},
	}
	cmd.Flags().BoolVar(&causes, "causes", false, "grouped by cause and type of event, with how many")
	cmd.Flags().StringVar(&from, "from", "", "only those that died since: a time (RFC 3339), -1h, or a position")
	cmd.Flags().IntVarP(&limit, "limit", "n", limit, "stop after so many; 0 lists all")
	return cmd
}

// deadRow is a dead letter as a row: in tables without its event, which dlq show prints.
func deadRow(l map[string]any, output string) map[string]any {
	if output == "json" {
		return l
	}
	row := map[string]any{}
	for _, c := range dlqColumns {
		row[c] = l[c]
	}
	if e, ok := l["event"].(map[string]any); ok {
		row["type"], row["key"] = e["type"], e["partitionkey"]
	}
	return row
}

// deadLetters goes through all pages.
func (c *client) deadLetters(ctx context.Context, name, from string, each func(map[string]any) error) error {
	return c.deadPages(ctx, name, url.Values{"limit": {strconv.Itoa(dlqPage)}}, from, func(p *deadPage) error {
		for _, l := range p.DeadLetters {
			if err := each(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// deadPage is a page of dead letters, or of groups of them.
type deadPage struct {
	DeadLetters []map[string]any `json:"dead_letters"`
	Groups      []struct {
		Reason string   `json:"reason"`
		Type   string   `json:"type"`
		Count  int64    `json:"count"`
		Oldest string   `json:"oldest"`
		Newest string   `json:"newest"`
		Refs   []string `json:"refs"`
	} `json:"groups"`
	Next     string `json:"next"`
	CaughtUp bool   `json:"caught_up"`
}

func (c *client) deadPages(ctx context.Context, name string, q url.Values, from string, each func(*deadPage) error) error {
	for range pagesMax {
		if from != "" {
			q.Set("from", from)
		}
		var p deadPage
		if err := c.call(ctx, "GET", deadPath(name, q), nil, &p); err != nil {
			return err
		}
		if err := each(&p); err != nil {
			return err
		}
		if p.CaughtUp || p.Next == "" || p.Next == from {
			return nil
		}
		from = p.Next
	}
	return fmt.Errorf("the dead letters of %s have more than %d pages", name, pagesMax)
}

// deadCauses counts by cause and type. The node counts a part of the stream at a time.
func (c *client) deadCauses(ctx context.Context, name, from string) ([]map[string]any, error) {
	type cause struct{ reason, kind string }
	var rows []map[string]any
	places := map[cause]int{}
	err := c.deadPages(ctx, name, url.Values{"group": {"cause"}}, from, func(p *deadPage) error {
		for _, g := range p.Groups {
			k := cause{g.Reason, g.Type}
			i, ok := places[k]
			if !ok {
				i, places[k] = len(rows), len(rows)
				rows = append(rows, map[string]any{"reason": g.Reason, "type": g.Type, "letters": int64(0), "oldest": g.Oldest, "example": strings.Join(g.Refs[:min(1, len(g.Refs))], "")})
			}
			rows[i]["letters"], rows[i]["newest"] = rows[i]["letters"].(int64)+g.Count, g.Newest
		}
		return nil
	})
	return rows, err
}

func (a *app) dlqShow() *cobra.Command {
	return &cobra.Command{
		Use: "show REF", Short: "One dead letter in full, as a CloudEvent", Args: exactly(1),
		Long:    "Print one dead letter in full. REF is the first column of dlq list.",
		Example: "  leat dlq show mails.dead/0/17 | jq .data",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if strings.Count(args[0], "/") != 2 {
				return usageError("%s is no ref: it looks like mails.dead/0/17", args[0])
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			out := bufio.NewWriter(a.out)
			defer func() { err = errors.Join(err, out.Flush()) }()
			return a.readRef(cmd.Context(), c, args[0], out)
		},
	}
}

// dlqAdd gives events up for a subscription that keeps positions.
func (a *app) dlqAdd() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "add SUBSCRIPTION REF...", Short: "Give events up, for a subscription that keeps positions", Args: between(2, replayBatch+1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Copy events to the dead letters of a subscription that keeps positions (a consumer group), which lie in the stream SUBSCRIPTION.dead-letters. Its positions\n" +
			"stay where they are. An event that was given up already is not copied again.",
		Example: "  leat dlq add billing orders/0/1234 --reason 'no such customer'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var events []map[string]any
			for _, ref := range args[1:] {
				events = append(events, map[string]any{"ref": ref, "reason": reason})
			}
			var got struct {
				DeadLetters []receipt `json:"dead_letters"`
			}
			if err := c.call(cmd.Context(), "POST", deadPath(args[0], nil), map[string]any{"events": events}, &got); err != nil {
				return err
			}
			rows := []map[string]any{}
			for i, r := range got.DeadLetters {
				rows = append(rows, map[string]any{"ref": r.Ref, "origin": args[i+1], "duplicate": r.Duplicate})
			}
			return a.list(rows, []string{"ref", "origin", "duplicate"})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}

func (a *app) dlqReplay() *cobra.Command {
	var all bool
	var from string
	var rate int
	var to string
	cmd := &cobra.Command{
		Use: "replay SUBSCRIPTION [REF... | -]", Short: "Hand dead letters to their subscription again", Args: between(1, replayBatch+1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Hand dead letters to their subscription again, and to no other. REF is the first column of dlq list; - reads refs from standard input, one a line or\n" +
			"as JSON objects with a \"ref\". --all takes all there are, with --from those that died since: dead letters stay in their stream, so that those are among\n" +
			"them that were replayed before. What waits already is left as it is.\n" +
			"A subscription that keeps positions (a consumer group) can be handed nothing out of order: --to says which stream the events are appended to again.",
		Example: "  leat dlq replay mails mails.dead/0/17\n  leat dlq replay mails --all --from -2h\n  leat dlq list mails -o json | jq -c '.[] | select(.reason == \"exhausted\")' | leat dlq replay mails -",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, refs := args[0], args[1:]
			if all == (len(refs) > 0) {
				return usageError("say which dead letters: REF..., - for standard input, or --all")
			}
			if from != "" && !all {
				return usageError("--from goes with --all")
			}
			if rate < 0 {
				return usageError("--per-second %d: it is 0 (all at once) or more", rate)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			r := replayer{ctx: cmd.Context(), c: c, name: name, rate: rate, to: to}
			switch {
			case all:
				// All are found before the first is replayed: one that dies again would be found again, for ever.
				err = c.deadLetters(cmd.Context(), name, from, func(l map[string]any) error {
					ref, _ := l["ref"].(string)
					refs = append(refs, ref)
					return nil
				})
				for i := 0; i < len(refs) && err == nil; i++ {
					err = r.add(refs[i])
				}
			default:
				err = a.eachDeadRef(refs, r.add)
			}
			if err == nil {
				err = r.flush()
			}
			if err != nil {
				return err
			}
			return a.list([]map[string]any{{"subscription": name, "replayed": r.revived, "asked": r.asked}}, []string{"subscription", "replayed", "asked"})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters there are")
	cmd.Flags().StringVar(&from, "from", "", "with --all: only those that died since: a time (RFC 3339), -1h, or a position")
	cmd.Flags().StringVar(&to, "to", "", "append the events to this stream again, instead")
	cmd.Flags().IntVar(&rate, "per-second", 0, "no faster than so many a second; 0: all at once")
	return cmd
}

// eachDeadRef calls fn for refs that were given, or that standard input has.
func (a *app) eachDeadRef(refs []string, fn func(string) error) (err error) {
	if len(refs) != 1 || refs[0] != "-" {
		for i := 0; i < len(refs) && err == nil; i++ {
			err = fn(refs[i])
		}
		return err
	}
	s := bufio.NewScanner(a.in)
	s.Buffer(make([]byte, 64<<10), handleLineMax)
	for n := 1; err == nil && s.Scan(); n++ {
		var ref string
		if ref, err = refOf(s.Bytes()); err != nil {
			err = fmt.Errorf("line %d: %w", n, err)
		} else if ref != "" {
			err = fn(ref)
		}
	}
	return errors.Join(err, s.Err())
}

func (a *app) dlqDrop() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "drop SUBSCRIPTION [REF... | -]", Short: "Show dead letters no more", Args: between(1, replayBatch+1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Show dead letters no more: they are neither listed nor handed over again. REF is the first column of dlq list; - reads refs from standard input, one a\n" +
			"line or as JSON objects with a \"ref\". The events stay in the stream of dead letters until its retention takes them.",
		Example: "  leat dlq drop mails mails.dead/0/17\n  leat dlq drop mails --all\n  leat dlq list mails -o json | jq -c '.[] | select(.reason == \"expired\")' | leat dlq drop mails -",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, refs := args[0], args[1:]
			if all == (len(refs) > 0) {
				return usageError("say which dead letters: REF..., - for standard input, or --all")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			d := dropper{ctx: cmd.Context(), c: c, name: name}
			if all {
				if err := d.call(map[string]any{"all": true}); err != nil {
					return err
				}
				a.remark("all dead letters of %s are dropped", name)
				return nil
			}
			if err = a.eachDeadRef(refs, d.add); err == nil {
				err = d.flush()
			}
			if err != nil {
				return err
			}
			return a.list([]map[string]any{{"subscription": name, "dropped": d.dropped}}, []string{"subscription", "dropped"})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters there are")
	return cmd
}

// dropper drops refs in batches.
type dropper struct {
	ctx     context.Context
	c       *client
	name    string
	refs    []string
	dropped int
}

func (d *dropper) call(body map[string]any) error {
	return d.c.call(d.ctx, "POST", deadPath(d.name, nil)+"/drop", body, nil)
}

func (d *dropper) add(ref string) error {
	if strings.Count(ref, "/") != 2 {
		return usageError("%q is no ref: it looks like mails.dead/0/17", ref)
	}
	if d.refs = append(d.refs, ref); len(d.refs) < replayBatch {
		return nil
	}
	return d.flush()
}

func (d *dropper) flush() error {
	if len(d.refs) == 0 {
		return nil
	}
	if err := d.call(map[string]any{"refs": d.refs}); err != nil {
		return fmt.Errorf("%d are dropped: %w", d.dropped, err)
	}
	d.dropped += len(d.refs)
	d.refs = d.refs[:0]
	return nil
}

// refOf reads a line of refs; empty lines are none.
func refOf(line []byte) (string, error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return string(line), nil
	}
	var l struct {
		Ref string `json:"ref"`
	}
	if err := json.Unmarshal(line, &l); err != nil || l.Ref == "" {
		return "", usageError("%s has no \"ref\"", clipped(line))
	}
	return l.Ref, nil
}

// replayer asks for refs in batches.
type replayer struct {
	ctx            context.Context
	c              *client
	name           string
	rate           int // a second; 0: at once
	to             string
	refs           []string
	asked, revived int
}

func (r *replayer) add(ref string) error {
	if strings.Count(ref, "/") != 2 {
		return usageError("%q is no ref: it looks like mails.dead/0/17", ref)
	}
	if r.refs = append(r.refs, ref); len(r.refs) < replayBatch {
		return nil
	}
	return r.flush()
}

func (r *replayer) flush() error {
	if len(r.refs) == 0 {
		return nil
	}
	var got struct {
		Replayed int `json:"replayed"`
	}
	body := map[string]any{"refs": r.refs}
	if r.to != "" {
		body["to"] = r.to
	}
	if r.rate > 0 {
		body["per_second"] = r.rate
		if r.asked > 0 { // the batch before is still on its way
			if err := clock.Sleep(r.ctx, time.Duration(replayBatch)*time.Second/time.Duration(r.rate)); err != nil {
				return err
			}
		}
	}
	err := r.c.call(r.ctx, "POST", deadPath(r.name, nil)+"/replay", body, &got)
	if err != nil {
		return fmt.Errorf("%d are replayed: %w", r.revived, err)
	}
	r.asked, r.revived = r.asked+len(r.refs), r.revived+got.Replayed
	r.refs = r.refs[:0]
	return nil
}
