package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"leat/broker"
	"leat/node"
	osfs "leat/storage/vfs/os"
)

// errNeedsHand ends doctor with exit code 1 after its report has been printed.
var errNeedsHand = errors.New("something needs a hand")

func (a *app) doctorCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "doctor", Short: "How a node is doing, and what to do about it", Args: exactly(0),
		Long: "Say what uses the disk, what holds the journals, what is slow and what has failed, and for each finding the next command to type. With --data it looks at a data\n" +
			"directory whose node is stopped. Exit code 1 means that something needs a hand.",
		Example: "  leat doctor\n  leat doctor --data ./data -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var d broker.Diagnosis
			if data != "" {
				var err error
				if d, err = node.Diagnose(osfs.New(), filepath.ToSlash(data), node.DefaultConfig(nil).DiskReserveBytes); err != nil {
					return err
				}
			} else {
				c, err := a.client()
				if err != nil {
					return err
				}
				if err := c.call(cmd.Context(), "GET", "/v1/doctor", nil, &d); err != nil {
					if unreachable(err) {
						return advised{err, "of a stopped node: leat doctor --data DIR; else --url or LEAT_URL says where it is"}
					}
					return err
				}
			}
			if err := a.showDiagnosis(&d); err != nil {
				return err
			}
			if d.NeedsHand() {
				return advised{errNeedsHand, first(worst(&d), "see above")}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "look at this data directory instead of asking a node")
	return cmd
}

// worst is the next command of the first finding.
func worst(d *broker.Diagnosis) string {
	if len(d.Findings) == 0 {
		return ""
	}
	return d.Findings[0].Next
}

var diagnosisColumns = []string{"about", "what", "value", "next"}

func (a *app) showDiagnosis(d *broker.Diagnosis) error {
	if a.output == "json" {
		return a.json(d)
	}
	var rows []map[string]any
	add := func(about, what, next, format string, args ...any) {
		rows = append(rows, map[string]any{"about": about, "what": what, "value": fmt.Sprintf(format, args...), "next": next})
	}
	for _, f := range d.Findings {
		add(string(f.Severity), f.What, f.Next, "")
	}
	if len(d.Findings) == 0 {
		add("well", "nothing needs to be done", "", "")
	}
	if d.Format > 0 {
		add("node", "format", "", "%d of %d", d.Format, d.FormatNewest)
	}
	if d.Version != "" {
		add("node", "version", "", "%s", d.Version)
	}
	for _, u := range d.Disk {
		what := u.Part
		switch {
		case u.Shard >= 0:
			what = fmt.Sprintf("shard %d: %s", u.Shard, u.Part)
		case u.Bytes < 1<<20:
			continue // the directory's own small files; -o json has them
		}
		add("disk", what, "", "%s in %d files", size(u.Bytes), u.Files)
	}
	if d.FreeBytes >= 0 {
		add("disk", "free", "", "%s, of them %s in reserve", size(d.FreeBytes), size(d.ReserveBytes))
	}
	for _, s := range d.Shards {
		if s.JournalBytes > 0 {
			add("journal", fmt.Sprintf("shard %d: bytes in frames", s.Shard), "", "%s", size(s.JournalBytes))
		}
	}
	for _, h := range d.Holders {
		add("journal", fmt.Sprintf("shard %d: needed by %s", h.Shard, h.Name), "", "after frame %d, %d behind", h.Seq, h.Behind)
	}
	for _, s := range d.Stages {
		add("stage", s.Stage, "", "%d frames, p50 ≤ %.3g ms, p99 ≤ %.3g ms", s.Count, s.P50, s.P99)
	}
	if m := d.Memory; m != nil {
		add("memory", "requests in flight", "", "%s of %s", size(m.Reserved), size(m.Max))
	}
	for _, j := range d.Jobs {
		add("work", j.Name, "", "%s since %s, %d times failed", first(j.Error, "well"), j.Since.UTC().Format(time.RFC3339), j.Failed)
	}
	return a.list(rows, diagnosisColumns)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}
