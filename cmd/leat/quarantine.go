package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"leat/broker"
)

var (
	quarantineColumns = []string{"ref", "contract", "field", "reason", "stream", "partition", "offset", "protocol", "user", "appended", "taken"}
	quarantineFreed   = []string{"ref", "outcome", "to", "reason"}
)

const (
	quarantineListed = 1000 // listed unless --limit says otherwise
	quarantineBatch  = 100  // replayed or dropped with one request
)

// quarantineFlags choose among what waits.
type quarantineFlags struct{ contract, stream string }

func (f *quarantineFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.contract, "contract", "", "only what broke this contract")
	cmd.Flags().StringVar(&f.stream, "stream", "", "only what was to go to this stream")
}

func (a *app) contractQuarantine() *cobra.Command {
	cmd := &cobra.Command{
		Use: "quarantine", Short: "What broke a contract and was put aside",
		Long: "Events that broke a contract with --enforce quarantine wait in the stream " + broker.QuarantineStream + ", with the reason, until somebody replays or drops them. They can also be\n" +
			"received and acknowledged, by a program that mends them: leat sub receive " + broker.QuarantineStream + ".",
	}
	cmd.AddCommand(a.quarantineList(), a.quarantineShow(), a.quarantineReplay(), a.quarantineDrop())
	return cmd
}

type quarantinePage struct {
	Records []map[string]any `json:"records"`
	Next    *int64           `json:"next"`
}

// each goes through what waits, up to a limit; 0: none.
func (f *quarantineFlags) each(ctx context.Context, c *client, limit int, fn func(map[string]any) error) error {
	q := url.Values{"contract": {f.contract}, "stream": {f.stream}}
	for n := 0; ; {
		var p quarantinePage
		q.Set("limit", strconv.Itoa(broker.QuarantinePageMax))
		if limit > 0 {
			q.Set("limit", strconv.Itoa(min(limit-n, broker.QuarantinePageMax)))
		}
		if err := c.call(ctx, "GET", "/quarantine?"+q.Encode(), nil, &p); err != nil {
			return err
		}
		for _, r := range p.Records {
			if err := fn(r); err != nil {
				return err
			}
		}
		if n += len(p.Records); p.Next == nil || limit > 0 && n >= limit {
			return nil
		}
		q.Set("from", strconv.FormatInt(*p.Next, 10))
	}
}

func (a *app) quarantineList() *cobra.Command {
	var f quarantineFlags
	limit := quarantineListed
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "What waits, the oldest first", Args: exactly(0),
		Example: "  leat contract quarantine list --contract orders\n  leat contract quarantine list -o json | jq -r '.[].value.text'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			rows := []map[string]any{}
			err = f.each(cmd.Context(), c, limit, func(r map[string]any) error {
				if a.output != "json" { // quarantine show prints the rest
					maps.DeleteFunc(r, func(name string, _ any) bool { return !slices.Contains(quarantineColumns, name) })
				}
				rows = append(rows, r)
				return nil
			})
			if err != nil {
				return err
			}
			if limit > 0 && len(rows) == limit {
				a.remark("there may be more than %d: --limit 0 lists all", limit)
			}
			return a.list(rows, quarantineColumns)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", limit, "at most so many; 0: all")
	return cmd
}

func (a *app) quarantineShow() *cobra.Command {
	return &cobra.Command{
		Use: "show REF", Short: "One event in full, with its value", Args: exactly(1),
		Example: "  leat contract quarantine show leat.quarantine/0/17 | jq -r .value.text",
		RunE: func(cmd *cobra.Command, args []string) error {
			at, ok := strings.CutPrefix(args[0], broker.QuarantineStream+"/0/")
			if !ok {
				return usageError("%s is no ref: it looks like %s/0/17", args[0], broker.QuarantineStream)
			}
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", "/quarantine/"+url.PathEscape(at), nil, &got); err != nil {
				return err
			}
			return a.json(got)
		},
	}
}

// freeing replays or drops refs, in batches.
type freeing struct {
	a    *app
	ctx  context.Context
	c    *client
	verb string
	body map[string]any
	refs []string
	rows []map[string]any
	left int
}

