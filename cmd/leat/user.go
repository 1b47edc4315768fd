package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// grant is what a user may do: an action on things of a kind whose names fit a pattern.
type grant struct {
	Action  string `json:"action"`
	Kind    string `json:"kind"`
	Pattern string `json:"pattern"`
	Deny    bool   `json:"deny,omitempty"`
	From    string `json:"from,omitempty"`
	Label   string `json:"label,omitempty"`
}

func (g grant) String() string {
	text := g.Action + " " + g.Kind + " " + g.Pattern
	if g.Deny {
		text = "deny " + text
	}
	if g.From != "" {
		text += " from " + g.From
	}
	return text
}

// userDocument is a user as the API has it. A password is only ever sent, never answered; without one, a user that exists keeps its own.
type userDocument struct {
	Password  string  `json:"password,omitempty"`
	NewToken  bool    `json:"new_token,omitempty"` // asks for a token, which is answered once
	Namespace string  `json:"namespace,omitempty"`
	Grants    []grant `json:"grants"`
	Quota     *quota  `json:"quota,omitempty"` // without: the node's default

	AccessKeys   []string `json:"access_keys,omitzero"` // ids; sent, those that stay
	NewAccessKey bool     `json:"new_access_key,omitempty"`
}

// quota is what a user may append a second; 0 is no limit.
type quota struct {
	Events int64 `json:"events_per_second"`
	Bytes  int64 `json:"bytes_per_second"`
}

func (q *quota) String() string {
	if q == nil {
		return "default"
	}
	part := func(n int64, what string) string {
		if n == 0 {
			return "no limit of " + what
		}
		return fmt.Sprintf("%d %s/s", n, what)
	}
	return part(q.Events, "events") + ", " + part(q.Bytes, "bytes")
}

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Users and what they may do", Aliases: []string{"users"}}
	cmd.AddCommand(a.userCreate(), a.userList(), a.userDescribe(), a.userDelete(), a.userGrant(true), a.userGrant(false), a.userQuota())
	return cmd
}

func (a *app) userCreate() *cobra.Command {
	var fromStdin, generate, token, accessKey bool
	var drop string
	var grants []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a user, or give one a new password", Args: exactly(1),
		Long:    "Make a user, or give one that exists a new password (its grants stay unless --grant is given).\nThe password is asked for; scripts use LEAT_NEW_PASSWORD, --password-stdin or --generate.",
		Example: "  leat user create shop --grant 'write stream orders.*' --grant 'read stream *'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			given := []grant{}
			for _, g := range grants {
				parsed, err := parseGrant(strings.Fields(g))
				if err != nil {
					return err
				}
				given = append(given, parsed)
			}
			// What is not said stays: all of a user is put at once.
			doc, err := c.user(cmd.Context(), args[0])
			var p *problem
			if err != nil && (!errors.As(err, &p) || p.Status != http.StatusNotFound) {
				return err
			}
			if len(grants) > 0 || doc.Grants == nil {
				doc.Grants = given
			}
			shown := false
			if drop != "" {
				old, err := c.user(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				at := slices.Index(old.AccessKeys, drop)
				if at < 0 {
					return advised{fmt.Errorf("%s has no access key %q", args[0], drop), "leat user describe -o json " + args[0]}
				}
				doc.AccessKeys = slices.Delete(old.AccessKeys, at, at+1)
			}
			doc.NewToken, doc.NewAccessKey = token, accessKey
			if !token && !accessKey && drop == "" || fromStdin || generate || a.env("LEAT_NEW_PASSWORD") != "" {
				if doc.Password, shown, err = a.newPassword(args[0], fromStdin, generate); err != nil {
					return err
				}
			}
			var made struct {
				Token     string `json:"token"`
				AccessKey string `json:"access_key"`
				SecretKey string `json:"secret_key"`
			}
			if err := c.call(cmd.Context(), "PUT", userPath(args[0]), doc, &made); err != nil {
				return err
			}
			row := map[string]any{"name": args[0], "grants": doc.Grants}
			if made.Token != "" {
				row["token"] = made.Token
			}
			if made.AccessKey != "" {
				row["access_key"], row["secret_key"] = made.AccessKey, made.SecretKey
			}
			if shown {
				row["password"] = doc.Password
			}
			return a.describe(row, []string{"name", "password", "token", "access_key", "secret_key", "grants"})
		},
	}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from the first line of standard input")
	cmd.Flags().BoolVar(&generate, "generate", false, "make a password and print it, once")
	cmd.Flags().BoolVar(&token, "new-token", false, "make a bearer token and print it, once; it stands in for a password")
	cmd.Flags().BoolVar(&accessKey, "new-access-key", false, "make an access key and its secret for AWS clients and print them, once; they stand in for a password")
	cmd.Flags().StringVar(&drop, "drop-access-key", "", "`ID` of an access key that is good no longer")
	cmd.Flags().StringArrayVar(&grants, "grant", nil, "'ACTION KIND PATTERN'; may be repeated")
	return cmd
}

