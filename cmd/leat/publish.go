package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

const (
	batchEvents     = 100      // in one request of --lines, at most
	batchBytes      = 1 << 20  // of one request of --lines, about
	eventBytesMax   = 64 << 20 // of one event read from a file or standard input; the node's own limit is lower
	lineBytesMax    = 8 << 20
	contentTypeJSON = "application/json"
)

// attributes are what the flags say about an event.
type attributes struct {
	id, source, kind, subject, key, expect, contentType string
	extensions                                          []string
	tags, unless                                        []string
}

// any reports whether the event is to be a CloudEvent with attributes of its own, rather than a plain body.
func (e *attributes) any() bool {
	return e.id != "" || e.source != "" || e.kind != "" || e.subject != "" || e.key != "" || len(e.extensions)+len(e.tags) > 0
}

func (a *app) publishCommand() *cobra.Command {
	var e attributes
	var lines bool
	var file string
	cmd := &cobra.Command{
		Use: "publish STREAM [DATA]", Aliases: []string{"pub"}, Short: "Publish an event, or one for each line",
		Long: "Publish DATA, or what is in --file or on standard input, as one event; with --lines each line is one.\n" +
			"What is printed for each is where it is stored, once it is stored durably.",
		Example: "  leat publish orders '{\"total\":12}' --type order.placed --key 4711\n  leat publish orders --lines < orders.ndjson",
		Args:    between(1, 2), ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var in io.Reader
			switch {
			case len(args) == 2 && file != "":
				return usageError("DATA and --file are two events; give one")
			case len(args) == 2:
				in = strings.NewReader(args[1])
			case file != "" && file != "-":
				f, err := openFile(file)
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			case file == "" && a.talking:
				return usageError("nothing to publish: give DATA, --file FILE, or --file - to type it")
			default:
				in = a.in
			}
			if lines {
				return a.publishLines(cmd.Context(), c, args[0], in, e)
			}
			return a.publishOne(cmd.Context(), c, args[0], in, e)
		},
	}
	f := cmd.Flags()
	f.StringVar(&e.id, "id", "", "CloudEvents id; the same id and source again is the same event (default random)")
	f.StringVar(&e.source, "source", "", "CloudEvents source")
	f.StringVar(&e.kind, "type", "", "CloudEvents type")
	f.StringVar(&e.subject, "subject", "", "CloudEvents subject: the path it is routed and filtered by")
	f.StringVarP(&e.key, "key", "k", "", "key: what the event is about")
	f.StringVar(&e.expect, "expect", "", "version the key must have: a number, none or exists")
	f.StringArrayVar(&e.tags, "tag", nil, "what the event is about, as course:7; may be repeated")
	f.StringArrayVar(&e.unless, "unless", nil, "do not publish when there is such an event: \"type=T tag=X after=POSITION\"; may be repeated")
	f.StringVar(&e.contentType, "content-type", "", "of the data (default JSON where it is JSON, else text)")
	f.StringArrayVar(&e.extensions, "ext", nil, "NAME=VALUE: a CloudEvents extension; may be repeated")
	f.BoolVar(&lines, "lines", false, "each line is an event")
	f.StringVarP(&file, "file", "f", "", "read from FILE; - is standard input")
	return cmd
}

// receipt is where an event is stored.
type receipt struct {
	Ref       string `json:"ref"`
	ID        string `json:"id"`
	Position  string `json:"position"`
	Version   uint64 `json:"version,omitempty"` // of the key; 0 where the stream keeps none
	Duplicate bool   `json:"duplicate"`

	Quarantined *setApart `json:"quarantined,omitempty"`
}

// setApart is an event that broke its contract and lies in quarantine, at ref, and not in its stream.
type setApart struct {
	Contract string `json:"contract"`
	Field    string `json:"field,omitempty"`
	Reason   string `json:"reason"`
}

var receiptColumns = []string{"ref", "id", "version", "duplicate", "position"}

func (r receipt) row() map[string]any {
	row := map[string]any{"ref": r.Ref, "id": r.ID, "duplicate": r.Duplicate, "position": r.Position}
	if r.Version != 0 {
		row["version"] = r.Version
	}
	return row
}

