package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// version is set by the build.
var version = "unreleased"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv,
		terminal: term.IsTerminal(int(os.Stdout.Fd())), talking: term.IsTerminal(int(os.Stdin.Fd())), showing: term.IsTerminal(int(os.Stderr.Fd()))}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// app is what a command has to work with. Tests make one of their own.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	terminal bool // out is one: tables are aligned
	talking  bool // in is one: questions can be asked
	showing  bool // err is one: progress is redrawn on one line

	url, user, token, namespace, output string // flags

	registered bool // the schema registry was asked, not the node itself

	ran *cobra.Command // for the advice when it was called wrongly; nil while it runs
}

// run runs one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	ran, err := root.ExecuteContextC(ctx)
	a.ran = ran
	return a.exit(ctx, err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "leat",
		Short:         "An event platform in one binary",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			switch a.output {
			case "", "table", "tsv", "json":
				return nil
			}
			return usageError("-o %s is not known; table, tsv and json are", a.output)
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.url, "url", "", "address of the node (LEAT_URL; default "+defaultURL+")")
	f.StringVar(&a.user, "user", "", "NAME or NAME:PASSWORD; a missing password is asked for, or taken from LEAT_PASSWORD")
	f.StringVar(&a.token, "token", "", "bearer token (LEAT_TOKEN)")
	f.StringVar(&a.namespace, "namespace", "", "namespace of streams (default \"default\")")
	f.StringVarP(&a.output, "output", "o", "", "table, tsv or json (default table on a terminal, else tsv)")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "tsv", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError("%v", err) })

	root.AddGroup(&cobra.Group{ID: "node", Title: "A node:"}, &cobra.Group{ID: "use", Title: "Use one:"}, &cobra.Group{ID: "care", Title: "Look after one:"})
	add := func(id string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = id
			root.AddCommand(c)
			if c.HasSubCommands() && !c.Runnable() {
				group(c)
			}
		}
	}
	add("node", a.nodeCommands()...)
	add("use", a.publishCommand(), a.readCommand(), a.streamCommand(), a.subCommand(), a.dlqCommand(), a.queueCommand(), a.groupCommand(), a.linkCommand(), a.connectCommand())
	add("care", a.userCommand(), a.hookCommand(), a.contractCommand(), a.auditCommand(), a.doctorCommand(), a.benchCommand())
	add("care", a.directoryCommands()...)
	root.AddCommand(a.versionCommand())
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "What this binary is", Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			row := map[string]any{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						row["revision"] = s.Value
					}
				}
			}
			return a.describe(row, []string{"version", "revision", "go", "os", "arch"})
		},
	}
}
