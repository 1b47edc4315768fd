package main

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// People look for queues and groups. Both are subscriptions, and these commands list them in the words of those who look.

var (
	queueColumns = []string{"name", "depth", "unacked", "delayed", "consumers", "of", "streams", "dead_letters"}
	groupColumns = []string{"name", "lag", "members", "streams"}
)

// describedPage is how many subscriptions are asked for at a time, the most a node gives.
const describedPage = 1000

func (a *app) queueCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "queue", Short: "Queues: subscriptions whose events are handed out and acknowledged one by one", Aliases: []string{"queues"}}
	var prefix string
	ls := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "All queues you may see, with what waits in them", Args: exactly(0),
		Long: "All queues you may see, whatever they were made by: AMQP, SQS or leat sub create (column of). Depth is what is not settled, unacked\n" +
			"what of it somebody has, delayed what of it waits for its time. leat sub describe NAME tells more.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.described(cmd, prefix)
			if err != nil {
				return err
			}
			rows := []map[string]any{}
			for _, s := range all {
				config, state := inner(s, "config"), inner(s, "state")
				if config["kind"] == "cursor" {
					continue
				}
				rows = append(rows, map[string]any{
					"name": s["name"], "depth": state["waiting"], "unacked": state["leased"], "delayed": state["delayed"], "consumers": state["members"],
					"of": madeOf(s), "streams": config["streams"], "dead_letters": config["dead_letters"],
				})
			}
			if len(rows) == 0 {
				a.remark("there are no queues; a client that declares one makes it, and so does leat sub create")
			}
			return a.list(rows, queueColumns)
		},
	}
	ls.Flags().StringVar(&prefix, "prefix", "", "only those whose names begin so")
	cmd.AddCommand(ls)
	return cmd
}

func (a *app) groupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "Groups: subscriptions that keep a position in each partition", Aliases: []string{"groups"}}
	var prefix string
	ls := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "All groups you may see, with how far behind they are", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.described(cmd, prefix)
			if err != nil {
				return err
			}
			rows := []map[string]any{}
			for _, s := range all {
				config, state := inner(s, "config"), inner(s, "state")
				if config["kind"] != "cursor" {
					continue
				}
				rows = append(rows, map[string]any{"name": s["name"], "lag": state["waiting"], "members": state["members"], "streams": config["streams"]})
			}
			if len(rows) == 0 {
				a.remark("there are no groups; a Kafka client that subscribes with a group.id makes one. Subscriptions that hand events out are listed by leat queue ls")
			}
			return a.list(rows, groupColumns)
		},
	}
	ls.Flags().StringVar(&prefix, "prefix", "", "only those whose names begin so")
	cmd.AddCommand(ls)
	return cmd
}

func inner(m map[string]any, name string) map[string]any {
	v, _ := m[name].(map[string]any)
	return v
}

// madeOf is what kind of client a queue belongs to, by the document its gateway keeps with it.
func madeOf(s map[string]any) string {
	docs := inner(inner(s, "config"), "documents")
	switch {
	case inner(s, "config")["shadow_of"] != nil:
		return "shadow"
	case docs["amqp.queue"] != nil:
		return "amqp"
	case docs["sqs.queue"] != nil:
		return "sqs"
	case inner(s, "push") != nil:
		return "webhook"
	}
	return "leat"
}

// described are all subscriptions, each with its settings and its state.
func (a *app) described(cmd *cobra.Command, prefix string) ([]map[string]any, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	q := url.Values{"state": {"true"}, "limit": {strconv.Itoa(describedPage)}}
	if prefix != "" {
		q.Set("prefix", prefix)
	}
	return c.collection(cmd.Context(), "/v1/subscriptions?"+q.Encode(), "subscriptions")
}
