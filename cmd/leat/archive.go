package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"leat/broker"
	"leat/node"
)

// errArchive ends verify with exit code 1 after its report has been printed.
var errArchive = errors.New("the archive is not whole")

// archiveFlags say where an archive is.
type archiveFlags struct {
	from, config, lineage string
}

func (f *archiveFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "where the archive is: file:///path, a path, or s3://bucket/prefix?endpoint=HOST:PORT")
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file whose archive is meant, and whose keys are used")
	cmd.Flags().StringVar(&f.lineage, "lineage", "", "the first digits of a lineage; without it the newest")
}

// place is where the flags point.
func (f *archiveFlags) place() (*node.ArchivePlace, *node.Config, error) {
	cfg, err := nodeConfig(f.config, protocols())
	if err != nil {
		return nil, nil, err
	}
	from := first(f.from, cfg.Archive.URL)
	if from == "" {
		return nil, nil, usageError("say where the archive is: --from URL, or --config FILE with archive.url in it")
	}
	p, err := node.OpenArchivePlace(from, cfg.Archive.Keys)
	return p, cfg, err
}

func (a *app) archiveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "archive", Short: "How the archive is doing; checkpoints; verify; prune",
		Long: "A node whose configuration has archive.url ships all that happens to a folder or an S3-compatible store, a second or so behind, from which `leat restore`\n" +
			"makes a data directory as it was at any moment since.",
	}
	cmd.AddCommand(a.archiveStatus(), a.archiveCheckpoint(), a.archiveVerify(), a.archivePrune())
	return cmd
}

func (a *app) archiveStatus() *cobra.Command {
	var f archiveFlags
	cmd := &cobra.Command{
		Use: "status", Short: "How far a node is archived, or what an archive has", Args: exactly(0),
		Long:    "Ask a node how far it is archived and how its archive is doing. With --from or --config, list what is in the archive itself; no node is needed.",
		Example: "  leat archive status\n  leat archive status --from s3://backups/leat?endpoint=minio:9000",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.from != "" || f.config != "" {
				return a.archiveContents(cmd.Context(), &f)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			var s broker.ArchiveState
			if err := c.call(cmd.Context(), "GET", "/v1/archive", nil, &s); err != nil {
				if unreachable(err) {
					return advised{err, "without a node: leat archive status --from URL; else --url or LEAT_URL says where the node is"}
				}
				return err
			}
			return a.showArchive(&s)
		},
	}
	f.add(cmd)
	return cmd
}

var archiveColumns = []string{"shard", "state", "archived", "behind", "lag", "checkpoint", "checkpoint_at", "packs", "sent", "failures", "error"}

func (a *app) showArchive(s *broker.ArchiveState) error {
	if a.output == "json" {
		return a.json(s)
	}
	var rows []map[string]any
	for _, x := range s.Shards {
		state := "well"
		switch {
		case x.Stopped != "":
			state = "stopped"
		case x.Failing:
			state = "failing"
		case !x.Running:
			state = "starting"
		}
		row := map[string]any{
			"shard": x.Shard, "state": state, "archived": x.Archived, "behind": x.LagSeqs, "lag": (time.Duration(x.LagMS) * time.Millisecond).String(),
			"checkpoint": x.Checkpoint, "packs": x.Packs, "sent": size(x.SentBytes), "failures": x.Failures, "error": first(x.Stopped, x.CheckpointErr),
		}
		if x.Failing && row["error"] == "" {
			row["error"] = x.Error
		}
		if !x.CheckpointAt.IsZero() {
			row["checkpoint_at"] = x.CheckpointAt.UTC().Format(time.RFC3339)
		}
		rows = append(rows, row)
	}
	return a.list(rows, archiveColumns)
}

var lineageColumns = []string{"lineage", "made", "restored_from", "shard", "seq", "checkpoints", "first", "last", "problem"}

