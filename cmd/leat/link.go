package main

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leat/link"
)

var (
	linkColumns    = []string{"name", "from", "mode", "state", "topics", "groups", "lag", "copied", "lost", "why"}
	linkDescribed  = []string{"name", "namespace", "from", "topics", "groups", "sasl", "mode", "by", "created", "changed", "state", "why", "since", "lag", "copied", "bytes", "lost", "stopped"}
	linkPartitions = []string{"topic", "partition", "next", "end", "lag"}
	linkMembers    = []string{"from", "topics", "groups", "sasl", "tls", "mode"}
)

func linkPath(name string) string { return "/v1/links/" + url.PathEscape(name) }

// linkFlags are what a link can be told.
type linkFlags struct {
	name, user, mechanism, ca, serverName string
	topics, groups                        []string
	tls, fromStdin                        bool
}

func (a *app) linkCommand() *cobra.Command {
	f := linkFlags{}
	cmd := &cobra.Command{
		Use: "link [FROM]", Short: "Copy topics and groups of another Kafka cluster, until you switch", Aliases: []string{"links"}, Args: exactly(1),
		Long: "Copy the topics of a Kafka cluster into streams of the same names, with their offsets, and what groups have committed. It goes on by itself,\n" +
			"also over restarts, until `leat link switch`. FROM is kafka://HOST:PORT, with more hosts behind commas.\n\n" +
			"The password is asked for; scripts use LEAT_LINK_PASSWORD or --password-stdin.",
		Example: "  leat link kafka://old:9092\n" +
			"  leat link kafka://b1:9093,b2:9093 --name old --topics 'orders*,payments' --tls --user copy --mechanism SCRAM-SHA-512\n" +
			"  leat link show old\n" +
			"  leat link switch old",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			body, err := f.body(a, args[0])
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "PUT", linkPath(f.name), body, &got); err != nil {
				return err
			}
			if err := a.showLink(got, false); err != nil || a.output == "json" {
				return err
			}
			_, err = fmt.Fprintf(a.err, "it copies from now on; look at it with: leat link show %s\n", f.name)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "old", "name of the link")
	fl.StringSliceVar(&f.topics, "topics", nil, "topics, * stands for any characters (default all but internal ones)")
	fl.StringSliceVar(&f.groups, "groups", nil, "groups, likewise (default all)")
	fl.StringVar(&f.user, "user", "", "user to log in as")
	fl.StringVar(&f.mechanism, "mechanism", "SCRAM-SHA-512", "how to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512")
	fl.BoolVar(&f.fromStdin, "password-stdin", false, "read the password from the first line of standard input")
	fl.BoolVar(&f.tls, "tls", false, "talk TLS")
	fl.StringVar(&f.ca, "ca", "", "file of the certificates (PEM) that the cluster's are signed with; implies --tls")
	fl.StringVar(&f.serverName, "server-name", "", "name in the cluster's certificates, when it is not the host's; implies --tls")
	_ = cmd.RegisterFlagCompletionFunc("mechanism", cobra.FixedCompletions([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(a.linkList(), a.linkShow(), a.linkMode("pause", link.ModePause, "Copy nothing for now"), a.linkMode("resume", link.ModeCopy, "Go on after a pause"),
		a.linkSwitch(), a.linkDelete())
	return cmd
}

func (f *linkFlags) body(a *app, from string) (map[string]any, error) {
	if !strings.HasPrefix(from, link.Scheme) {
		return nil, usageError("FROM is kafka://HOST:PORT, not %s", from)
	}
	body := map[string]any{"from": from}
	if len(f.topics) > 0 {
		body["topics"] = f.topics
	}
	if len(f.groups) > 0 {
		body["groups"] = f.groups
	}
	if f.tls || f.ca != "" || f.serverName != "" {
		t := map[string]any{}
		if f.ca != "" {
			pem, err := os.ReadFile(f.ca)
			if err != nil {
				return nil, err
			}
			t["ca"] = string(pem)
		}
		if f.serverName != "" {
			t["server_name"] = f.serverName
		}
		body["tls"] = t
	}
	if f.user == "" {
		return body, nil
	}
	body["sasl"] = map[string]any{"mechanism": f.mechanism, "user": f.user}
	password := a.env("LEAT_LINK_PASSWORD")
	switch {
	case f.fromStdin:
		line, err := bufio.NewReader(a.in).ReadString('\n')
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return nil, fmt.Errorf("no password on standard input: %w", err)
		}
	case password != "":
	case !a.talking:
		return nil, usageError("no password: set LEAT_LINK_PASSWORD or use --password-stdin")
	default:
		ask := *a // LEAT_PASSWORD is that of the one who asks
		ask.env = func(string) string { return "" }
		var err error
		if password, err = ask.password("password of " + f.user + " there: "); err != nil {
			return nil, err
		}
	}
	body["password"] = password
	return body, nil
}

// flatLink is a link with its state beside the settings.
func flatLink(got map[string]any) map[string]any {
	row := maps.Clone(got)
	state, _ := row["state"].(map[string]any)
	delete(row, "state")
	for k, v := range state {
		switch k {
		case "topics", "groups": // how many, where the settings say which
			row["copied_"+k] = v
		default:
			row[k] = v
		}
	}
	return row
}

func (a *app) showLink(got map[string]any, inFull bool) error {
	if a.output == "json" {
		return a.json(got)
	}
	row := flatLink(got)
	parts, _ := row["partitions"].([]any)
	delete(row, "partitions")
	stopped, _ := row["stopped"].([]any)
	delete(row, "stopped")
	if err := a.describe(row, linkDescribed); err != nil || !inFull {
		return err
	}
	for title, list := range map[string][]any{"stopped": stopped, "partitions": parts} {
		rows := []map[string]any{}
		for _, p := range list {
			if r, ok := p.(map[string]any); ok {
				rows = append(rows, r)
			}
		}
		if len(rows) == 0 {
			continue
		}
		columns := linkPartitions
		if title == "stopped" {
			columns = []string{"what", "why"}
		}
		fmt.Fprintln(a.out)
		if err := a.list(rows, columns); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) linkList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All links you may see", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			rows, err := c.collection(cmd.Context(), "/v1/links", "links")
			if err != nil {
				return err
			}
			for i, r := range rows {
				if a.output == "json" {
					break
				}
				flat := flatLink(r)
				flat["topics"], flat["groups"] = flat["copied_topics"], flat["copied_groups"]
				rows[i] = map[string]any{}
				for _, column := range linkColumns {
					rows[i][column] = flat[column]
				}
			}
			return a.list(rows, linkColumns)
		},
	}
}

