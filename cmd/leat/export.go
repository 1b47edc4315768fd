package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"leat/internal/avrofile"
	"leat/internal/clock"
)

// exportWait is how long a request waits for more at the end; shorter than a client waits for an answer to begin.
const exportWait = 8 * time.Second

type exportOptions struct {
	from, until   string
	follow        bool
	format, codec string
}

func (a *app) streamExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export NAME", Short: "Write a stream's events as NDJSON or Avro, from which import makes the same again", Args: exactly(1), ValidArgsFunction: a.completeStreams,
		Long: "Write the events of a stream to standard output, one JSON CloudEvent a line, with what it takes to make the same records of them again: key, value, headers\n" +
			"and timestamp byte by byte. With --format avro it is an object container file of Avro, of records with the same. Without --until it ends at the end of the stream; with --follow it goes on with what comes.",
		Example: "  leat stream export orders > orders.ndjson\n  leat stream export orders --from -24h --until 2026-11-21T00:00:00Z | gzip > day.ndjson.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if o.follow && o.until != "" {
				return usageError("--follow has no end; leave --until out")
			}
			if o.format != "ndjson" && o.format != "avro" || o.format != "avro" && cmd.Flags().Changed("codec") {
				return usageError("--format is ndjson or avro, and --codec goes with avro")
			}
			if !avrofile.IsCodec(o.codec) {
				return usageError("--codec is null, deflate or zstandard")
			}
			if o.format == "avro" && a.terminal {
				return usageError("a file of Avro is nothing for a terminal; send it to a file")
			}
			return a.export(cmd.Context(), c, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "earliest (default), latest, a time (RFC 3339), -1h, offset:N or a position")
	f.StringVar(&o.until, "until", "", "up to latest (default), before a time (RFC 3339), -1h or offset:N, or with a position")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	f.StringVar(&o.format, "format", "ndjson", "ndjson, or avro: an object container file")
	f.StringVar(&o.codec, "codec", avrofile.Deflate, "of --format avro: null, deflate or zstandard")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"ndjson", "avro"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("codec", cobra.FixedCompletions([]string{avrofile.Null, avrofile.Deflate, avrofile.Zstd}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// export writes piece by piece. A piece is read whole before it is written: one that broke off is asked for again, and no line is written
// twice.
func (a *app) export(ctx context.Context, c *client, stream string, o exportOptions) error {
	p := a.progress()
	defer p.done()
	var written int64
	next, pause := o.from, reconnectFirst
	var joined *joinedFile
	if o.format == "avro" {
		joined = &joinedFile{}
	}
	for {
		piece, err := c.exportPiece(ctx, stream, next, o)
		switch {
		case ctx.Err() != nil && o.follow:
			return nil
		case err != nil && (!o.follow || written == 0 && next == o.from || !later(err)):
			return err
		case err != nil:
			fmt.Fprintf(a.err, "leat: the node went away (%v); going on in %v\n", err, pause)
			if clock.Sleep(ctx, pause) != nil {
				return nil
			}
			pause = min(2*pause, reconnectMost)
			continue
		}
		pause = reconnectFirst
		if joined != nil {
			if piece.lines, err = joined.add(piece.lines); err != nil {
				return err
			}
		}
		if _, err := a.out.Write(piece.lines); err != nil {
			return err
		}
		written += int64(len(piece.lines))
		stuck := piece.next == next
		next = piece.next
		if !o.follow && (piece.caughtUp || stuck) {
			return nil
		}
		if !a.terminal {
			p.say("%d MiB exported", written>>20)
		}
	}
}

// later reports whether the same may work at another time: the node is away, or says so.
func later(err error) bool {
	var p *problem
	if errors.As(err, &p) {
		return p.exit() == exitLater
	}
	return true
}

type exportPiece struct {
	lines    []byte
	next     string
	caughtUp bool
}

func (c *client) exportPiece(ctx context.Context, stream, from string, o exportOptions) (piece exportPiece, err error) {
	q := url.Values{"limit": {strconv.Itoa(pageEvents)}}
	if from != "" {
		q.Set("from", from)
	}
	if o.until != "" {
		q.Set("until", o.until)
	}
	if o.follow {
		q.Set("wait", exportWait.String())
	}
	if o.format == "avro" {
		q.Set("format", o.format)
		q.Set("codec", o.codec)
	}
	res, err := c.open(ctx, "GET", streamPath(stream)+"/export?"+q.Encode(), http.Header{"Accept": {"application/x-ndjson, application/avro"}}, nil)
	if err != nil {
		return piece, err
	}
	defer res.Body.Close()
	piece.next, piece.caughtUp = res.Header.Get("Leat-Next"), res.Header.Get("Leat-Caught-Up") == "true"
	if piece.next == "" {
		return piece, fmt.Errorf("what answers at %s is not a Leat node that exports", c.base)
	}
	if n := res.ContentLength; n > 0 && n <= answerBytesMax {
		piece.lines = make([]byte, n)
		_, err = io.ReadFull(res.Body, piece.lines)
		return piece, err
	}
	piece.lines, err = io.ReadAll(io.LimitReader(res.Body, answerBytesMax+1))
	if err == nil && len(piece.lines) > answerBytesMax {
		err = fmt.Errorf("a piece of the export has more than %d bytes", answerBytesMax)
	}
	return piece, err
}
