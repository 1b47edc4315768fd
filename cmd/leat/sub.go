package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

var (
	subColumns   = []string{"name", "shadow_of", "streams", "order", "dead_letters", "suspended", "created"}
	subDescribed = []string{
		"name", "namespace", "kind", "shadow_of", "streams", "address", "where", "selector", "marks", "order", "dead_letters", "suspended", "lease_ms", "max_attempts", "backoff_ms", "backoff_max_ms", // settings
		"push", "push_url", "push_format", "push_why", "push_until", "push_last_failure", "push_delivered", "push_attempts", "push_warnings", "new_secret",
		"waiting", "waiting_bytes", "exact", "leased", "delayed", "oldest", "lag_ms", "acked", "skipped", "dead", "gaps", "receivers", "created", "revision",
	}
)

func (a *app) subCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sub", Short: "Subscriptions: work queues that are received from and acked", Aliases: []string{"subscription", "subs"},
		Long: "Subscriptions hand the events of streams over, each to one receiver, and know of each whether it was acked: work queues with leases, retries,\n" +
			"order by key and dead letters, which can be rewound.",
		Example: "  leat sub create mails --stream orders --type order.placed --attempts 5 --dead-letters mails.dead\n" +
			"  leat sub receive mails --follow | ./send | leat sub ack mails -",
	}
	cmd.AddCommand(a.subCreate(), a.subList(), a.subDescribe(), a.subReceive(), a.subRewind(), a.subSuspend(true), a.subSuspend(false), a.subExplain(), a.subDelete(), a.subCancel(), a.subPositions(), a.subCommit())
	cmd.AddCommand(a.subSettle()...)
	return cmd
}

func subPath(name string) string { return "/v1/subscriptions/" + url.PathEscape(name) }

// subFlags are what sub create can be told. A flag that was not given is not mentioned to the node.
type subFlags struct {
	streams, types, set                    []string
	kind, members, shadowOf                string
	subject, key                           string
	order, where, selector, dead, from     string
	attempts                               int
	backlog                                int64
	marks                                  bool
	lease, backoff, backoffMax, delay, ttl time.Duration
}

