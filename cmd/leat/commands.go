package main

import "github.com/spf13/cobra"

// nodeCommands run a node. (serve and demo come with package node.)
func (a *app) nodeCommands() []*cobra.Command { return nil }

// directoryCommands look after a data directory whose node is stopped. (journal and config come with package node.)
func (a *app) directoryCommands() []*cobra.Command { return nil }