func (f *freeing) add(ref string) error {
	if f.refs = append(f.refs, ref); len(f.refs) < quarantineBatch {
		return nil
	}
	return f.flush()
}

func (f *freeing) flush() error {
	if len(f.refs) == 0 {
		return nil
	}
	var got struct {
		Outcomes []map[string]any `json:"outcomes"`
	}
	body := map[string]any{"refs": f.refs}
	maps.Copy(body, f.body)
	if err := f.c.call(f.ctx, "POST", "/quarantine/"+f.verb, body, &got); err != nil {
		return err
	}
	for _, o := range got.Outcomes {
		if o["outcome"] != "done" && o["outcome"] != "already" {
			f.left++
		}
	}
	f.refs, f.rows = f.refs[:0], append(f.rows, got.Outcomes...)
	return nil
}

// run takes the refs that were given, or all.
func (f *freeing) run(refs []string, all bool, of *quarantineFlags) error {
	if all == (len(refs) > 0) || !all && *of != (quarantineFlags{}) {
		return usageError("say which events: REF..., - for standard input, or --all with --contract and --stream if you like")
	}
	var err error
	if all {
		// All are found before the first is replayed, so that none is met twice.
		if err = of.each(f.ctx, f.c, 0, func(r map[string]any) error { refs = append(refs, fmt.Sprint(r["ref"])); return nil }); err != nil {
			return err
		}
		for i := 0; i < len(refs) && err == nil; i++ {
			err = f.add(refs[i])
		}
	} else {
		err = f.a.eachDeadRef(refs, f.add)
	}
	if err == nil {
		err = f.flush()
	}
	if err != nil {
		return err
	}
	if err := f.a.list(f.rows, quarantineFreed); err != nil {
		return err
	}
	if f.left > 0 {
		return fmt.Errorf("%d stay in quarantine", f.left)
	}
	return nil
}

func (a *app) quarantineReplay() *cobra.Command {
	var of quarantineFlags
	var all bool
	var value string
	cmd := &cobra.Command{
		Use: "replay [REF... | -]", Short: "Append events to their streams, under their contracts as they are now", Args: between(0, replayBatch),
		Long: "Append events to the streams that they were to go to. What breaks a contract still stays where it is, with the reason. The others leave quarantine in the\n" +
			"moment in which they are stored: each is appended once, however often it is replayed. REF is the first column of the list; - reads refs from standard\n" +
			"input. --value gives the one event another value.",
		Example: "  leat contract quarantine replay --all --contract orders\n  leat contract quarantine replay leat.quarantine/0/17 --value mended.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			f := freeing{a: a, ctx: cmd.Context(), c: c, verb: "replay"}
			if value != "" {
				if len(args) != 1 || args[0] == "-" {
					return usageError("--value goes with one REF")
				}
				v, err := a.valueOf(value)
				if err != nil {
					return err
				}
				f.body = map[string]any{"value": v}
			}
			return f.run(args, all, &of)
		},
	}
	of.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that wait")
	cmd.Flags().StringVar(&value, "value", "", "file with the value instead of the event's own; - for standard input")
	return cmd
}

// valueOf reads a value as the registry takes it.
func (a *app) valueOf(file string) (map[string]any, error) {
	read := func() ([]byte, error) { return os.ReadFile(file) } //nolint:forbidigo // a file of the user's, not of the data directory
	if file == "-" {
		read = func() ([]byte, error) { return io.ReadAll(a.in) }
	}
	b, err := read()
	if err != nil {
		return nil, err
	}
	if utf8.Valid(b) {
		return map[string]any{"text": string(b)}, nil
	}
	return map[string]any{"base64": b}, nil
}

func (a *app) quarantineDrop() *cobra.Command {
	var of quarantineFlags
	var all bool
	cmd := &cobra.Command{
		Use: "drop [REF... | -]", Short: "Let events wait no more", Args: between(0, replayBatch),
		Long: "Let events wait no more. REF is the first column of the list; - reads refs from standard input. They can be read in " + broker.QuarantineStream + " for a day.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			return (&freeing{a: a, ctx: cmd.Context(), c: c, verb: "drop"}).run(args, all, &of)
		},
	}
	of.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that wait")
	return cmd
}
