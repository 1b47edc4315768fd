package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/clock"
)

const (
	pageEvents     = 1000 // asked for at a time, the most a node gives
	reconnectFirst = 200 * time.Millisecond
	reconnectMost  = 5 * time.Second
	sseLineMax     = 64 << 20
)

type readOptions struct {
	from, direction, key, where string
	kinds, tags                 []string
	limit                       int
	follow, latest              bool
	prefix                      string
}

func (a *app) readCommand() *cobra.Command {
	var o readOptions
	cmd := &cobra.Command{
		Use: "read STREAM[,STREAM...] | REF", Short: "Read events, and follow what comes, as NDJSON",
		Long: "Read events as one JSON CloudEvent a line: from the earliest to the latest, or with --follow what comes from now on (with --from, from there on).\n" +
			"A REF such as orders/0/1234 reads that one event. --latest reads the newest event of each key, in the order of keys.",
		Example: "  leat read orders --from -1h --where 'data.total > 100'\n  leat read orders,payments --follow\n  leat read stock --latest --prefix item-",
		Args:    exactly(1), ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, err := a.client()
			if err != nil {
				return err
			}
			if o.limit < 0 {
				return usageError("--limit %d: it is 0 (all) or more", o.limit)
			}
			if err := o.checkLatest(args[0]); err != nil {
				return err
			}
			out := bufio.NewWriterSize(a.out, 64<<10)
			defer func() { err = errors.Join(err, out.Flush()) }()
			if o.latest {
				return a.readLatest(cmd.Context(), c, args[0], o, out)
			}
			if strings.Count(args[0], "/") == 2 {
				return a.readRef(cmd.Context(), c, args[0], out)
			}
			if o.follow {
				if o.direction != "" {
					return usageError("--follow goes forward; leave --direction out")
				}
				return a.follow(cmd.Context(), c, args[0], o, out)
			}
			return a.readPages(cmd.Context(), c, args[0], o, out)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	f.StringVar(&o.from, "from", "", "earliest, latest, a time (RFC 3339), -1h, offset:N or a position")
	f.IntVarP(&o.limit, "limit", "n", 0, "stop after so many events (default all)")
	f.StringVar(&o.direction, "direction", "", "forward or backward")
	f.StringVarP(&o.key, "key", "k", "", "only events with this key")
	f.StringArrayVar(&o.kinds, "type", nil, "only events of this type; may be repeated")
	f.StringArrayVar(&o.tags, "tag", nil, "only events with this tag; may be repeated, for events with all of them")
	f.BoolVar(&o.latest, "latest", false, "only the newest event of each key, in the order of keys")
	f.StringVar(&o.prefix, "prefix", "", "with --latest: only keys that begin so")
	f.StringVar(&o.where, "where", "", "only events for which this CEL expression is true")
	_ = cmd.RegisterFlagCompletionFunc("direction", cobra.FixedCompletions([]string{"forward", "backward"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"earliest", "latest"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *readOptions) query() url.Values {
	q := url.Values{}
	for name, v := range map[string]string{"from": o.from, "direction": o.direction, "key": o.key, "where": o.where} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if len(o.kinds) > 0 {
		q["type"] = o.kinds
	}
	if len(o.tags) > 0 {
		q["tag"] = o.tags
	}
	return q
}

func (a *app) readRef(ctx context.Context, c *client, ref string, out *bufio.Writer) error {
	var event json.RawMessage
	var parts []string
	for p := range strings.SplitSeq(ref, "/") {
		parts = append(parts, url.PathEscape(p))
	}
	if err := c.call(ctx, "GET", "/v1/events/"+strings.Join(parts, "/"), nil, &event); err != nil {
		return err
	}
	return writeLine(out, event)
}

// page is a page of events. "next" goes into the next request.
type page struct {
	Events   []json.RawMessage `json:"events"`
	Next     string            `json:"next"`
	CaughtUp bool              `json:"caught_up"`
}

// checkLatest refuses what --latest does not go with: the rest of the flags choose among events as they came.
func (o *readOptions) checkLatest(streams string) error {
	switch {
	case !o.latest && o.prefix != "":
		return usageError("--prefix goes with --latest")
	case !o.latest:
		return nil
	case strings.ContainsAny(streams, ",/"):
		return usageError("--latest reads one stream")
	case o.follow || len(o.query()) > 0:
		return usageError("--latest goes with --prefix and --limit; leave the other flags out")
	}
	return nil
}

// readLatest prints the newest event of each key. Here "next" goes into "after".
func (a *app) readLatest(ctx context.Context, c *client, stream string, o readOptions, out *bufio.Writer) error {
	q := url.Values{}
	if o.prefix != "" {
		q.Set("prefix", o.prefix)
	}
	return a.eachPage(ctx, c, o.limit, out, func(next string, limit int) string {
		if next != "" {
			q.Set("after", next)
		}
		q.Set("limit", strconv.Itoa(limit))
		return streamPath(stream) + "/latest?" + q.Encode()
	})
}

func (a *app) readPages(ctx context.Context, c *client, streams string, o readOptions, out *bufio.Writer) error {
	return a.eachPage(ctx, c, o.limit, out, func(next string, limit int) string {
		if next != "" {
			o.from = next
		}
		q := o.query()
		q.Set("limit", strconv.Itoa(limit))
		return eventsPath(streams, q)
	})
}

// eachPage prints the events of one page after the other, at most so many (0: all). path is that of the page behind next, which is empty at first.
func (a *app) eachPage(ctx context.Context, c *client, most int, out *bufio.Writer, path func(next string, limit int) string) error {
	progress := a.progress()
	defer progress.done()
	next := ""
	for n := 0; ; {
		want := pageEvents
		if most > 0 {
			want = min(want, most-n)
		}
		var p page
		if err := c.call(ctx, "GET", path(next, want), nil, &p); err != nil {
			return err
		}
		for _, e := range p.Events {
			if err := writeLine(out, e); err != nil {
				return err
			}
		}
		n += len(p.Events)
		if p.CaughtUp || p.Next == "" || p.Next == next || most > 0 && n >= most {
			return nil
		}
		next = p.Next
		if !a.terminal {
			progress.say("%d events read", n)
		}
	}
}

// writeLine writes one event on one line.
func writeLine(out *bufio.Writer, event []byte) error {
	if bytes.IndexByte(event, '\n') >= 0 {
		var b bytes.Buffer
		if err := json.Compact(&b, event); err != nil {
			return err
		}
		event = b.Bytes()
	}
	if _, err := out.Write(event); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// follow prints what comes until it is interrupted, which is its normal end. When the node goes away it goes on after the last event it
// has printed: none is missed and none is printed twice.
func (a *app) follow(ctx context.Context, c *client, streams string, o readOptions, out *bufio.Writer) error {
	f := &follower{c: c, path: eventsPath(streams, o.query()), out: out, left: o.limit}
	wait := reconnectFirst
	for {
		before := f.last
		err := f.once(ctx)
		if flushErr := out.Flush(); flushErr != nil {
			return flushErr // who reads our output has gone
		}
		var p *problem
		var w writeError
		switch {
		case errors.Is(err, errEnough) || ctx.Err() != nil:
			return nil
		case errors.As(err, &w):
			return err
		case errors.As(err, &p) && p.exit() != exitLater:
			return err
		case !f.begun:
			return err // it was never there; waiting would hide a wrong address
		}
		if f.last != before {
			wait = reconnectFirst
		}
		fmt.Fprintf(a.err, "leat: the node went away (%v); going on in %v\n", err, wait)
		if stopped := clock.Sleep(ctx, wait); stopped != nil {
			return nil //nolint:nilerr // Ctrl-C is how following ends
		}
		wait = min(2*wait, reconnectMost)
	}
}

var errEnough = errors.New("as many as were asked for")

type writeError struct{ error }

// follower reads server-sent events.
type follower struct {
	c     *client
	path  string
	out   *bufio.Writer
	left  int    // 0 is no limit
	last  string // id of the last event printed
	begun bool   // the node has answered once
}

func (f *follower) once(ctx context.Context) error {
	h := http.Header{"Accept": {"text/event-stream"}}
	if f.last != "" {
		h.Set("Last-Event-ID", f.last)
	}
	res, err := f.c.open(ctx, "GET", f.path, h, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
		return fmt.Errorf("what answers there sends %q instead of events", ct)
	}
	f.begun = true
	return readEvents(res.Body, f.out.Flush, f.print)
}

func (f *follower) print(id, kind string, data []byte) error {
	if kind == "problem" { // what ended the stream in its middle
		p := &problem{}
		if json.Unmarshal(data, p) == nil && p.Title != "" {
			return p
		}
		return errors.New(string(data))
	}
	if kind != "" && kind != "message" {
		return nil // of a newer node; not an event of the stream
	}
	if err := writeLine(f.out, data); err != nil {
		return writeError{err}
	}
	if id != "" {
		f.last = id
	}
	if f.left > 0 {
		if f.left--; f.left == 0 {
			return errEnough
		}
	}
	return nil
}

// readEvents parses server-sent events: fields until an empty line. idle is called when there is nothing more to read at once, so that
// what was printed is seen, while a burst costs one write.
func readEvents(r io.Reader, idle func() error, event func(id, kind string, data []byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var id, kind string
	var data []byte
	for {
		if in.Buffered() == 0 {
			if err := idle(); err != nil {
				return writeError{err}
			}
		}
		line, err := readLine(in)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			if data != nil {
				if err := event(id, kind, data); err != nil {
					return err
				}
			}
			id, kind, data = "", "", nil
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			id = string(value)
		case "event":
			kind = string(value)
		case "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
			if data == nil {
				data = []byte{}
			}
			if len(data) > sseLineMax {
				return fmt.Errorf("an event has more than %d bytes", sseLineMax)
			}
		}
	}
}

// readLine reads one line, however long up to sseLineMax, without its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= sseLineMax {
			line, err = in.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