// publishOne sends one event: as a plain body when nothing is said about it, else as a CloudEvent in binary mode.
func (a *app) publishOne(ctx context.Context, c *client, stream string, in io.Reader, e attributes) error {
	data, err := io.ReadAll(io.LimitReader(in, eventBytesMax+1))
	if err != nil {
		return err
	}
	if len(data) > eventBytesMax {
		return usageError("one event has at most %d bytes", eventBytesMax)
	}
	h, err := e.header(stream, data)
	if err != nil {
		return err
	}
	res, err := c.open(ctx, "POST", streamPath(stream)+"/events", h, bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var r receipt
	if err := readAnswer(res, &r); err != nil {
		return err
	}
	if q := r.Quarantined; q != nil {
		fmt.Fprintf(a.err, "it breaks the contract %s and is in quarantine, not in %s: %s\nnext: leat contract quarantine show %s\n", q.Contract, stream, q.Reason, r.Ref)
	}
	if a.output == "json" {
		return a.json(r)
	}
	return a.list([]map[string]any{r.row()}, receiptColumns)
}

// header is what the flags say, as HTTP headers.
func (e *attributes) header(stream string, data []byte) (http.Header, error) {
	h := http.Header{"Accept": {contentTypeJSON}, "Content-Type": {first(e.contentType, guess(data))}}
	if e.expect != "" {
		h.Set("Leat-Expected-Version", e.expect)
	}
	for _, u := range e.unless {
		h.Add("Leat-Unless", u)
	}
	if !e.any() {
		return h, nil
	}
	set := func(name, value string) {
		if value != "" {
			h.Set("Ce-"+name, escapeHeader(value))
		}
	}
	set("Specversion", "1.0")
	set("Id", first(e.id, rand.Text()))
	set("Source", first(e.source, "leat-cli"))
	set("Type", first(e.kind, stream))
	set("Subject", e.subject)
	set("Partitionkey", e.key)
	set("Tags", strings.Join(e.tags, " "))
	for _, x := range e.extensions {
		name, value, ok := strings.Cut(x, "=")
		if !ok || name == "" {
			return nil, usageError("--ext %s: it looks like NAME=VALUE", x)
		}
		set(name, value)
	}
	return h, nil
}

// escapeHeader writes a CloudEvents attribute as an HTTP header value: space, quote, percent and what is not printable ASCII in percent form
// (CloudEvents HTTP binding, 3.1.3.2).
func escapeHeader(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '%' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func guess(data []byte) string {
	switch {
	case json.Valid(data):
		return contentTypeJSON
	case utf8.Valid(data):
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// publishLines sends each line as an event, in batches. Lines before one that is refused are published; the message says which it was.
func (a *app) publishLines(ctx context.Context, c *client, stream string, in io.Reader, e attributes) error {
	if e.id != "" || e.expect != "" || len(e.unless) > 0 {
		return usageError("--id, --expect and --unless are about one event; they do not go with --lines")
	}
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), lineBytesMax)
	p := a.progress()
	defer p.done()
	var batch []map[string]any
	size, line, sent, apart := 0, 0, 0, 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n, err := c.publishBatch(ctx, stream, batch)
		if err != nil {
			return fmt.Errorf("lines %d to %d: %w", line-len(batch)+1, line, err)
		}
		sent, apart = sent+len(batch)-n, apart+n
		batch, size = batch[:0], 0
		p.say("%d events published", sent)
		return nil
	}
	for s.Scan() {
		line++
		event, err := e.structured(stream, s.Bytes())
		if err != nil {
			return err
		}
		batch, size = append(batch, event), size+len(s.Bytes())
		if len(batch) == batchEvents || size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d has more than %d bytes; %d events are published", line+1, lineBytesMax, sent)
	}
	if err := errors.Join(s.Err(), flush()); err != nil {
		return err
	}
	p.done()
	row, columns := map[string]any{"stream": stream, "published": sent}, []string{"stream", "published"}
	if apart > 0 { // they broke a contract
		row["quarantined"], columns = apart, append(columns, "quarantined")
	}
	return a.list([]map[string]any{row}, columns)
}

// structured is one line as a CloudEvent in JSON.
func (e *attributes) structured(stream string, line []byte) (map[string]any, error) {
	ev := map[string]any{"specversion": "1.0", "id": rand.Text(), "source": first(e.source, "leat-cli"), "type": first(e.kind, stream)}
	if e.subject != "" {
		ev["subject"] = e.subject
	}
	if e.key != "" {
		ev["partitionkey"] = e.key
	}
	if len(e.tags) > 0 {
		ev["tags"] = strings.Join(e.tags, " ")
	}
	for _, x := range e.extensions {
		name, value, ok := strings.Cut(x, "=")
		if !ok || name == "" {
			return nil, usageError("--ext %s: it looks like NAME=VALUE", x)
		}
		ev[name] = value
	}
	kind := first(e.contentType, guess(line))
	ev["datacontenttype"] = kind
	switch {
	case json.Valid(line) && strings.HasPrefix(kind, contentTypeJSON):
		ev["data"] = json.RawMessage(bytes.Clone(line))
	case utf8.Valid(line):
		ev["data"] = string(line)
	default:
		ev["data_base64"] = bytes.Clone(line)
	}
	return ev, nil
}

// publishBatch publishes events in one append, and answers how many of them broke a contract and lie in quarantine.
func (c *client) publishBatch(ctx context.Context, stream string, batch []map[string]any) (apart int, err error) {
	b, err := json.Marshal(batch)
	if err != nil {
		return 0, err
	}
	h := http.Header{"Accept": {contentTypeJSON}, "Content-Type": {"application/cloudevents-batch+json"}}
	res, err := c.open(ctx, "POST", streamPath(stream)+"/events", h, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var got []receipt
	if err := readAnswer(res, &got); err != nil {
		return 0, err
	}
	for i := range got {
		if got[i].Quarantined != nil {
			apart++
		}
	}
	return apart, nil
}

// eventsPath is where the events of one or several streams are read.
func eventsPath(streams string, q url.Values) string {
	path := streamPath(streams) + "/events"
	if strings.Contains(streams, ",") {
		path = "/v1/events"
		q.Set("streams", streams)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return path
}
