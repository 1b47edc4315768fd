package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// pushFlags are what sub create can be told about sending events to an endpoint.
type pushFlags struct {
	url, format, handshake string
	rate                   float64
	concurrency            int
	headers                []string
	secret, ordered, none  bool
}

func (f *pushFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.url, "push", "", "URL to which events are sent as webhooks")
	fl.StringVar(&f.format, "push-format", "", "binary, structured or batch (default binary)")
	fl.BoolVar(&f.secret, "push-secret", false, "make a secret to sign with, and print it; with one that is there, both are good")
	fl.StringArrayVar(&f.headers, "push-header", nil, "NAME: VALUE sent with each request; may be repeated")
	fl.IntVar(&f.concurrency, "push-concurrency", 0, "requests at once (default 32)")
	fl.Float64Var(&f.rate, "push-rate", 0, "requests a second at most (default no limit)")
	fl.BoolVar(&f.ordered, "push-ordered", false, "one at a time, in the order of the stream")
	fl.StringVar(&f.handshake, "push-handshake", "", "ask before the first event: cloudevents or eventgrid (default none)")
	fl.BoolVar(&f.none, "no-push", false, "send no more")
	_ = cmd.RegisterFlagCompletionFunc("push-format", cobra.FixedCompletions([]string{"binary", "structured", "batch"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("push-handshake", cobra.FixedCompletions([]string{"none", "cloudevents", "eventgrid"}, cobra.ShellCompDirectiveNoFileComp))
}

// body puts what was said into the document of the subscription.
func (f *pushFlags) body(cmd *cobra.Command, body map[string]any) error {
	push := map[string]any{}
	for _, m := range []struct {
		flag, member string
		value        any
	}{
		{"push", "url", f.url},
		{"push-format", "format", f.format},
		{"push-secret", "new_secret", f.secret},
		{"push-concurrency", "concurrency", f.concurrency},
		{"push-rate", "rate", f.rate},
		{"push-ordered", "ordered", f.ordered},
		{"push-handshake", "handshake", f.handshake},
	} {
		if cmd.Flags().Changed(m.flag) {
			push[m.member] = m.value
		}
	}
	if len(f.headers) > 0 {
		headers := map[string]string{}
		for _, h := range f.headers {
			name, value, ok := strings.Cut(h, ":")
			if !ok {
				return usageError("--push-header %s: it looks like NAME: VALUE", h)
			}
			headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		push["headers"] = headers
	}
	switch {
	case f.none && len(push) > 0:
		return usageError("--no-push goes without the other flags about pushing")
	case f.none:
		body["push"] = nil
	case len(push) > 0:
		body["push"] = push
	}
	return nil
}

// tellPush prints how the push of a subscription fares, as lines of the table. The settings stand in config, the rest beside it.
func tellPush(row map[string]any, got map[string]any) {
	state, ok := got["push"].(map[string]any)
	if !ok {
		return
	}
	if config, ok := got["config"].(map[string]any); ok {
		if set, ok := config["push"].(map[string]any); ok {
			row["push_url"], row["push_format"] = set["url"], set["format"]
		}
	}
	row["push"] = state["state"]
	for _, name := range []string{"why", "until", "delivered", "attempts", "warnings"} {
		if v := state[name]; v != nil {
			row["push_"+name] = v
		}
	}
	if last, ok := state["last_failure"].(map[string]any); ok {
		text := fmt.Sprint(last["time"], " ", last["why"])
		if answer, ok := last["answer"].(string); ok && answer != "" {
			quoted, _ := json.Marshal(answer)
			text += " " + string(quoted)
		}
		row["push_last_failure"] = text
	}
}
