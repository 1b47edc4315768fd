package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"leat/broker"
	"leat/internal/clock"
	"leat/node"
	osfs "leat/storage/vfs/os"
)

func (a *app) restoreCommand() *cobra.Command {
	var f archiveFlags
	var data, until string
	cmd := &cobra.Command{
		Use: "restore", Short: "Make a data directory from an archive, as it was at a moment", Args: exactly(0),
		Long: "Make a new data directory from an archive: all streams, events, keys and versions, users and producers as they were. --until says when: latest (all there is), a time\n" +
			"(RFC 3339, or -1h), or a position, which is that of the last event that is in. The directory begins a lineage of its own: positions that were given out up to that moment go\n" +
			"on working, later ones are refused. A node on it archives beside the old archive. Nothing is written into a directory that is not empty.",
		Example: "  leat restore --from /backups/leat --data ./restored\n  leat restore --from s3://backups/leat?endpoint=minio:9000 --data ./restored --until 2026-11-21T03:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return usageError("give --data DIR, a directory that is not there yet")
			}
			u, err := restoreUntil(until)
			if err != nil {
				return err
			}
			return a.restore(cmd.Context(), &f, filepath.ToSlash(data), u)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&data, "data", "", "the new data directory")
	cmd.Flags().StringVar(&until, "until", "latest", "latest, a time (RFC 3339), a time before now such as -1h, or a position")
	return cmd
}

func restoreUntil(text string) (node.RestoreUntil, error) {
	s, err := broker.ParseStart(text, clock.Now())
	switch {
	case err == nil && s.Kind == broker.StartLatest:
		return node.RestoreUntil{}, nil
	case err == nil && s.Kind == broker.StartTime:
		return node.RestoreUntil{Time: time.UnixMilli(s.Time)}, nil
	case err == nil && s.Kind == broker.StartPosition:
		return node.RestoreUntil{Position: &s.Position}, nil
	}
	return node.RestoreUntil{}, usageError("--until %s: latest, a time as in RFC 3339, a time before now such as -1h, and a position are moments", text)
}

var restoredColumns = []string{"shard", "seq", "time", "checkpoint", "frames"}

func (a *app) restore(ctx context.Context, f *archiveFlags, data string, until node.RestoreUntil) error {
	place, cfg, err := f.place()
	if err != nil {
		return err
	}
	p := a.progress()
	r, err := node.Restore(ctx, osfs.New(), node.RestoreOptions{
		From: place, Lineage: f.lineage, Data: data, Until: until, Journal: cfg.Journal, State: cfg.State, Log: slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Progress: func(what string, done, total int64) { p.say("%s: %d of %d MiB", what, done>>20, total>>20) },
	})
	p.done()
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(r)
	}
	var rows []map[string]any
	for _, s := range r.Shards {
		rows = append(rows, map[string]any{"shard": s.Shard, "seq": s.Seq, "time": when(s.Time), "checkpoint": s.Checkpoint, "frames": s.Frames})
	}
	if err := a.list(rows, restoredColumns); err != nil {
		return err
	}
	a.remark("%s written from %s in the archive, in %s, %.0f MB/s; lineage %s, restored from %s. Next: leat serve --data %s", size(r.Written), size(r.Bytes),
		r.Duration.Round(time.Millisecond), float64(r.Written)/1e6/max(r.Duration.Seconds(), 1e-3), r.Lineage[:8], r.Of[:8], data)
	return nil
}