// archiveContents lists what is in an archive.
func (a *app) archiveContents(ctx context.Context, f *archiveFlags) error {
	place, _, err := f.place()
	if err != nil {
		return err
	}
	all, err := place.Lineages(ctx)
	if err != nil {
		return err
	}
	if f.lineage != "" {
		one, err := place.Lineage(ctx, f.lineage)
		if err != nil {
			return err
		}
		all = []node.ArchivedLineage{*one}
	}
	var rows []map[string]any
	for i := range all {
		shards, err := place.Inspect(ctx, &all[i])
		if err != nil {
			return err
		}
		id := &all[i].Identity
		for _, s := range shards {
			row := map[string]any{
				"lineage": all[i].Lineage.String(), "made": when(id.Made), "shard": s.Shard, "seq": s.Seq, "checkpoints": s.Checkpoints,
				"first": when(s.FirstTime), "last": when(s.LastTime), "problem": s.Problem,
			}
			if n := len(id.Past); n > 0 {
				row["restored_from"] = id.Past[n-1].Hex()
			}
			rows = append(rows, row)
		}
	}
	return a.list(rows, lineageColumns)
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// patient is a client that waits as long as it takes.
func (a *app) patient() (*client, error) {
	c, err := a.client()
	if err == nil {
		c.http.Transport.(*http.Transport).ResponseHeaderTimeout = 0
	}
	return c, err
}

var checkpointColumns = []string{"shard", "seq", "after", "time", "files", "bytes"}

func (a *app) archiveCheckpoint() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Have a node make a checkpoint now", Args: exactly(0),
		Long: "Have a node put a checkpoint of every shard into its archive, and wait until it is there. A node does that by itself every archive.checkpoint_interval; a restore\n" +
			"begins from a checkpoint, so one more makes restores of what follows faster.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.patient()
			if err != nil {
				return err
			}
			var rows []map[string]any
			if err := c.call(cmd.Context(), "POST", "/v1/archive/checkpoint", nil, &rows); err != nil {
				return err
			}
			return a.list(rows, checkpointColumns)
		},
	}
}

func (a *app) archivePrune() *cobra.Command {
	return &cobra.Command{
		Use: "prune", Short: "Have a node remove from its archive what the settings do not keep", Args: exactly(0),
		Long: "Have a node remove what archive.keep_for and archive.keep_checkpoints do not keep. A node does that by itself after each checkpoint of its own.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.patient()
			if err != nil {
				return err
			}
			var row map[string]any
			if err := c.call(cmd.Context(), "POST", "/v1/archive/prune", nil, &row); err != nil {
				return err
			}
			return a.describe(row, []string{"checkpoints", "packs", "files", "bytes"})
		},
	}
}

var verifyColumns = []string{"shard", "whole", "packs", "frames", "bytes", "first", "last", "checkpoints", "files", "left_over", "problems"}

func (a *app) archiveVerify() *cobra.Command {
	var f archiveFlags
	cmd := &cobra.Command{
		Use: "verify", Short: "Read all of an archive and check every sum, hash and link", Args: exactly(0),
		Long:    "Read every pack, checkpoint and file of an archive and check them. Nothing is changed, and no node is needed. Exit code 1 means that something is damaged or missing.",
		Example: "  leat archive verify --from /backups/leat",
		RunE: func(cmd *cobra.Command, _ []string) error {
			place, _, err := f.place()
			if err != nil {
				return err
			}
			l, err := place.Lineage(cmd.Context(), f.lineage)
			if err != nil {
				return err
			}
			return a.verifyArchive(cmd.Context(), place, l)
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) verifyArchive(ctx context.Context, place *node.ArchivePlace, l *node.ArchivedLineage) error {
	var rows []map[string]any
	var problems []string
	for i := range l.Identity.Shards {
		p := a.progress()
		r, err := place.Verify(ctx, l, i, func(done, total int64) { p.say("shard %d: %d of %d MiB", i, done>>20, total>>20) })
		p.done()
		if err != nil {
			return err
		}
		for _, e := range r.Problems {
			problems = append(problems, fmt.Sprintf("shard %d: %v", i, e))
		}
		rows = append(rows, map[string]any{
			"shard": i, "whole": len(r.Problems) == 0, "packs": r.Packs, "frames": r.Frames, "bytes": r.Bytes, "first": uint64(r.First), "last": uint64(r.Last),
			"checkpoints": r.Checkpoints, "files": r.Files, "left_over": r.Leftover, "problems": len(r.Problems),
		})
	}
	if err := a.list(rows, verifyColumns); err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(a.err, p)
	}
	if len(problems) > 0 {
		return advised{errArchive, "leat archive checkpoint puts a whole one beside it, from which everything from then on can be restored"}
	}
	return nil
}
