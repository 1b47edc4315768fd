package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

var positionColumns = []string{"stream", "partition", "offset", "lag", "start", "end", "committed", "metadata"}

func (a *app) subCancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel NAME REF... | -", Short: "Events that nobody has yet are not handed over", Args: between(2, settleBatch+1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Settle events that nobody has: such as are delayed, wait for another attempt, or were not asked for yet. A - reads refs from standard input, one a\n" +
			"line or as JSON objects with a \"ref\". Exit code 6 says that some were lost: somebody has them.",
		Example: "  leat sub cancel mails orders/0/7",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var t tally
			var refs []string
			flush := func() error {
				if len(refs) == 0 {
					return nil
				}
				var got struct {
					Outcomes []struct{ Outcome string }
				}
				if err := c.call(cmd.Context(), "POST", subPath(args[0])+"/cancel", map[string]any{"refs": refs}, &got); err != nil {
					return err
				}
				outcomes := make([]string, len(got.Outcomes))
				for i := range got.Outcomes {
					outcomes[i] = got.Outcomes[i].Outcome
				}
				t.what = "refs"
				t.add(refs[:min(len(refs), len(outcomes))], outcomes)
				refs = refs[:0]
				return nil
			}
			err = a.eachDeadRef(args[1:], func(ref string) error {
				if strings.Count(ref, "/") != 2 {
					return usageError("%q is no ref: it looks like orders/0/1234", ref)
				}
				if refs = append(refs, ref); len(refs) < settleBatch {
					return nil
				}
				return flush()
			})
			if err == nil {
				err = flush()
			}
			if t.count > 0 {
				if err := a.list(t.rows(), []string{"outcome", "refs"}); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			return t.problem()
		},
	}
}

func (a *app) subPositions() *cobra.Command {
	var streams []string
	cmd := &cobra.Command{
		Use: "positions NAME", Short: "The positions that a subscription of kind cursor keeps", Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		Long: "The positions that a subscription of kind cursor keeps: the offset that is to be read next of each partition, and how many events lie between it and the end.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			path := subPath(args[0]) + "/positions"
			if len(streams) > 0 {
				path += "?" + url.Values{"stream": streams}.Encode()
			}
			var got struct{ Positions []map[string]any }
			if err := c.call(cmd.Context(), "GET", path, nil, &got); err != nil {
				return err
			}
			return a.list(got.Positions, positionColumns)
		},
	}
	cmd.Flags().StringSliceVar(&streams, "stream", nil, "only of this stream; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("stream", a.completeStreams)
	return cmd
}

func (a *app) subCommit() *cobra.Command {
	var metadata string
	cmd := &cobra.Command{
		Use: "commit NAME STREAM/PARTITION/OFFSET...", Short: "Keep positions in a subscription of kind cursor", Args: between(2, settleBatch+1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Keep positions in a subscription of kind cursor: OFFSET is that of the event to be read next. All of them are kept, or none. They may go back.",
		Example: "  leat sub create report --kind cursor --stream orders --from earliest\n" +
			"  leat sub commit report orders/0/3",
		RunE: func(cmd *cobra.Command, args []string) error {
			var ps []map[string]any
			for _, ref := range args[1:] {
				stream, rest, _ := strings.Cut(ref, "/")
				partition, offset, _ := strings.Cut(rest, "/")
				p, err := strconv.ParseInt(partition, 10, 32)
				o, err2 := strconv.ParseInt(offset, 10, 64)
				if stream == "" || err != nil || err2 != nil || p < 0 || o < 0 {
					return usageError("%s is no place: it looks like orders/0/1234, the event that is to be read next", ref)
				}
				one := map[string]any{"stream": stream, "partition": p, "offset": o}
				if metadata != "" {
					one["metadata"] = metadata
				}
				ps = append(ps, one)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), "POST", subPath(args[0])+"/commit", map[string]any{"positions": ps}, nil)
		},
	}
	cmd.Flags().StringVar(&metadata, "metadata", "", "text that is kept with each of them")
	return cmd
}
