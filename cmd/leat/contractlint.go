package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leat/contract/lint"
)

var lintColumns = []string{"subject", "severity", "rule", "path", "why", "do"}

// advice is what the node says of a schema, or what is found here of a file.
type advice struct {
	Subject string `json:"subject"`
	Version int    `json:"version,omitempty"`
	lint.Report
}

func (a *app) contractLint() *cobra.Command {
	var file formatFlags
	var all, rules bool
	cmd := &cobra.Command{
		Use: "lint [NAME]", Short: "Advice about the schemas of events", Args: cobra.MaximumNArgs(1),
		Long: "Look at a schema as a reader of the events would: do they say what they are about, when it happened and what caused it, and enough that nobody has to ask\n" +
			"back? NAME is a contract or a subject; --schema is a file, for which no node is needed; --all are all that are registered.\n\n" +
			"A rule is switched off in the metadata of the schema: the property leat.lint.off.RULE says why. The exit status is 1 where there is an error.",
		Example: "  leat contract lint orders\n  leat contract lint --schema order.avsc\n  leat contract lint --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			if rules {
				return a.showRules()
			}
			if n := len(args); n+map[bool]int{true: 1}[file.file != ""]+map[bool]int{true: 1}[all] != 1 {
				return usageError("say what to look at: a NAME, --schema FILE, or --all")
			}
			if file.file != "" {
				return a.lintFile(&file)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			query := ""
			if !all {
				query = "?" + url.Values{"name": {args[0]}}.Encode()
			}
			var got struct {
				Schemas []advice `json:"schemas"`
			}
			if err := c.call(cmd.Context(), "GET", "/v1/contracts/lint"+query, nil, &got); err != nil {
				return err
			}
			return a.showAdvice(got.Schemas)
		},
	}
	file.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all subjects")
	cmd.Flags().BoolVar(&rules, "rules", false, "print the rules")
	return cmd
}

func (a *app) showRules() error {
	rows := []map[string]any{}
	for _, r := range lint.Rules() {
		rows = append(rows, map[string]any{"rule": r.Name, "severity": string(r.Severity), "what": r.What, "do": r.Do})
	}
	return a.list(rows, []string{"rule", "severity", "what", "do"})
}

func (a *app) lintFile(f *formatFlags) error {
	kind, text, err := f.read()
	if err != nil {
		return err
	}
	s, err := contractFormats[kind].Parse(text, nil)
	if err != nil {
		return err
	}
	return a.showAdvice([]advice{{Subject: f.file, Report: lint.Check(lint.Input{Schema: s, Format: kind})}})
}

func (a *app) showAdvice(all []advice) error {
	if a.output == "json" {
		if err := a.json(all); err != nil {
			return err
		}
	}
	rows, errs := []map[string]any{}, 0
	for i := range all {
		for _, f := range all[i].Findings {
			rows = append(rows, map[string]any{"subject": all[i].Subject, "severity": string(f.Severity), "rule": f.Rule, "path": f.Path, "why": f.Why, "do": f.Do})
			if f.Severity == lint.Error {
				errs++
			}
		}
	}
	if a.output != "json" {
		if len(rows) > 0 {
			if err := a.list(rows, lintColumns); err != nil {
				return err
			}
		}
		for i := range all {
			for _, off := range all[i].Off {
				if _, err := fmt.Fprintf(a.err, "%s: the rule %s is switched off: %s\n", all[i].Subject, off.Rule, off.Reason); err != nil {
					return err
				}
			}
		}
	}
	if errs > 0 {
		return errors.New(counted(errs, "error", "errors"))
	}
	if len(rows) == 0 && a.output != "json" {
		_, err := fmt.Fprintln(a.err, "nothing to say")
		return err
	}
	return nil
}

func (a *app) contractTags() *cobra.Command {
	return &cobra.Command{
		Use: "tags [SUBJECT]", Short: "Fields that have tags, as PII, and who is handed them", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			query := ""
			if len(args) > 0 {
				query = "?" + url.Values{"subject": {args[0]}}.Encode()
			}
			var got struct {
				Fields []map[string]any `json:"fields"`
			}
			if err := c.call(cmd.Context(), "GET", "/v1/contracts/tags"+query, nil, &got); err != nil {
				return err
			}
			if a.output != "json" {
				plainLists(got.Fields)
			}
			return a.list(got.Fields, []string{"subject", "version", "field", "type", "tags", "consumers", "declared"})
		},
	}
}

// plainLists writes lists of texts with commas between.
func plainLists(rows []map[string]any) {
	for _, r := range rows {
		for name, v := range r {
			list, ok := v.([]any)
			if !ok {
				continue
			}
			var texts []string
			for _, x := range list {
				texts = append(texts, fmt.Sprint(x))
			}
			if !slices.ContainsFunc(list, func(x any) bool { _, is := x.(string); return !is }) {
				r[name] = strings.Join(texts, ", ")
			}
		}
	}
}
