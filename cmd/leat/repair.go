package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"leat/node"
)

func (a *app) repairCommand() *cobra.Command {
	var data, config, from string
	var act, yes, renumber bool
	cmd := &cobra.Command{
		Use: "repair", Short: "Mend damaged files of a stopped node, from its archive and from each other", Args: exactly(0),
		Long: "Say what of a data directory is damaged and could be mended, and with --act mend it: segment files are taken from the archive (--from, else that of\n" +
			"--config), key files are built again from segment files and the journal. What cannot be mended is told with the offsets that are lost.\n" +
			"A damaged journal is for leat journal repair; damaged state for leat restore. Exit code 1 means that damage is left.",
		Example: "  leat repair --data ./data\n  leat repair --data ./data --from file:///mnt/archive --act",
		RunE: func(cmd *cobra.Command, _ []string) error {
			stopped, done, err := a.stoppedOptions(data, config)
			if err != nil {
				return err
			}
			opt := node.RepairOptions{VerifyOptions: stopped, Act: act, Renumber: renumber}
			if from == "" {
				from = stopped.Config.Archive.URL
			}
			if from != "" {
				if opt.From, err = node.OpenArchivePlace(from, stopped.Config.Archive.Keys); err != nil {
					return err
				}
			}
			if act {
				text := fmt.Sprintf("This replaces damaged files of %s.", data)
				if err := a.confirmThat(text, "repairing "+data, data, yes); err != nil {
					return err
				}
			}
			r, err := node.RepairDirectory(cmd.Context(), opt)
			done()
			if err != nil {
				return err
			}
			return a.showRepair(r, act)
		},
	}
	stoppedFlags(cmd, &data, &config)
	cmd.Flags().StringVar(&from, "from", "", "where the archive is (default archive.url of --config)")
	cmd.Flags().BoolVar(&act, "act", false, "mend it")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&renumber, "renumber", false, "where versions of keys are lost, count them from what is left")
	return cmd
}

func (a *app) showRepair(r *node.Repair, act bool) error {
	if a.output == "json" {
		if err := a.json(r); err != nil {
			return err
		}
	} else {
		for _, what := range r.Done {
			if !act {
				what = "would be done: " + what
			}
			fmt.Fprintln(a.out, what)
		}
		if err := a.listDamage(r.Left); err != nil {
			return err
		}
	}
	switch {
	case len(r.Left) > 0:
		return advised{fmt.Errorf("%w: %d places are left", errStoredDamage, len(r.Left)), "leat restore makes the directory anew from its archive; leat journal repair cuts a journal before its damage"}
	case len(r.Damage) == 0:
		a.remark("there is nothing to repair")
	case !act:
		a.remark("nothing was changed; --act does it")
	}
	return nil
}