// newPassword finds the password for a new user. shown says that nobody has seen it yet, so it is printed.
func (a *app) newPassword(name string, fromStdin, generate bool) (password string, shown bool, err error) {
	switch {
	case generate:
		return rand.Text(), true, nil
	case fromStdin:
		line, err := bufio.NewReader(a.in).ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", false, fmt.Errorf("no password on standard input: %w", err)
		}
		return line, false, nil
	}
	if p := a.env("LEAT_NEW_PASSWORD"); p != "" {
		return p, false, nil
	}
	if !a.talking {
		return "", false, usageError("no password: set LEAT_NEW_PASSWORD, or use --password-stdin or --generate")
	}
	ask := *a // LEAT_PASSWORD is that of the one who asks, not of the new user
	ask.env = func(string) string { return "" }
	if password, err = ask.password("new password of " + name + ": "); err != nil {
		return "", false, err
	}
	again, err := ask.password("the same again: ")
	if err == nil && again != password {
		err = usageError("the two are not the same; nothing was done")
	}
	return password, false, err
}

func (c *client) user(ctx context.Context, name string) (userDocument, error) {
	var doc userDocument
	err := c.call(ctx, "GET", userPath(name), nil, &doc)
	return doc, err
}

func (a *app) userList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All users", Args: exactly(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			rows, err := c.collection(cmd.Context(), "/v1/users", "users")
			if err != nil {
				return err
			}
			if a.output != "json" {
				for _, r := range rows {
					r["grants"], r["quota"] = grantsText(r["grants"]), quotaText(r["quota"])
				}
			}
			return a.list(rows, []string{"name", "grants", "quota"})
		},
	}
}

// grantsText is a list of grants on one line.
func grantsText(v any) string {
	b, err := json.Marshal(v)
	var grants []grant
	if err != nil || json.Unmarshal(b, &grants) != nil {
		return cell(v)
	}
	var parts []string
	for _, g := range grants {
		parts = append(parts, g.String())
	}
	return strings.Join(parts, ", ")
}

// quotaText is a quota on one line.
func quotaText(v any) string {
	b, err := json.Marshal(v)
	var q *quota
	if err != nil || json.Unmarshal(b, &q) != nil {
		return cell(v)
	}
	return q.String()
}

func (a *app) userDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "One user and its grants", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			doc, err := c.user(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(map[string]any{"name": args[0], "grants": doc.Grants, "quota": doc.Quota, "access_keys": doc.AccessKeys})
			}
			var rows []map[string]any
			for _, g := range doc.Grants {
				rows = append(rows, map[string]any{"action": g.Action, "kind": g.Kind, "pattern": g.Pattern})
			}
			return a.list(rows, []string{"action", "kind", "pattern"})
		},
	}
}

func (a *app) userDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a user", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("user", args[0], yes); err != nil {
				return err
			}
			return c.call(cmd.Context(), "DELETE", userPath(args[0]), nil, nil)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// userGrant adds a grant, or takes one away.
func (a *app) userGrant(give bool) *cobra.Command {
	use, short := "grant", "Let a user do something"
	if !give {
		use, short = "revoke", "Take a grant away"
	}
	return &cobra.Command{
		Use: use + " NAME ACTION KIND PATTERN", Short: short, Args: exactly(4),
		Example: "  leat user " + use + " shop write stream 'orders.*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := parseGrant(args[1:])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			doc, err := c.user(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			at := slices.IndexFunc(doc.Grants, func(x grant) bool { x.Label = ""; return x == g })
			switch {
			case give && at < 0:
				doc.Grants = append(doc.Grants, g)
			case !give && at >= 0:
				doc.Grants = slices.Delete(doc.Grants, at, at+1)
			case !give:
				return advised{fmt.Errorf("%s has no grant %q", args[0], g), "leat user describe " + args[0]}
			}
			doc.Password = ""
			return c.call(cmd.Context(), "PUT", userPath(args[0]), doc, nil)
		},
	}
}

// userQuota says how much a user may append.
func (a *app) userQuota() *cobra.Command {
	var q quota
	var usual bool
	cmd := &cobra.Command{
		Use: "quota NAME", Short: "Show or set how much a user may append a second", Args: exactly(1),
		Long:    "Show how much a user may append a second, or set it. 0 is no limit; --default goes back to the node's default for principals.",
		Example: "  leat user quota shop --events-per-second 1000 --bytes-per-second 1000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			doc, err := c.user(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			events, bytes := cmd.Flags().Changed("events-per-second"), cmd.Flags().Changed("bytes-per-second")
			switch {
			case usual && (events || bytes):
				return usageError("--default goes without figures")
			case usual:
				doc.Quota = nil
			case events || bytes:
				had := quota{}
				if doc.Quota != nil {
					had = *doc.Quota
				}
				if events {
					had.Events = q.Events
				}
				if bytes {
					had.Bytes = q.Bytes
				}
				doc.Quota = &had
			}
			if usual || events || bytes {
				if err := c.call(cmd.Context(), "PUT", userPath(args[0]), doc, nil); err != nil {
					return err
				}
			}
			if a.output == "json" {
				return a.json(map[string]any{"name": args[0], "quota": doc.Quota})
			}
			return a.list([]map[string]any{{"name": args[0], "quota": doc.Quota.String()}}, []string{"name", "quota"})
		},
	}
	cmd.Flags().Int64Var(&q.Events, "events-per-second", 0, "events a second; 0 is no limit")
	cmd.Flags().Int64Var(&q.Bytes, "bytes-per-second", 0, "bytes a second; 0 is no limit")
	cmd.Flags().BoolVar(&usual, "default", false, "what the node gives everybody")
	return cmd
}

func parseGrant(words []string) (grant, error) {
	if len(words) != 3 {
		return grant{}, usageError("a grant is ACTION KIND PATTERN, like: write stream orders.*")
	}
	return grant{Action: words[0], Kind: words[1], Pattern: words[2]}, nil
}
