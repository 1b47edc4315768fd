package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

var (
	hookColumns      = []string{"name", "scheme", "stream", "path", "by", "fingerprints", "warnings"}
	hookDescribed    = []string{"name", "namespace", "path", "scheme", "stream", "source", "type", "key", "subject", "id", "fingerprints", "new_secret", "by", "created", "changed", "warnings", "seen"}
	hookMembers      = []string{"scheme", "stream", "source", "type", "key", "subject", "id", "tolerance_ms", "body_bytes_max", "cloudevents", "hmac", "consent"}
	hookSchemes      = []string{"standard", "github", "stripe", "slack", "hmac", "none"}
	hookSecretOurs   = []string{"standard", "github", "hmac"} // schemes whose senders take a secret of ours
	hookRefusalCells = []string{"time", "status", "reason", "address", "detail"}
)

func (a *app) hookCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "hook", Short: "Addresses that take the webhooks of others in", Aliases: []string{"hooks"}}
	cmd.AddCommand(a.hookCreate(), a.hookList(), a.hookDescribe(), a.hookDelete())
	return cmd
}

// hookFlags are what hook create can be told.
type hookFlags struct {
	scheme, stream, source string
	picks                  map[string]*string // type, key, subject, id
	tolerance              time.Duration
	cloudEvents            bool
	fromStdin, generate    bool
	dropSecrets, set       []string
}

func (a *app) hookCreate() *cobra.Command {
	f := hookFlags{picks: map[string]*string{}}
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a hook, or change one that is there", Args: exactly(1),
		Long: "Make an address that verifies the webhooks of a sender and stores them in a stream, or change one (what is not mentioned stays).\n" +
			"Where the sender takes a secret of yours (standard, github, hmac) one is made and printed, once. A secret that the sender gave you (stripe,\n" +
			"slack) is asked for; scripts use LEAT_HOOK_SECRET or --secret-stdin. On a hook that is there these add one more secret, so that they can\n" +
			"be exchanged; --drop-secret takes the old one away.\n\n" +
			"WHERE is a JSON Pointer into the body (/data/id), header:NAME, or a fixed text.",
		Example: "  leat hook create github --scheme github --stream github --key /repository/full_name\n" +
			"  leat hook create stripe --scheme stripe --stream payments --key /data/object/id < secret --secret-stdin\n" +
			"  leat hook create shop --scheme hmac --stream orders --set 'hmac={\"header\":\"X-Shopify-Hmac-Sha256\",\"encoding\":\"base64\"}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			body, there, err := c.hookSettings(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := f.put(cmd, body); err != nil {
				return err
			}
			if err := a.hookSecret(&f, body, there); err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "PUT", hookPath(args[0]), body, &got); err != nil {
				return err
			}
			delete(got, "seen")
			delete(got, "refusals")
			return a.describe(got, hookDescribed)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.scheme, "scheme", "", "how the sender signs: standard, github, stripe, slack, hmac, or none")
	fl.StringVar(&f.stream, "stream", "", "where events go")
	fl.StringVar(&f.source, "source", "", "source of the events (default /hooks/NAME)")
	for _, p := range []string{"type", "key", "subject", "id"} {
		f.picks[p] = fl.String(p, "", "WHERE the "+p+" of an event comes from")
	}
	fl.DurationVar(&f.tolerance, "tolerance", 0, "how old, or ahead, a signed time may be (default 5m)")
	fl.BoolVar(&f.cloudEvents, "cloudevents", false, "bodies that are CloudEvents are stored as these")
	fl.BoolVar(&f.fromStdin, "secret-stdin", false, "read a secret from the first line of standard input")
	fl.BoolVar(&f.generate, "new-secret", false, "make a secret and print it, once")
	fl.StringArrayVar(&f.dropSecrets, "drop-secret", nil, "fingerprint of a secret that is good no more; may be repeated")
	fl.StringArrayVar(&f.set, "set", nil, "NAME=JSON: any other member of the hook's document; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("scheme", cobra.FixedCompletions(hookSchemes, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("stream", a.completeStreams)
	return cmd
}

