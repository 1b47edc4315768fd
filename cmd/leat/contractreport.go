package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"leat/contract/coupling"
)

func (a *app) contractCoupling() *cobra.Command {
	var quiet string
	cmd := &cobra.Command{
		Use: "coupling", Short: "How services hang together, from what they were seen to do", Args: exactly(0),
		Long: "Count what somebody has to know of others: with a contract each producer and consumer of a type knows the contract, without one each consumer knows\n" +
			"each producer. And say what is worth a look: types that nobody produces any more, old versions, services that ask and answer, rings.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			query := ""
			if quiet != "" {
				query = "?" + url.Values{"quiet": {quiet}}.Encode()
			}
			var raw json.RawMessage
			if err := c.call(cmd.Context(), "GET", "/v1/contracts/coupling"+query, nil, &raw); err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(raw)
			}
			var r coupling.Report
			if err := json.Unmarshal(raw, &r); err != nil {
				return err
			}
			return a.showCoupling(&r)
		},
	}
	cmd.Flags().StringVar(&quiet, "quiet", "", "who was not seen for so long counts as gone (default 168h)")
	return cmd
}

func (a *app) showCoupling(r *coupling.Report) error {
	_, err := fmt.Fprintf(a.out, "%s, %s of events: %s through contracts, %d without one; %s of services\n\n",
		counted(r.Services, "service", "services"), counted(r.Types, "type", "types"), counted(r.ContractEdges, "edge", "edges"), r.DirectEdges, counted(r.Pairs, "pair", "pairs"))
	if err != nil {
		return err
	}
	rows := []map[string]any{}
	for _, t := range r.ByType {
		rows = append(rows, map[string]any{
			"type": t.Type, "contract": t.Contract, "producers": strings.Join(t.Producers, ", "), "consumers": strings.Join(t.Consumers, ", "), "edges": t.Edges, "pairs": t.Pairs,
		})
	}
	if err := a.list(rows, []string{"type", "contract", "producers", "consumers", "edges", "pairs"}); err != nil {
		return err
	}
	for _, f := range r.Findings {
		what := f.Kind
		if f.Type != "" {
			what += " " + f.Type
		}
		if _, err := fmt.Fprintf(a.out, "\n%s (%s): %s\n  %s\n", what, strings.Join(f.Services, ", "), f.Why, f.Do); err != nil {
			return err
		}
	}
	if r.LeftOut > 0 {
		_, err = fmt.Fprintf(a.out, "\n%d more\n", r.LeftOut)
	}
	return err
}

func (a *app) contractDocument() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "asyncapi", Short: "Streams, types and who uses them as an AsyncAPI 3.0 document", Args: exactly(0),
		Example: "  leat contract asyncapi --out asyncapi.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := c.call(cmd.Context(), "GET", "/v1/contracts/asyncapi", nil, &raw); err != nil {
				return err
			}
			if out == "" {
				_, err = fmt.Fprintln(a.out, strings.TrimSpace(string(raw)))
				return err
			}
			return os.WriteFile(out, append([]byte(strings.TrimSpace(string(raw))), '\n'), 0o644) //nolint:forbidigo,gosec // a file of the user's, to be read by others
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (default standard output)")
	return cmd
}
