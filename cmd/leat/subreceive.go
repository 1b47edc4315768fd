package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

const (
	receiveMax     = 1000             // deliveries in one answer, the most a node gives
	receiveWait    = 5 * time.Second  // for the first one, unless --wait says otherwise
	receiveWaitMax = 5 * time.Minute  // the most a node waits
	followWait     = 30 * time.Second // of one request of --follow
	settleGrace    = 5 * time.Second  // Ctrl-C does not keep what was printed from being acked
)

// receiveOptions are what sub receive can be told.
type receiveOptions struct {
	max         int
	wait, lease time.Duration
	follow, ack bool
}

func (a *app) subReceive() *cobra.Command {
	var o receiveOptions
	cmd := &cobra.Command{
		Use: "receive NAME", Short: "Be handed events, as NDJSON with their handles", Args: exactly(1), ValidArgsFunction: a.completeSubscriptions,
		Long: "Be handed events: one JSON delivery a line, with its handle, its attempt and the event. Each is yours for the lease; ack it when the work is done,\n" +
			"or it is handed over again, here or to another receiver. Any number of receivers share a subscription. Without --follow it waits for the\n" +
			"first delivery and ends with what is there; exit code 7 says that nothing came.\n\n" +
			"Leases begin when the node hands over: a slow reader of --follow keeps --max small or asks for a longer --lease. --ack settles what was\n" +
			"printed at once, for looking and for work that may be lost; a worker acks by itself.",
		Example: "  leat sub receive mails --max 10 --lease 1m | ./send | leat sub ack mails -\n" +
			"  leat sub receive mails --follow | ./send | leat sub ack mails -\n" +
			"  leat sub receive mails --max 100 --ack | jq .event",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.check(cmd); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(a.out, 64<<10)
			if o.follow {
				return a.receiveOn(cmd.Context(), c, args[0], o, out)
			}
			n, err := c.receive(cmd.Context(), args[0], o, out)
			if err == nil && n == 0 {
				return advised{&problem{Title: fmt.Sprintf("nothing came within %v", o.wait), Status: http.StatusServiceUnavailable}, "--wait waits longer, --follow for ever; leat sub describe " + args[0] + " says what waits, and whether it is suspended"}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.IntVarP(&o.max, "max", "n", 1, "the most deliveries; with --follow the most at a time")
	f.DurationVar(&o.wait, "wait", receiveWait, "how long to wait for the first one")
	f.DurationVar(&o.lease, "lease", 0, "how long each is yours (default what the subscription says)")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	f.BoolVar(&o.ack, "ack", false, "ack what was printed")
	return cmd
}

func (o *receiveOptions) check(cmd *cobra.Command) error {
	switch {
	case o.max < 1 || o.max > receiveMax:
		return usageError("--max %d: it is from 1 to %d", o.max, receiveMax)
	case o.wait < 0 || o.wait > receiveWaitMax:
		return usageError("--wait %v: it is from 0 to %v", o.wait, receiveWaitMax)
	case o.lease < 0 || o.lease > 0 && o.lease < time.Millisecond:
		return usageError("--lease %v: it is a millisecond or more", o.lease)
	case o.follow && cmd.Flags().Changed("wait"):
		return usageError("--follow waits until Ctrl-C; leave --wait out")
	}
	if o.follow {
		o.wait = followWait
	}
	return nil
}

// receive asks once, prints what it is given and acks it when that is asked for: after it was printed, so that what nobody saw comes again.
func (c *client) receive(ctx context.Context, name string, o receiveOptions, out *bufio.Writer) (int, error) {
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t.ResponseHeaderTimeout = connectTimeout + o.wait // the answer begins when something is there
	}
	body := map[string]any{"max": o.max, "wait": o.wait.Milliseconds()}
	if o.lease > 0 {
		body["lease"] = o.lease.Milliseconds()
	}
	var got struct {
		Deliveries []json.RawMessage `json:"deliveries"`
	}
	if err := c.call(ctx, "POST", subPath(name)+"/receive", body, &got); err != nil {
		return 0, err
	}
	var handles []string
	for _, d := range got.Deliveries {
		if err := writeLine(out, d); err != nil {
			return 0, writeError{err}
		}
		if o.ack {
			h, err := handleOf(d)
			if err != nil {
				return 0, err
			}
			handles = append(handles, h)
		}
	}
	if err := out.Flush(); err != nil {
		return 0, writeError{err} // who reads our output has gone; nothing is acked
	}
	if len(handles) == 0 {
		return len(got.Deliveries), nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleGrace)
	defer cancel()
	outcomes, err := c.settle(ctx, name, "ack", handles, nil)
	if err != nil {
		return 0, err
	}
	var t tally
	t.add(handles, outcomes)
	return len(got.Deliveries), t.problem()
}

// receiveOn receives until it is interrupted, which is its normal end, and goes on when the node was away. What was handed over
// meanwhile and did not arrive comes again when its lease has run out.
func (a *app) receiveOn(ctx context.Context, c *client, name string, o receiveOptions, out *bufio.Writer) error {
	wait, begun := reconnectFirst, false
	for {
		_, err := c.receive(ctx, name, o, out)
		var p *problem
		var w writeError
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Ctrl-C is how following ends
		case err == nil:
			wait, begun = reconnectFirst, true
			continue
		case errors.As(err, &w):
			return err
		case errors.As(err, &p) && p.exit() != exitLater:
			return err
		case !begun && p == nil:
			return err // it was never there; waiting would hide a wrong address
		}
		a.remark("the node went away (%v); going on in %v", err, wait)
		if stopped := clock.Sleep(ctx, wait); stopped != nil {
			return nil //nolint:nilerr // Ctrl-C is how following ends
		}
		wait = min(2*wait, reconnectMost)
	}
}
