package main

import "github.com/spf13/cobra"

// nodeCommands run a node.
func (a *app) nodeCommands() []*cobra.Command {
	return []*cobra.Command{a.serveCommand(), a.demoCommand()}
}

// directoryCommands look after a data directory whose node is stopped.
func (a *app) directoryCommands() []*cobra.Command {
	return []*cobra.Command{a.journalCommand(), a.upgradeCommand(), a.repairCommand(), a.configCommand(), a.archiveCommand(), a.restoreCommand()}
}
