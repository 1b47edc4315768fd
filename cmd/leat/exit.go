package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes. Scripts rely on them; docs/operate/cli.md lists them.
const (
	exitOK          = 0
	exitFailed      = 1   // refused or failed for another reason than those below
	exitUsage       = 2   // the command line is wrong; nothing was done
	exitUnreachable = 3   // no node answered
	exitNotFound    = 4   // what was named is not there
	exitDenied      = 5   // who you are may not
	exitConflict    = 6   // a condition failed, or it exists already
	exitLater       = 7   // not now: the same command may succeed later
	exitInterrupted = 130 // Ctrl-C
)

// usage is a wrong command line.
type usage struct{ text string }

func (u usage) Error() string { return u.text }

func usageError(format string, args ...any) error { return usage{fmt.Sprintf(format, args...)} }

// advised is an error with what to do about it.
type advised struct {
	err    error
	advice string
}

func (a advised) Error() string { return a.err.Error() }
func (a advised) Unwrap() error { return a.err }

// exit prints an error the way a person can act on and returns the code for it.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed)) {
		return exitInterrupted
	}
	var p *problem
	var u usage
	var ad advised
	code, advice := exitFailed, ""
	switch {
	case errors.As(err, &p):
		code, advice = p.exit(), p.advice()
	case errors.As(err, &u) || strings.HasPrefix(err.Error(), "unknown command"):
		code, advice = exitUsage, a.path()+" --help"
	case strings.Contains(err.Error(), "in use by another process"):
		advice = "stop the node that runs on it first; of a running node, leat doctor tells how it is"
	case unreachable(err):
		code, advice = exitUnreachable, "is the node running there? leat serve starts one; --url or LEAT_URL says where it is"
		if a.registered {
			advice = "is a schema registry there? a node opens one unless its --listen leaves it out; --registry or LEAT_REGISTRY says where it is"
		}
	}
	if errors.As(err, &ad) {
		advice = ad.advice
	}
	fmt.Fprintln(a.err, "leat:", err)
	if advice != "" {
		fmt.Fprintln(a.err, "next:", advice)
	}
	return code
}

// unreachable reports whether no node answered.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var u *url.Error
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &u)
}

func (p *problem) exit() int {
	switch p.Status {
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		return exitLater
	}
	return exitFailed
}

func (p *problem) advice() string {
	switch p.Status {
	case http.StatusUnauthorized:
		return "--user NAME, or --token TOKEN (LEAT_TOKEN)"
	case http.StatusForbidden:
		if strings.Contains(p.Detail, "the platform's own") {
			return "" // no grant helps
		}
		if strings.Contains(p.Detail, "says who owns it") {
			return "no grant helps: leat contract list shows who owns what, and leat contract put … --owner NAME who may publish"
		}
		return "ask for the grant: leat user grant NAME ACTION KIND PATTERN"
	case http.StatusNotFound:
		if strings.Contains(p.Detail, "no stream ") {
			return "leat stream list shows what there is"
		}
		if strings.Contains(p.Detail, "no subscription ") {
			return "leat sub list shows what there is"
		}
	case http.StatusGone:
		if p.Field == "from" {
			return "--from earliest starts at what is still there"
		}
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		if strings.Contains(p.Detail, "the first user must be able to manage users") {
			return "leat user create NAME --grant 'admin * *'"
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if p.RetryAfter != "" {
			return "try again in " + p.RetryAfter + " s"
		}
		return "try again in a moment"
	case http.StatusInsufficientStorage:
		return "free space on the disk of the data directory, or delete a stream"
	}
	return ""
}

// path is the command that was run, as far as it was understood: "leat stream create".
func (a *app) path() string {
	if a.ran == nil {
		return "leat"
	}
	return a.ran.CommandPath()
}

// exactly is cobra.ExactArgs with the exit code of a wrong command line.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > most:
			return usageError("%q is one argument too many for %s", args[most], cmd.UseLine())
		case len(args) < least:
			return usageError("an argument is missing: %s", cmd.UseLine())
		}
		return nil
	}
}

// group makes a command that only has others say so when it is called with something else; by itself cobra prints the help and is content.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := usageError("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return advised{err, cmd.CommandPath() + " " + near[0] + " --help"}
		}
		return err
	}
	return cmd
}
