package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

var catalogueColumns = []string{"type", "role", "service", "stream", "protocol", "client", "via", "contract", "version", "tags", "records", "bytes", "first_seen", "last_seen"}

// clientShown is how much of a client's name a table shows.
const clientShown = 40

// catalogueFlags narrow what is told of the catalogue.
type catalogueFlags struct{ kind, stream, service, role, within string }

func (f *catalogueFlags) add(a *app, cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.kind, "type", "", "type of events; * stands for anything but a slash")
	fl.StringVar(&f.stream, "stream", "", "stream, likewise")
	fl.StringVar(&f.service, "service", "", "who, likewise")
	fl.StringVar(&f.role, "role", "", "produces or consumes")
	fl.StringVar(&f.within, "within", "", "seen at most so long ago, as 24h")
	_ = cmd.RegisterFlagCompletionFunc("stream", a.completeStreams)
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"produces", "consumes"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *catalogueFlags) query() string {
	q := url.Values{}
	for name, v := range map[string]string{"type": f.kind, "stream": f.stream, "service": f.service, "role": f.role, "within": f.within} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func (a *app) contractCatalogue() *cobra.Command {
	var f catalogueFlags
	cmd := &cobra.Command{
		Use: "catalogue", Aliases: []string{"catalog"}, Short: "Who was seen to produce and consume which type of event", Args: exactly(0),
		Long: "Who produces and who consumes which type of event, in which version of its schema: seen in real traffic over every protocol. Of a party that did\n" +
			"not log in it is the name it calls itself by.",
		Example: "  leat contract catalogue\n  leat contract catalogue --type 'com.shop.order.*' --role consumes --within 24h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got struct {
				Sightings []map[string]any `json:"sightings"`
				Forgotten int64            `json:"forgotten"`
			}
			if err := c.call(cmd.Context(), "GET", "/v1/contracts/catalogue"+f.query(), nil, &got); err != nil {
				return err
			}
			if a.output != "json" {
				plainLists(got.Sightings)
				for _, r := range got.Sightings {
					if s, ok := r["client"].(string); ok && len(s) > clientShown {
						r["client"] = strings.ToValidUTF8(s[:clientShown], "") + "…"
					}
					for _, known := range []string{"principal", "latest_version", "schema_id", "version_from", "subject"} { // of the others, or too long for a table
						if v := r["latest_version"]; known == "latest_version" && v != nil && r["version"] != nil && fmt.Sprint(v) != fmt.Sprint(r["version"]) {
							r["version"] = fmt.Sprintf("%v of %v", r["version"], v)
						}
						delete(r, known)
					}
				}
			}
			if err := a.list(got.Sightings, catalogueColumns); err != nil || got.Forgotten == 0 {
				return err
			}
			_, err = fmt.Fprintf(a.err, "%d uses that were seen longest ago have made room for others\n", got.Forgotten)
			return err
		},
	}
	f.add(a, cmd)
	return cmd
}