// hookSettings are the settings of a hook as they can be put again; empty when it is not there.
func (c *client) hookSettings(ctx context.Context, name string) (body map[string]any, there bool, err error) {
	var got map[string]any
	err = c.call(ctx, "GET", hookPath(name), nil, &got)
	var p *problem
	if errors.As(err, &p) && (p.Status == http.StatusNotFound || p.Status == http.StatusForbidden) { // who may not see it can still make it
		return map[string]any{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	body = map[string]any{}
	for _, m := range hookMembers {
		if v, ok := got[m]; ok {
			body[m] = v
		}
	}
	return body, true, nil
}

// put puts what was said into the document.
func (f *hookFlags) put(cmd *cobra.Command, body map[string]any) error {
	for name, v := range map[string]string{"scheme": f.scheme, "stream": f.stream, "source": f.source} {
		if v != "" {
			body[name] = v
		}
	}
	for name, v := range f.picks {
		if cmd.Flags().Changed(name) {
			body[name] = hookPick(*v)
		}
	}
	if cmd.Flags().Changed("tolerance") {
		body["tolerance_ms"] = f.tolerance.Milliseconds()
	}
	if cmd.Flags().Changed("cloudevents") {
		body["cloudevents"] = f.cloudEvents
	}
	if len(f.dropSecrets) > 0 {
		body["drop_secrets"] = f.dropSecrets
	}
	for _, s := range f.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || !json.Valid([]byte(value)) {
			return usageError("--set %s: it looks like NAME=JSON", s)
		}
		body[name] = json.RawMessage(value)
	}
	if scheme, _ := body["scheme"].(string); !slices.Contains(hookSchemes, scheme) {
		return usageError("--scheme is one of %s", strings.Join(hookSchemes, ", "))
	}
	if body["stream"] == nil {
		return usageError("--stream says where events go")
	}
	return nil
}

// hookPick reads WHERE; empty takes it away.
func hookPick(where string) any {
	if where == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(where, "header:"); ok {
		return map[string]string{"header": name}
	}
	if strings.HasPrefix(where, "/") {
		return map[string]string{"pointer": where}
	}
	return map[string]string{"value": where}
}

// hookSecret finds the secret. Secrets are no arguments, which others on the machine can see.
func (a *app) hookSecret(f *hookFlags, body map[string]any, there bool) error {
	scheme, _ := body["scheme"].(string)
	if body["secrets"] != nil || body["add_secret"] != nil || scheme == "none" {
		return nil
	}
	if f.fromStdin {
		line, err := bufio.NewReader(a.in).ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return fmt.Errorf("no secret on standard input: %w", err)
		}
		body["add_secret"] = line
		return nil
	}
	if s := a.env("LEAT_HOOK_SECRET"); s != "" {
		body["add_secret"] = s
		return nil
	}
	if f.generate || !there && slices.Contains(hookSecretOurs, scheme) {
		body["new_secret"] = true
		return nil
	}
	if there {
		return nil
	}
	if !a.talking {
		return usageError("no secret: set LEAT_HOOK_SECRET or use --secret-stdin")
	}
	ask := *a // LEAT_PASSWORD is that of the one who asks
	ask.env = func(string) string { return "" }
	s, err := ask.password("signing secret that " + scheme + " shows: ")
	if err == nil && s == "" {
		err = usageError("no secret was typed; nothing was done")
	}
	body["add_secret"] = s
	return err
}

func hookPath(name string) string { return "/v1/hooks/" + url.PathEscape(name) }

func (a *app) hookList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All hooks you may see", Args: exactly(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			rows, err := c.collection(cmd.Context(), "/v1/hooks", "hooks")
			if err != nil {
				return err
			}
			if a.output != "json" {
				for i, r := range rows {
					rows[i] = map[string]any{}
					for _, column := range hookColumns {
						rows[i][column] = r[column]
					}
				}
			}
			return a.list(rows, hookColumns)
		},
	}
}

func (a *app) hookDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "One hook: what came, and what was refused and why", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", hookPath(args[0]), nil, &got); err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(got)
			}
			refusals, _ := got["refusals"].([]any)
			delete(got, "refusals")
			if err := a.describe(got, hookDescribed); err != nil || len(refusals) == 0 {
				return err
			}
			var rows []map[string]any
			for _, r := range refusals {
				if row, ok := r.(map[string]any); ok {
					rows = append(rows, row)
				}
			}
			fmt.Fprintln(a.out)
			return a.list(rows, hookRefusalCells)
		},
	}
}

func (a *app) hookDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a hook; its events stay", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("hook", args[0], yes); err != nil {
				return err
			}
			return c.call(cmd.Context(), "DELETE", hookPath(args[0]), nil, nil)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
