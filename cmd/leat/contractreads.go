package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

const readsPath = "/v1/contracts/reads"

// contractReads are declarations of what consumers read.
func (a *app) contractReads() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reads", Short: "What consumers declare that they read",
		Long: "A consumer declares which fields of a type of event it reads. `leat contract check` then says whom a change breaks.",
	}
	var service, kind string
	var fields []string
	put := &cobra.Command{
		Use: "put", Short: "Declare what a service reads, in place of what it declared before", Args: exactly(0),
		Example: "  leat contract reads put --service billing --type com.shop.order.placed --fields id,total,customer.mail",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "PUT", readsPath, map[string]any{"service": service, "type": kind, "fields": fields}, &got); err != nil {
				return err
			}
			delete(got, "ts")
			return a.describe(got, []string{"service", "type", "fields", "by"})
		},
	}
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All declarations you may see", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got struct {
				Reads []map[string]any `json:"reads"`
			}
			if err := c.call(cmd.Context(), "GET", readsPath, nil, &got); err != nil {
				return err
			}
			if a.output != "json" {
				plainLists(got.Reads)
				for _, r := range got.Reads {
					delete(r, "ts")
				}
			}
			return a.list(got.Reads, []string{"service", "type", "fields", "by"})
		},
	}
	remove := &cobra.Command{
		Use: "delete", Short: "Take a declaration away", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), "DELETE", readsPath+"?"+url.Values{"service": {service}, "type": {kind}}.Encode(), nil, nil)
		},
	}
	for _, x := range []*cobra.Command{put, remove} {
		x.Flags().StringVar(&service, "service", "", "service, subscription or group, as the catalogue calls it")
		x.Flags().StringVar(&kind, "type", "", "type of events as the catalogue calls it, or a subject")
		_ = x.MarkFlagRequired("service") // is always there
		_ = x.MarkFlagRequired("type")    // likewise
	}
	put.Flags().StringSliceVar(&fields, "fields", nil, "paths as customer.mail; one stands for what is below it too, * for all")
	_ = put.MarkFlagRequired("fields") // likewise
	cmd.AddCommand(put, list, remove)
	return cmd
}

// checkReaders says whom a schema breaks as the next version of a subject.
func (a *app) checkReaders(ctx context.Context, subject, kind, text string) (wrong int, err error) {
	c, err := a.client()
	if err != nil {
		return 0, err
	}
	var got struct {
		Affected []struct {
			Service string `json:"service"`
			Type    string `json:"type"`
			Verdict string `json:"verdict"`
			Breaks  []struct{ Field, Why, Hint string }
			Reads   []string `json:"reads"`
		} `json:"affected"`
	}
	if err := c.call(ctx, "POST", "/v1/contracts/affected", map[string]any{"subject": subject, "schema": text, "schemaType": kind}, &got); err != nil {
		return 0, err
	}
	for _, x := range got.Affected {
		line := fmt.Sprintf("%s (%s): %s", x.Service, x.Type, x.Verdict)
		if len(x.Reads) > 0 && len(x.Breaks) == 0 {
			line += "; it reads " + strings.Join(x.Reads, ", ")
		}
		if _, err := fmt.Fprintln(a.out, line); err != nil {
			return wrong, err
		}
		for _, b := range x.Breaks {
			wrong++
			text := "  " + b.Field + ": " + b.Why
			if b.Hint != "" {
				text += "; " + b.Hint
			}
			if _, err := fmt.Fprintln(a.out, text); err != nil {
				return wrong, err
			}
		}
	}
	if len(got.Affected) == 0 {
		_, err = fmt.Fprintf(a.out, "nobody is known to read %s\n", subject)
	}
	return wrong, err
}
