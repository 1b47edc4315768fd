package main

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

// auditOrigin is who, through what.
type auditOrigin struct {
	Principal string `json:"principal,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	Listener  string `json:"listener,omitempty"`
	Client    string `json:"client,omitempty"`
}

// auditAppends is what one origin appended to one stream.
type auditAppends struct {
	auditOrigin
	Stream   string `json:"stream"`
	Events   int64  `json:"events"`
	Bytes    int64  `json:"bytes"`
	Writes   int64  `json:"writes"`
	First    string `json:"first"`
	Last     string `json:"last"`
	FirstRef string `json:"first_ref"`
	LastRef  string `json:"last_ref"`
}

// auditChange is an event of the system stream.
type auditChange struct {
	Time    string         `json:"time"`
	Type    string         `json:"type"`
	Subject string         `json:"subject"`
	Ref     string         `json:"ref"`
	Data    map[string]any `json:"data"`
}

type auditAnswer struct {
	Event         map[string]any `json:"event,omitempty"`
	Appends       []auditAppends `json:"appends,omitempty"`
	Changes       []auditChange  `json:"changes,omitempty"`
	ChangesMore   bool           `json:"changes_more,omitempty"`
	ChangesHidden bool           `json:"changes_hidden,omitempty"`
	Next          string         `json:"next,omitempty"`
}

func (a *app) auditCommand() *cobra.Command {
	var ref, stream, principal, since string
	var limit int
	cmd := &cobra.Command{
		Use: "audit --ref REF | --stream NAME | --principal NAME", Short: "Who appended, changed or deleted what, through what, when", Args: exactly(0),
		Long: "Tell who did what. --ref asks about one event, --stream about a stream (also one that was deleted), --principal about a user.\n" +
			"Appends are summed up by stream and by who made them through what; changes are what leat.system says, newest first.",
		Example: "  leat audit --ref orders/0/1234\n  leat audit --stream orders --since -24h\n  leat audit --principal shop -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n := len(ref) + len(stream) + len(principal); n == 0 || n != max(len(ref), len(stream), len(principal)) {
				return usageError("say one of --ref, --stream and --principal")
			}
			if limit < 0 {
				return usageError("--limit %d: it is 0 (what the node gives) or more", limit)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			for name, v := range map[string]string{"ref": ref, "stream": stream, "principal": principal, "since": since} {
				if v != "" {
					q.Set(name, v)
				}
			}
			if limit > 0 {
				q.Set("limit", strconv.Itoa(limit))
			}
			answer, err := a.audit(cmd.Context(), c, q)
			if err != nil {
				return err
			}
			return a.showAudit(&answer)
		},
	}
	f := cmd.Flags()
	f.StringVar(&ref, "ref", "", "an event, such as orders/0/1234")
	f.StringVar(&stream, "stream", "", "a stream")
	f.StringVar(&principal, "principal", "", "a user")
	f.StringVar(&since, "since", "", "nothing older than this: a time (RFC 3339) or -24h")
	f.IntVarP(&limit, "limit", "n", 0, "most changes to tell (default 100, at most 1000)")
	_ = cmd.RegisterFlagCompletionFunc("stream", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return a.completeStreams(cmd, nil, typed)
	})
	return cmd
}

// audit asks until there is no more, and sums up what belongs together.
func (a *app) audit(ctx context.Context, c *client, q url.Values) (all auditAnswer, err error) {
	type key struct {
		stream string
		origin auditOrigin
	}
	sums := map[key]*auditAppends{}
	p := a.progress()
	defer p.done()
	var writes int64
	for n := range pagesMax {
		var part auditAnswer
		if err := c.call(ctx, "GET", "/v1/audit?"+q.Encode(), nil, &part); err != nil {
			return all, err
		}
		if n == 0 {
			all = part
		}
		for _, s := range part.Appends {
			writes += s.Writes
			k := key{s.Stream, s.auditOrigin}
			t := sums[k]
			if t == nil {
				sums[k] = &s
				continue
			}
			t.Events, t.Bytes, t.Writes = t.Events+s.Events, t.Bytes+s.Bytes, t.Writes+s.Writes
			if s.First < t.First { // RFC 3339 of one length and zone
				t.First, t.FirstRef = s.First, s.FirstRef
			}
			if s.Last >= t.Last {
				t.Last, t.LastRef = s.Last, s.LastRef
			}
		}
		if part.Next == "" || part.Next == q.Get("from") {
			break
		}
		q.Set("from", part.Next)
		p.say("%d appends looked at, now at %s", writes, part.Next)
	}
	all.Next, all.Appends = "", nil
	for s := range maps.Values(sums) {
		all.Appends = append(all.Appends, *s)
	}
	slices.SortFunc(all.Appends, func(x, y auditAppends) int {
		return cmp.Or(cmp.Compare(x.Stream, y.Stream), cmp.Compare(x.First, y.First), cmp.Compare(x.FirstRef, y.FirstRef))
	})
	return all, nil
}

var (
	auditEventColumns = []string{"ref", "appended", "principal", "gateway", "listener", "client", "producer", "id", "source", "type", "position"}
	auditColumns      = []string{"what", "subject", "principal", "gateway", "listener", "client", "first", "last", "events", "bytes", "writes", "first_ref", "last_ref", "data"}
)

func (a *app) showAudit(all *auditAnswer) error {
	if a.output == "json" {
		return a.json(all)
	}
	if all.Event != nil {
		return a.describe(all.Event, auditEventColumns)
	}
	var rows []map[string]any
	for _, s := range all.Appends {
		rows = append(rows, map[string]any{
			"what": "appended", "subject": s.Stream, "principal": s.Principal, "gateway": s.Gateway, "listener": s.Listener, "client": s.Client,
			"first": s.First, "last": s.Last, "events": s.Events, "bytes": s.Bytes, "writes": s.Writes, "first_ref": s.FirstRef, "last_ref": s.LastRef,
		})
	}
	for _, x := range all.Changes {
		row := map[string]any{"what": x.Type, "subject": x.Subject, "first": x.Time, "last": x.Time, "first_ref": x.Ref, "last_ref": x.Ref}
		for _, name := range []string{"principal", "gateway", "listener", "client"} {
			row[name] = x.Data[name]
			delete(x.Data, name)
		}
		if delete(x.Data, "namespace"); len(x.Data) > 0 {
			text, err := json.Marshal(x.Data)
			if err != nil {
				return err
			}
			row["data"] = string(text)
		}
		rows = append(rows, row)
	}
	if err := a.list(rows, auditColumns); err != nil {
		return err
	}
	if all.ChangesHidden {
		a.remark("changes are left out: you may not read leat.system")
	}
	if all.ChangesMore {
		a.remark("there are older changes; ask for more with --limit, or read leat.system")
	}
	return nil
}
