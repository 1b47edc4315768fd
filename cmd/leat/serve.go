package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leat/internal/clock"
	"leat/node"
)

type serveOptions struct {
	data, config      string
	listen, advertise []string
	dev, insecure     bool
	logLevel          string
	cpuProfile        string
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node", Args: exactly(0),
		Long: "Run a node on a data directory until it is told to stop (Ctrl-C or SIGTERM), which finishes what has begun.\n\n" +
			"Without --listen every gateway listens on loopback at its protocol's usual port, and a busy port is reported and skipped.\n" +
			"With --listen only the named ones open, and a busy port is an error.",
		Example: "  leat serve --data ./data\n  leat serve --data ./data --listen kafka=127.0.0.1:9092 --listen http=127.0.0.1:8080",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "data directory; it is made when it is not there")
	f.StringVar(&o.config, "config", "", "configuration file (YAML; leat config prints all settings)")
	f.StringArrayVar(&o.listen, "listen", nil, "NAME=ADDR, repeatable: open this listener")
	f.StringArrayVar(&o.advertise, "advertise", nil, "NAME=HOST:PORT, repeatable: the address clients are told")
	f.BoolVar(&o.dev, "dev", false, "keep all in memory, choose free ports, print them as JSON")
	f.BoolVar(&o.insecure, "insecure", false, "listen beyond loopback although there are no users")
	f.StringVar(&o.cpuProfile, "cpu-profile", "", "write a CPU profile (pprof) to this file until the node stops")
	f.StringVar(&o.logLevel, "log", "info", "debug, info, warn or error")
	return cmd
}

func pairs(flag string, in []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range in {
		name, addr, ok := strings.Cut(s, "=")
		if !ok || name == "" || addr == "" {
			return nil, usageError("--%s %s: write NAME=HOST:PORT, e.g. kafka=127.0.0.1:9092", flag, s)
		}
		if _, dup := out[name]; dup {
			return nil, usageError("--%s names %s twice", flag, name)
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, usageError("--%s %s: %v", flag, s, err)
		}
		out[name] = addr
	}
	return out, nil
}

// nodeConfig reads a configuration file over the defaults.
func nodeConfig(file string, ps []node.Protocol) (*node.Config, error) {
	cfg := node.DefaultConfig(ps)
	if file == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := node.DecodeConfig(text, cfg); err != nil {
		return nil, err
	}
	return cfg, cfg.Validate()
}

func (a *app) serve(ctx context.Context, o serveOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usageError("--log %s: it must be debug, info, warn or error", o.logLevel)
	}
	if (o.data == "") == !o.dev {
		return usageError("give --data DIR, or --dev to keep all in memory")
	}
	listen, err := pairs("listen", o.listen)
	if err != nil {
		return err
	}
	advertise, err := pairs("advertise", o.advertise)
	if err != nil {
		return err
	}
	ps := protocols()
	cfg, err := nodeConfig(o.config, ps)
	if err != nil {
		return err
	}
	stopProfile, err := startProfile(o.cpuProfile)
	if err != nil {
		return err
	}
	defer stopProfile()
	log := slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	began := clock.Now()
	n, err := node.Open(node.Options{
		Data: o.data, Config: cfg, Listen: listen, Advertise: advertise, Protocols: ps, Insecure: o.insecure, AnyPort: o.dev, Version: version, Log: log,
	})
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return errors.Join(err, n.Stop())
	}
	addrs := n.Addrs()
	if o.dev {
		if err := json.NewEncoder(a.out).Encode(addrs); err != nil {
			return errors.Join(err, n.Stop())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(addrs)) {
		log.Info("listening", "listener", name, "addr", addrs[name])
	}
	forgetStart()
	log.Info("ready", "version", version, "data", o.data, "took", clock.Since(began).String())
	<-ctx.Done()
	log.Info("stopping: finishing what has begun")
	if err := n.Stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	log.Info("stopped")
	return nil
}

func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // the profile is a help, not a result
	}, nil
}

func (a *app) configCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "config", Short: "Print all settings with their values", Args: exactly(0),
		Long: "Print the whole configuration, defaults included, in the form that --config reads. With --config FILE, what that file makes of it;\nan unknown key or a value out of bounds is an error.",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := nodeConfig(file, protocols())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, node.EncodeConfig(cfg))
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file to check and print")
	return cmd
}
