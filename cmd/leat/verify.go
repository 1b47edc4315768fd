package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"leat/node"
)

// errStoredDamage ends verify and repair with exit code 1 after their report has been printed.
var errStoredDamage = errors.New("stored data is damaged")

func (a *app) streamVerify() *cobra.Command {
	var data, config string
	cmd := &cobra.Command{
		Use: "verify [NAME]", Short: "Read every stored byte of a stopped node and say what is damaged", Args: between(0, 1),
		Long: "Read every byte of the journals, segment files and key files of a data directory and tell each place that is not as it was written: file, block, stream,\n" +
			"partition and the offsets that cannot be read. With NAME, or NAMESPACE/NAME, only what concerns that stream; journal and key files hold\n" +
			"all streams mixed, and are always told of. The node must be stopped. Exit code 1 means that there is damage.",
		Example: "  leat stream verify --data ./data\n  leat stream verify orders --data ./data",
		RunE: func(cmd *cobra.Command, args []string) error {
			opt, done, err := a.stoppedOptions(data, config)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				opt.Stream = args[0]
			}
			found, err := node.Verify(cmd.Context(), opt)
			done()
			if err != nil && len(found) == 0 {
				return err
			}
			if e := a.listDamage(found); e != nil || err != nil {
				return errors.Join(e, err)
			}
			if len(found) > 0 {
				return advised{fmt.Errorf("%w in %d places", errStoredDamage, len(found)), "leat repair --data " + data}
			}
			a.remark("no damage in %s", data)
			return nil
		},
	}
	stoppedFlags(cmd, &data, &config)
	return cmd
}

func stoppedFlags(cmd *cobra.Command, data, config *string) {
	cmd.Flags().StringVar(data, "data", "", "data directory")
	cmd.Flags().StringVar(config, "config", "", "configuration file of its node, for the limits in it")
}

// stoppedOptions are for work on the data directory of a stopped node. done ends the progress that is shown.
func (a *app) stoppedOptions(data, config string) (opt node.VerifyOptions, done func(), err error) {
	if data == "" {
		return opt, nil, usageError("--data DIR says which data directory")
	}
	cfg, err := nodeConfig(config, protocols())
	if err != nil {
		return opt, nil, err
	}
	p := a.progress()
	return node.VerifyOptions{Data: filepath.ToSlash(data), Config: cfg, Progress: func(what string, done, total int64) {
		p.say("%s: %d of %d MiB", what, done>>20, total>>20)
	}}, p.done, nil
}

var damageColumns = []string{"shard", "file", "offset", "block", "stream", "partition", "base", "next", "expected", "found"}

func (a *app) listDamage(found []node.Damage) error {
	if len(found) == 0 && a.output != "json" {
		return nil
	}
	rows := make([]map[string]any, 0, len(found))
	for i := range found {
		d := &found[i]
		row := map[string]any{"shard": d.Shard, "file": d.File, "offset": d.Offset, "expected": d.Expected, "found": d.Found}
		if d.Block >= 0 {
			row["block"] = d.Block
		}
		if d.Stream != "" {
			row["stream"], row["partition"], row["base"], row["next"] = d.Stream, uint64(d.Partition), d.Base, d.Next
		}
		rows = append(rows, row)
	}
	return a.list(rows, damageColumns)
}