func (a *app) subCreate() *cobra.Command {
	var f subFlags
	var push pushFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a subscription, or change one that is there", Args: exactly(1),
		Long: "Make a subscription, or change one that is there (what is not mentioned stays). It sees what is appended from now on, or from where\n" +
			"--from says. One of --kind cursor hands nothing over: it keeps a position in each partition (leat sub commit, leat sub positions).\n\n" +
			"PATTERN is a text as it is; item-* is what begins so; order.*.eu and order.# are words between dots (* is one, # any number), a/+/b and a/#\n" +
			"levels between slashes (+ is one, # at the end any number).",
		Example: "  leat sub create mails --stream orders --attempts 5 --backoff 1s --dead-letters mails.dead\n" +
			"  leat sub create mails-new --shadow-of mails\n" +
			"  leat sub create big --stream orders --where 'data.total > 1000' --order key --from earliest\n" +
			"  leat sub create shop --stream orders --push https://shop.example.com/hook --push-secret",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			body, err := f.body(cmd)
			if err != nil {
				return err
			}
			if err := push.body(cmd, body); err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "PUT", subPath(args[0]), body, &got); err != nil {
				return err
			}
			return a.describeSub(got)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.streams, "stream", nil, "what it reads; may be repeated")
	fl.StringVar(&f.kind, "kind", "", "delivery or cursor (default delivery)")
	fl.StringVar(&f.shadowOf, "shadow-of", "", "gets what this subscription hands over, and what becomes of it counts for nothing")
	fl.StringVar(&f.members, "members", "", "who gets events when several are there: shared, exclusive or single_active (default shared)")
	fl.Int64Var(&f.backlog, "backlog-limit", 0, "for how many unsettled events of each partition retention waits (default any number)")
	fl.StringArrayVar(&f.types, "type", nil, "only events of this type, a PATTERN; may be repeated")
	fl.StringVar(&f.subject, "subject", "", "only events with this subject, a PATTERN")
	fl.StringVarP(&f.key, "key", "k", "", "only events with this key, a PATTERN")
	fl.StringVar(&f.order, "order", "", "what must not overtake: none, key or total (default none)")
	fl.StringVar(&f.where, "where", "", "CEL: events for which it is false are passed over")
	fl.StringVar(&f.selector, "selector", "", "SQL-92: events for which it is not true are passed over")
	fl.BoolVar(&f.marks, "marks", false, "deliveries say what the sequence of the event says of it: a gap before it, late, a duplicate")
	fl.DurationVar(&f.lease, "lease", 0, "how long a delivery is its receiver's (default 30s)")
	fl.IntVar(&f.attempts, "attempts", 0, "handed over so often and not acked, an event has failed (default never)")
	fl.DurationVar(&f.backoff, "backoff", 0, "wait before the second attempt, doubled for each further one")
	fl.DurationVar(&f.backoffMax, "backoff-max", 0, "the longest backoff")
	fl.StringVar(&f.dead, "dead-letters", "", "stream for what has failed (default it is dropped)")
	fl.DurationVar(&f.delay, "delay", 0, "every event waits so long after it was appended")
	fl.DurationVar(&f.ttl, "ttl", 0, "and has failed so long after it was appended")
	fl.StringVar(&f.from, "from", "", "where to begin: earliest, latest, a time (RFC 3339), -1h, offset:N or a position (default latest)")
	fl.StringArrayVar(&f.set, "set", nil, "NAME=JSON: any other member of the subscription's document; may be repeated")
	push.register(cmd)
	_ = cmd.RegisterFlagCompletionFunc("order", cobra.FixedCompletions([]string{"none", "key", "total"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("shadow-of", a.completeSubscriptions)
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"delivery", "cursor"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("members", cobra.FixedCompletions([]string{"shared", "exclusive", "single_active"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"earliest", "latest"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("stream", a.completeStreams)
	_ = cmd.RegisterFlagCompletionFunc("dead-letters", a.completeStreams)
	return cmd
}

// body is the document of what was said.
func (f *subFlags) body(cmd *cobra.Command) (map[string]any, error) {
	body := map[string]any{}
	for _, m := range []struct {
		flag, member string
		value        any
	}{
		{"stream", "streams", f.streams},
		{"kind", "kind", f.kind},
		{"members", "members", f.members},
		{"shadow-of", "shadow_of", f.shadowOf},
		{"backlog-limit", "backlog_limit", f.backlog},
		{"order", "order", f.order},
		{"where", "where", f.where},
		{"selector", "selector", f.selector},
		{"marks", "marks", f.marks},
		{"dead-letters", "dead_letters", f.dead},
		{"attempts", "max_attempts", f.attempts},
		{"from", "from", f.from},
	} {
		if cmd.Flags().Changed(m.flag) {
			body[m.member] = m.value
		}
	}
	for _, m := range []struct {
		flag, member string
		value        time.Duration
	}{
		{"lease", "lease_ms", f.lease},
		{"backoff", "backoff_ms", f.backoff},
		{"backoff-max", "backoff_max_ms", f.backoffMax},
		{"delay", "delay_ms", f.delay},
		{"ttl", "ttl_ms", f.ttl},
	} {
		if !cmd.Flags().Changed(m.flag) {
			continue
		}
		if m.value < 0 || m.value%time.Millisecond != 0 {
			return nil, usageError("--%s %v: it is 0 or more, in whole milliseconds", m.flag, m.value)
		}
		body[m.member] = m.value.Milliseconds()
	}
	if err := f.address(cmd, body); err != nil {
		return nil, err
	}
	for _, s := range f.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || !json.Valid([]byte(value)) {
			return nil, usageError("--set %s: it looks like NAME=JSON", s)
		}
		body[name] = json.RawMessage(value)
	}
	return body, nil
}

// address makes address filters, one for each type.
func (f *subFlags) address(cmd *cobra.Command, body map[string]any) error {
	all := map[string]any{}
	for name, text := range map[string]string{"subject": f.subject, "key": f.key} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		p, err := subPattern(name, text)
		if err != nil {
			return err
		}
		all[name] = p
	}
	var filters []map[string]any
	for _, text := range f.types {
		p, err := subPattern("type", text)
		if err != nil {
			return err
		}
		one := maps.Clone(all)
		one["type"] = p
		filters = append(filters, one)
	}
	if len(filters) == 0 && len(all) > 0 {
		filters = append(filters, all)
	}
	if len(filters) > 0 {
		body["address"] = filters
	}
	return nil
}

// subPattern reads PATTERN.
func subPattern(flag, text string) (map[string]string, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == '.' })
	switch before, star := strings.CutSuffix(text, "*"); {
	case strings.Contains(text, "/") && strings.ContainsAny(text, "+#"):
		return map[string]string{"levels": text}, nil
	case slices.Contains(words, "*") || slices.Contains(words, "#"):
		return map[string]string{"words": text}, nil
	case star && !strings.ContainsAny(before, "*#"):
		return map[string]string{"prefix": before}, nil
	case strings.ContainsAny(text, "*#"):
		return nil, usageError("--%s %s: * and # are whole words between dots, or * is at the end; --set 'address=[{\"%s\":{\"exact\":…}}]' takes any text", flag, text, flag)
	}
	return map[string]string{"exact": text}, nil
}

func (a *app) subList() *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All subscriptions you may see", Args: exactly(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := a.subscriptions(cmd, prefix)
			if err != nil {
				return err
			}
			if a.output != "json" {
				for i, r := range rows {
					rows[i] = map[string]any{}
					for _, column := range subColumns {
						if v := r[column]; v != nil || column != "shadow_of" { // few have one
							rows[i][column] = v
						}
					}
				}
			}
			return a.list(rows, subColumns)
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only those whose names begin so")
	return cmd
}

