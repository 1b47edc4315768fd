package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leat/broker/fact"
	"leat/broker/stream"
	"leat/storage/journal/disk"
	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

// errDamaged ends check and dump with exit code 1 after their report has been printed.
var errDamaged = errors.New("the journal is damaged")

func (a *app) journalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "journal", Short: "Check, dump and repair the journals of a stopped node",
		Long: "Look after the journals of a data directory. The node must be stopped: each journal is locked meanwhile. DIR is a data directory\n" +
			"(all its shards) or the folder of one journal.",
	}
	cmd.AddCommand(a.journalCheck(), a.journalDump(), a.journalRepair())
	return cmd
}

// journalDirs finds the journals below what the command line names.
func journalDirs(fsys vfs.FS, dir string) ([]string, error) {
	dir = filepath.ToSlash(dir)
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("there is no directory %s", dir)
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, n := range names {
		if strings.HasPrefix(n, "shard-") {
			dirs = append(dirs, path.Join(dir, n, "journal"))
		}
	}
	if len(dirs) == 0 {
		dirs = []string{dir}
	}
	slices.Sort(dirs)
	return dirs, nil
}

func (a *app) journalCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check DIR", Short: "Read every byte and say what is not as it should be; changes nothing", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys := osfs.New()
			dirs, err := journalDirs(fsys, args[0])
			if err != nil {
				return err
			}
			var rows []map[string]any
			var found []string
			damaged := false
			for _, dir := range dirs {
				p := a.progress()
				r, err := disk.Check(fsys, dir, func(done, total int64) {
					if cmd.Context().Err() == nil {
						p.say("%s: %d of %d MiB", dir, done>>20, total>>20)
					}
				})
				p.done()
				if err != nil {
					return fmt.Errorf("%s: %w", dir, err)
				}
				damaged = damaged || r.Damaged()
				rows = append(rows, a.reportRow(dir, r))
				found = append(found, findings(dir, r)...)
			}
			if err := a.list(rows, reportColumns); err != nil {
				return err
			}
			if a.output != "json" { // there they are in the rows
				for _, f := range found {
					fmt.Fprintln(a.err, f)
				}
			}
			if damaged {
				return advised{errDamaged, "restore a backup, or see what a repair would cut: leat journal repair " + args[0]}
			}
			return nil
		},
	}
}

var reportColumns = []string{"journal", "damaged", "files", "frames", "bytes", "first", "last", "last_synced", "epoch", "findings"}

func (a *app) reportRow(dir string, r *disk.Report) map[string]any {
	row := map[string]any{
		"journal": dir, "damaged": r.Damaged(), "files": r.Files, "frames": r.Frames, "bytes": r.Bytes, "first": uint64(r.First), "last": uint64(r.Last),
		"last_synced": uint64(r.LastSynced), "epoch": uint64(r.Epoch), "findings": len(r.Findings),
	}
	if a.output == "json" {
		list := []map[string]any{}
		for _, f := range r.Findings {
			list = append(list, map[string]any{"severity": f.Severity.String(), "file": f.File, "offset": f.Offset, "expected": f.Expected, "found": f.Found})
		}
		row["findings"], row["more"] = list, r.More
	}
	return row
}

func findings(dir string, r *disk.Report) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, dir+": "+f.String())
	}
	if r.More {
		out = append(out, fmt.Sprintf("%s: there is more; the first %d findings are shown", dir, len(r.Findings)))
	}
	return out
}

func (a *app) journalDump() *cobra.Command {
	return &cobra.Command{
		Use: "dump DIR", Short: "Every frame, one JSON object a line", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys := osfs.New()
			dirs, err := journalDirs(fsys, args[0])
			if err != nil {
				return err
			}
			e, damaged := json.NewEncoder(a.out), false
			for _, dir := range dirs {
				r, err := disk.Dump(fsys, dir, func(f disk.Frame) error {
					if err := cmd.Context().Err(); err != nil {
						return err
					}
					return e.Encode(map[string]any{
						"facts": tellFacts(f.Facts), "file": path.Join(dir, f.File), "offset": f.Offset, "kind": f.Kind, "seq": uint64(f.Seq), "epoch": uint64(f.Epoch), "synced_seq": uint64(f.SyncedSeq),
						"facts_bytes": f.FactsBytes, "data_bytes": f.DataBytes, "facts_crc": fmt.Sprintf("%08x", f.FactsCRC), "data_crc": fmt.Sprintf("%08x", f.DataCRC),
						"prev_hash": fmt.Sprintf("%016x", f.PrevHash), "hash": fmt.Sprintf("%016x", f.Hash),
					})
				})
				if err != nil {
					return fmt.Errorf("%s: %w", dir, err)
				}
				damaged = damaged || r.Damaged()
				for _, f := range findings(dir, r) {
					fmt.Fprintln(a.err, f)
				}
			}
			if damaged {
				return advised{errDamaged, "leat journal check " + args[0]}
			}
			return nil
		},
	}
}

// tellFacts puts the facts of a frame into words. What this program cannot read is said, and ends them: dump is there for journals with which something is wrong.
func tellFacts(p []byte) []string {
	told := []string{}
	if len(p) == 0 {
		return told
	}
	_, body, err := fact.ReadHead(p)
	if err == nil {
		err = fact.Each(body, func(f fact.Fact) error {
			s, err := stream.Tell(f)
			if err == nil {
				told = append(told, s)
			}
			return err
		})
	}
	if err != nil {
		told = append(told, "cannot be read: "+err.Error())
	}
	return told
}

func (a *app) journalRepair() *cobra.Command {
	var act, yes bool
	var o disk.RepairOptions
	cmd := &cobra.Command{
		Use: "repair DIR", Short: "Cut a damaged journal before its first damage", Args: exactly(1),
		Long: "Say what a repair would cut, and with --act do it. What is kept is a true beginning of the history; what is cut is kept aside in the\n" +
			"folder. Events in the lost range were acknowledged and are gone: a backup is better where there is one.",
		RunE: func(cmd *cobra.Command, args []string) error {
			fsys := osfs.New()
			dirs, err := journalDirs(fsys, args[0])
			if err != nil {
				return err
			}
			if o.Act = act; act {
				if err := a.confirm("the damaged end of the journals in", args[0], yes); err != nil {
					return err
				}
			}
			var rows []map[string]any
			for _, dir := range dirs {
				rep, err := disk.Repair(fsys, dir, o)
				switch {
				case errors.Is(err, disk.ErrNothingToRepair):
					rows = append(rows, map[string]any{"journal": dir, "outcome": "nothing to repair"})
					continue
				case err != nil:
					return errors.Join(fmt.Errorf("%s: %w", dir, err), a.list(rows, repairColumns))
				}
				outcome := "would be cut; nothing was changed"
				if rep.Acted {
					outcome = "cut"
				}
				rows = append(rows, map[string]any{
					"journal": dir, "outcome": outcome, "damage": rep.Damage.String(), "cut_file": rep.CutFile, "cut_at": rep.CutAt, "keeps": uint64(rep.Keeps),
					"lost_from": uint64(rep.LostFrom), "lost_to": uint64(rep.LostTo), "aside": rep.Aside,
				})
			}
			return a.list(rows, repairColumns)
		},
	}
	cmd.Flags().BoolVar(&act, "act", false, "make the repair")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&o.CutData, "cut-data", false, "also cut at a frame of which only data is damaged")
	return cmd
}

var repairColumns = []string{"journal", "outcome", "damage", "cut_file", "cut_at", "keeps", "lost_from", "lost_to", "aside"}
