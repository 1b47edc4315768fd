package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"leat/node"
	osfs "leat/storage/vfs/os"
)

func (a *app) upgradeCommand() *cobra.Command {
	var check, finalize, yes bool
	var data string
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Let a data directory use what this version can", Args: exactly(0),
		Long: "A new version of Leat opens a directory of an older format and leaves it in that format, so that the older version still opens it. --check says what\n" +
			"this version would change, and whether anything stands in the way; --finalize does it: from then on older versions refuse the directory.\n" +
			"The node must be stopped.",
		Example: "  leat upgrade --check --data ./data\n  leat upgrade --finalize --data ./data",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" || check == finalize {
				return usageError("leat upgrade needs --data DIR and one of --check and --finalize")
			}
			dir := filepath.ToSlash(data)
			p := a.progress()
			progress := func(done, total int64) {
				if cmd.Context().Err() == nil {
					p.say("reading the journal: %d of %d MiB", done>>20, total>>20)
				}
			}
			u, err := node.CheckUpgrade(osfs.New(), dir, progress)
			p.done()
			if err != nil {
				return err
			}
			if check || len(u.Obstacles) > 0 || len(u.Changes) == 0 {
				if err := a.showUpgrade(&u); err != nil || len(u.Obstacles) == 0 {
					return err
				}
				return advised{fmt.Errorf("something stands in the way: %s", u.Obstacles[0]), "leat upgrade --check --data " + data}
			}
			if err := a.confirmThat(fmt.Sprintf("After this no older version of Leat opens %s.", data), "finalizing "+data, data, yes); err != nil {
				return err
			}
			if u, err = node.Finalize(osfs.New(), dir, progress); err != nil {
				return err
			}
			p.done()
			a.remark("%s has format %d now; start the node", data, u.Newest)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory")
	cmd.Flags().BoolVar(&check, "check", false, "say what would change; changes nothing")
	cmd.Flags().BoolVar(&finalize, "finalize", false, "write the newest format")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) showUpgrade(u *node.Upgrade) error {
	if a.output == "json" {
		return a.json(u)
	}
	rows := []map[string]any{{"about": "format", "what": fmt.Sprintf("%d of %d", u.Format, u.Newest)}}
	for _, c := range u.Changes {
		rows = append(rows, map[string]any{"about": "change", "what": c})
	}
	for _, o := range u.Obstacles {
		rows = append(rows, map[string]any{"about": "obstacle", "what": o})
	}
	if len(u.Changes)+len(u.Obstacles) == 0 {
		rows = append(rows, map[string]any{"about": "well", "what": "there is nothing to do"})
	}
	return a.list(rows, []string{"about", "what"})
}