func (a *app) subDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "One subscription: its settings, and what waits", Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", subPath(args[0]), nil, &got); err != nil {
				return err
			}
			return a.describeSub(got)
		},
	}
}

// describeSub prints a subscription. For people its settings and its state are lines of their own; what is empty or 0 among the settings
// asks for nothing and is left out.
func (a *app) describeSub(got map[string]any) error {
	if a.output == "json" {
		return a.json(got)
	}
	row := map[string]any{}
	for k, v := range got {
		switch inner, ok := v.(map[string]any); {
		case ok && k == "config":
			for name, v := range inner {
				if name == "push" {
					continue // tellPush has it
				}
				if text := cell(v); text != "" && text != "0" && text != "false" && text != "[]" && text != "{}" {
					row[name] = v
				}
			}
		case ok && k == "state":
			for name, v := range inner {
				if name == "members" { // who is there now; in the settings it is who may
					name = "receivers"
				}
				row[name] = v
			}
		case k != "push":
			row[k] = v
		}
	}
	tellPush(row, got)
	return a.describe(row, subDescribed)
}

func (a *app) subDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a subscription; its events stay in their streams", Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			text := fmt.Sprintf("This deletes subscription %s for good, and with it what it knows of acks and attempts; the events stay.", args[0])
			if err := a.confirmThat(text, "deleting subscription "+args[0], args[0], yes); err != nil {
				return err
			}
			return c.call(cmd.Context(), "DELETE", subPath(args[0]), nil, nil)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) subSuspend(on bool) *cobra.Command {
	verb, short := "resume", "Hand events over again"
	if on {
		verb, short = "suspend", "Hand nothing over until resume; what is appended waits"
	}
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), "POST", subPath(args[0])+"/"+verb, map[string]any{}, nil)
		},
	}
}

// subscriptions reads the whole list.
func (a *app) subscriptions(cmd *cobra.Command, prefix string) ([]map[string]any, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	path := "/v1/subscriptions"
	if prefix != "" {
		path += "?" + url.Values{"prefix": {prefix}}.Encode()
	}
	return c.collection(cmd.Context(), path, "subscriptions")
}

// completeSubscriptions offers the names of subscriptions, like completeStreams.
func (a *app) completeSubscriptions(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	rows, err := a.subscriptions(cmd, typed)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, r := range rows {
		if n, ok := r["name"].(string); ok {
			names = append(names, n)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
