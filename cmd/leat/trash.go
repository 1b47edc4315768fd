package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

var partitionColumns = []string{"partition", "start", "end"}

func (a *app) streamTruncate() *cobra.Command {
	var before string
	var partition int
	var yes bool
	cmd := &cobra.Command{
		Use: "truncate NAME --before PLACE", Short: "Remove the events of a stream before a place", Args: exactly(1), ValidArgsFunction: a.completeStreams,
		Long: "Remove the events of a stream before a place, for good. PLACE is offset:N (of one partition), a time as in RFC 3339, a time before now\n" +
			"such as -12h or -7d (of the append), latest (everything there is now), or a position (what was read up to there).",
		Example: "  leat stream truncate orders --before -30d\n  leat stream truncate orders --before offset:5000 --partition 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := placeBefore(before, clock.Now())
			if err != nil {
				return err
			}
			body := map[string]any{"before": place}
			what := "the events of all partitions"
			if cmd.Flags().Changed("partition") {
				body["partition"] = partition
				what = fmt.Sprintf("the events of partition %d", partition)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirmThat(fmt.Sprintf("This removes %s of stream %s before %s for good.", what, args[0], before), "truncating stream "+args[0], args[0], yes); err != nil {
				return err
			}
			var got struct {
				Partitions []map[string]any `json:"partitions"`
			}
			err = c.call(cmd.Context(), "POST", streamPath(args[0])+"/truncate", body, &got)
			var p *problem
			if errors.As(err, &p) && p.Pointer == "/before/position" {
				return advised{err, "--before takes offset:N, a time as in RFC 3339, a time before now such as -7d, latest, or a position"}
			}
			if err != nil {
				return err
			}
			return a.list(got.Partitions, partitionColumns)
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "offset:N, a time, -7d, latest or a position")
	cmd.Flags().IntVar(&partition, "partition", 0, "only this partition")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// placeBefore is what --before says, as the API takes it.
func placeBefore(s string, now time.Time) (map[string]any, error) {
	if s == "latest" {
		return map[string]any{"latest": true}, nil
	}
	if digits, ok := strings.CutPrefix(s, "offset:"); ok {
		n, ok := wholeNumber(digits)
		if !ok || n < 0 {
			return nil, usageError("--before %s: what follows offset: is a number from 0 on", s)
		}
		return map[string]any{"offset": n}, nil
	}
	if age, ok := strings.CutPrefix(s, "-"); ok {
		d, err := parseAge(age)
		if err != nil {
			return nil, usageError("--before %s: a time before now looks like -90s, -12h or -7d", s)
		}
		return map[string]any{"time": now.Add(-d).UTC().Format(time.RFC3339Nano)}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return map[string]any{"time": t.UTC().Format(time.RFC3339Nano)}, nil
	}
	if strings.ContainsAny(s, ": ") || s == "" {
		return nil, usageError("--before %q: it is offset:N, a time as in RFC 3339, a time before now such as -7d, latest, or a position", s)
	}
	return map[string]any{"position": s}, nil
}

// parseAge reads a duration that may begin with days, such as 7d or 1d12h.
func parseAge(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	days := time.Duration(0)
	if head, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(head, 10, 16)
		if err != nil {
			return 0, err
		}
		if days = time.Duration(n) * day; rest == "" {
			return days, nil
		}
		s = rest
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	return days + d, nil
}

func (a *app) streamUndelete() *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use: "undelete NAME", Short: "Bring a deleted stream back, with all of its events", Args: exactly(1),
		Example: "  leat stream list --deleted\n  leat stream undelete orders --as orders-restored",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			body := map[string]any{}
			if as != "" {
				body["as"] = as
			}
			var got map[string]any
			err = c.call(cmd.Context(), "POST", streamPath(args[0])+"/undelete", body, &got)
			var p *problem
			switch {
			case errors.As(err, &p) && p.Status == http.StatusNotFound:
				return advised{err, "leat stream list --deleted shows what can be brought back"}
			case errors.As(err, &p) && p.Kind == "exists":
				return advised{err, "leat stream undelete " + args[0] + " --as NEW"}
			case err != nil:
				return err
			}
			return a.describe(got, streamColumns)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "another name, where its own is taken")
	return cmd
}

// keepFlags are the flags of how long a stream keeps its events.
type keepFlags struct {
	retention, bytes     string
	immutable, protected bool
}

func (k *keepFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.retention, "retention", "", "how long events are kept: 12h, 30d, forever, or default")
	cmd.Flags().StringVar(&k.bytes, "retention-bytes", "", "how many bytes of the newest events of a partition are kept at least: 10GiB, all")
	cmd.Flags().BoolVar(&k.immutable, "immutable", false, "nothing is ever removed, and this is never switched off")
	cmd.Flags().BoolVar(&k.protected, "protected", false, "the stream cannot be deleted until --protected=false")
}

// put writes what was given into a stream's document.
func (k *keepFlags) put(cmd *cobra.Command, body map[string]any) error {
	if k.retention != "" {
		ms := int64(-1)
		switch k.retention {
		case "forever":
		case "default":
			ms = 0
		default:
			d, err := parseAge(k.retention)
			if err != nil || d < time.Millisecond {
				return usageError("--retention %s: it looks like 12h or 30d, or is forever or default", k.retention)
			}
			ms = d.Milliseconds()
		}
		body["retention_ms"] = ms
	}
	if k.bytes != "" {
		n, err := parseSize(k.bytes)
		if err != nil {
			return err
		}
		body["retention_bytes"] = n
	}
	if cmd.Flags().Changed("immutable") {
		body["immutable"] = k.immutable
	}
	if cmd.Flags().Changed("protected") {
		body["protected"] = k.protected
	}
	return nil
}

// parseSize reads a number of bytes, with a unit or without.
func parseSize(s string) (int64, error) {
	if s == "all" {
		return -1, nil
	}
	digits, unit := s, int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if d, ok := strings.CutSuffix(s, name); ok {
			digits, unit = d, 1<<(10*(i+1))
		}
	}
	n, ok := wholeNumber(digits)
	if !ok || n < 1 || n > (1<<62)/unit {
		return 0, usageError("--retention-bytes %s: it looks like 500MiB or 10GiB, or is all", s)
	}
	return n * unit, nil
}
