package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

var streamColumns = []string{"name", "namespace", "partitions", "keys", "events", "bytes", "created"}

var deletedColumns = []string{"name", "id", "deleted", "until", "by", "protocol"}

func (a *app) streamCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "stream", Short: "Create, change, describe, truncate, delete, export streams", Aliases: []string{"streams"}}
	cmd.AddCommand(a.streamCreate(), a.streamList(), a.streamDescribe(), a.streamDelete(), a.streamUndelete(), a.streamTruncate(), a.streamExport(), a.streamImport(), a.streamVerify())
	return cmd
}

func (a *app) streamCreate() *cobra.Command {
	var partitions int
	var keys string
	var set []string
	var keep keepFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a stream, or change one that is there", Args: exactly(1),
		Example: "  leat stream create orders --partitions 4\n  leat stream create accounts --keys versioned\n  leat stream create clicks --retention 7d",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			body := map[string]any{}
			if cmd.Flags().Changed("partitions") {
				body["partitions"] = partitions
			}
			if keys != "" {
				body["keys"] = keys
			}
			if err := keep.put(cmd, body); err != nil {
				return err
			}
			for _, s := range set {
				name, value, ok := strings.Cut(s, "=")
				if !ok {
					return usageError("--set %s: it looks like NAME=VALUE", s)
				}
				body[name] = literal(value)
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "PUT", streamPath(args[0]), body, &got); err != nil {
				return err
			}
			if got == nil {
				got = map[string]any{"name": args[0]}
			}
			return a.describe(got, streamColumns)
		},
	}
	cmd.Flags().IntVar(&partitions, "partitions", 1, "how many partitions")
	cmd.Flags().StringVar(&keys, "keys", "", "what is kept by key: off, latest, history or versioned (default history)")
	keep.register(cmd)
	cmd.Flags().StringArrayVar(&set, "set", nil, "NAME=VALUE: any other member of the stream's document; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("keys", cobra.FixedCompletions([]string{"off", "latest", "history", "versioned"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// literal reads true, false and whole numbers as such and everything else as text.
func literal(s string) any {
	switch s {
	case "true":
		return true
	case "false":
		return false
	}
	if n, ok := wholeNumber(s); ok {
		return n
	}
	return s
}

func (a *app) streamList() *cobra.Command {
	var deleted bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All streams you may see", Args: exactly(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if deleted {
				rows, err := c.collection(cmd.Context(), "/v1/trash", "trash")
				if err != nil {
					return err
				}
				return a.list(rows, deletedColumns)
			}
			rows, err := c.collection(cmd.Context(), "/v1/streams", "streams")
			if err != nil {
				return err
			}
			return a.list(rows, streamColumns)
		},
	}
	cmd.Flags().BoolVar(&deleted, "deleted", false, "those that were deleted and can be brought back")
	return cmd
}

func (a *app) streamDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "One stream in full", Args: exactly(1), ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", streamPath(args[0]), nil, &got); err != nil {
				return err
			}
			return a.describe(got, streamColumns)
		},
	}
}

func (a *app) streamDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a stream; for a while undelete brings it back", Args: exactly(1), ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			text := fmt.Sprintf("This deletes stream %s; for a while, a day unless the node says otherwise, `leat stream undelete %s` brings it back.", args[0], args[0])
			if err := a.confirmThat(text, "deleting stream "+args[0], args[0], yes); err != nil {
				return err
			}
			err = c.call(cmd.Context(), "DELETE", streamPath(args[0]), nil, nil)
			var p *problem
			if errors.As(err, &p) && strings.Contains(p.Detail, "protected") {
				return advised{err, "leat stream create " + args[0] + " --protected=false, then delete it"}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// completeStreams offers the names of streams. Where no node answers it offers nothing, in silence: it runs while somebody types.
func (a *app) completeStreams(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	rows, err := c.collection(cmd.Context(), "/v1/streams", "streams")
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
