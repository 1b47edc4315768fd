package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) subRewind() *cobra.Command {
	var to, key string
	var failed, yes bool
	var rate int
	cmd := &cobra.Command{
		Use: "rewind NAME --to PLACE", Short: "Begin again elsewhere, whatever was acked", Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Have a subscription begin again elsewhere: what lies behind the place is handed over once more, whatever was acked; what lies before it is not\n" +
			"handed over any more. PLACE is earliest, latest (a purge: nothing that waits is handed over), a time (RFC 3339), -1h or -7d (of the append),\n" +
			"offset:N or a position. What receivers have at the moment is theirs no longer.\n\n" +
			"With --key only the events of that key come again, with --failed only what became a dead letter behind the place, which then lies in the stream\n" +
			"of dead letters. What waits or what somebody has stays as it is.",
		Example: "  leat sub rewind mails --to -1h\n  leat sub rewind mails --to latest\n  leat sub rewind mails --to -24h --key customer-7\n  leat sub rewind mails --to -24h --failed --per-second 10",
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usageError("--to says where to begin: earliest, latest, a time, -1h, offset:N or a position")
			}
			body := map[string]any{"to": to}
			byKey := cmd.Flags().Changed("key")
			switch {
			case byKey && failed:
				return usageError("say one of --key and --failed")
			case cmd.Flags().Changed("per-second") && !failed:
				return usageError("--per-second goes with --failed")
			case byKey:
				body["key"] = key
			case failed:
				body["failed"] = true
				if cmd.Flags().Changed("per-second") {
					body["per_second"] = rate
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if byKey || failed {
				var got map[string]any
				if err := c.call(cmd.Context(), "POST", subPath(args[0])+"/rewind", body, &got); err != nil {
					return err
				}
				return a.list([]map[string]any{{"subscription": args[0], "replayed": got["replayed"]}}, []string{"subscription", "replayed"})
			}
			text := fmt.Sprintf("Subscription %s begins again at %s: what it has settled behind that comes again, and what waits before it is left out.", args[0], to)
			if err := a.confirmThat(text, "rewinding subscription "+args[0], args[0], yes); err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "POST", subPath(args[0])+"/rewind", body, &got); err != nil {
				return err
			}
			return a.describeSub(got)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "earliest, latest, a time, -1h, offset:N or a position")
	cmd.Flags().StringVarP(&key, "key", "k", "", "only events of this key, which others need not wait for")
	cmd.Flags().BoolVar(&failed, "failed", false, "only what became a dead letter")
	cmd.Flags().IntVar(&rate, "per-second", 0, "with --failed: no faster than so many a second")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"earliest", "latest", "-1h"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) subExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain NAME REF", Short: "How one event stands with a subscription, and why it was not delivered", Args: exactly(2), ValidArgsFunction: a.completeSubscriptions,
		Example: "  leat sub explain mails orders/0/1234",
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.Count(args[1], "/") != 2 {
				return usageError("%s is no ref: it looks like orders/0/1234", args[1])
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", subPath(args[0])+"/explain?"+url.Values{"ref": {args[1]}}.Encode(), nil, &got); err != nil {
				return err
			}
			return a.describe(got, explained)
		},
	}
}

var explained = []string{"ref", "reads", "reaches", "matches", "state", "attempts", "until", "clause", "clause_error", "delivered", "settled"}