func (a *app) linkShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Aliases: []string{"describe"}, Short: "One link, and how far each partition is", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", linkPath(args[0]), nil, &got); err != nil {
				return err
			}
			return a.showLink(got, true)
		},
	}
}

func (a *app) linkMode(use, mode, short string) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", linkPath(args[0]), nil, &got); err != nil {
				return err
			}
			maps.DeleteFunc(got, func(k string, _ any) bool { return !slices.Contains(linkMembers, k) })
			got["mode"] = mode
			return c.call(cmd.Context(), "PUT", linkPath(args[0]), got, nil)
		},
	}
}

func (a *app) linkSwitch() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "switch NAME", Short: "What was copied stands by itself: producers and consumers go on here", Args: exactly(1),
		Long: "Stop the producers of the old cluster first. The switch waits until every partition ends here where it ends there and every group has what it\n" +
			"committed there; then the streams take appends. When something is still missing after --wait, nothing is switched, the link goes on,\n" +
			"and what is missing is said.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if t, ok := c.http.Transport.(*http.Transport); ok {
				t.ResponseHeaderTimeout = connectTimeout + wait // the answer begins when everything is copied
			}
			var got map[string]any
			if err := c.call(cmd.Context(), http.MethodPost, linkPath(args[0])+"/switch", map[string]any{"wait": wait.Milliseconds()}, &got); err != nil {
				return err
			}
			return a.showLink(got, false)
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for what is missing, 10m at most")
	return cmd
}

func (a *app) linkDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "End a link where it is; what was copied stays", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("link", args[0], yes); err != nil {
				return err
			}
			return c.call(cmd.Context(), "DELETE", linkPath(args[0]), nil, nil)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
