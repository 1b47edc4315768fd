package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"leat/internal/avrofile"
	"leat/internal/clock"
)

const (
	importBytes    = 768 << 10 // of one request, about; a partition takes 1 MiB at once unless its stream says otherwise
	importLines    = 5000      // of one request, at most
	importTriesMax = 20        // of a request that the node cannot take now
	importAhead    = 2         // requests read ahead of the one on its way
)

type importOptions struct {
	file       string
	fromLine   int
	partitions int
	any        bool
}

func (a *app) streamImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "import NAME", Short: "Append what export wrote, in either form, or any CloudEvents in NDJSON", Args: exactly(1), ValidArgsFunction: a.completeStreams,
		Long: "Append lines from standard input or --file to a stream, which is made when it is not there. Lines of an export become the same records again: key, value, headers,\n" +
			"timestamp and partition; offsets are new ones. Other lines are CloudEvents in JSON. Lines are appended in batches, each as one or not at all.\n\n" +
			"When it fails it says at which line. Run it again with --from-line, or from the start within ten minutes: what is there already is left out.",
		Example: "  leat stream import orders < orders.ndjson\n  leat stream import orders2 --partitions 8 --any-partition --file orders.ndjson",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			in := a.in
			switch {
			case o.file != "" && o.file != "-":
				f, err := openFile(o.file)
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			case o.file == "" && a.talking:
				return usageError("nothing to import: give --file FILE, or --file - to type it")
			}
			if o.fromLine < 1 || o.partitions < 0 {
				return usageError("lines count from 1, and partitions are a number")
			}
			return a.importTo(cmd.Context(), c, args[0], in, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "", "read from FILE; - is standard input")
	f.IntVar(&o.fromLine, "from-line", 1, "leave out the lines before this one")
	f.IntVar(&o.partitions, "partitions", 0, "of the stream, if it has to be made (default 1)")
	f.BoolVar(&o.any, "any-partition", false, "choose partitions by key instead of keeping those of the export")
	return cmd
}

// chunk is some lines on their way.
type chunk struct {
	first int // number of the first line
	lines int
	bytes []byte
	err   error // of reading; the last one
}

type imported struct {
	Events     int64  `json:"events"`
	Duplicates int64  `json:"duplicates"`
	LastRef    string `json:"last_ref"`
}

func (a *app) importTo(ctx context.Context, c *client, stream string, in io.Reader, o importOptions) error {
	if o.partitions > 0 {
		if err := c.makeStream(ctx, stream, o.partitions); err != nil {
			return err
		}
	}
	path := streamPath(stream) + "/import"
	if o.any {
		path += "?partitions=any"
	}
	file := bufio.NewReaderSize(in, 1<<20)
	if begin, _ := file.Peek(4); avrofile.IsFile(begin) {
		if o.fromLine != 1 {
			return usageError("a file of Avro has no lines; import it again within ten minutes: what is there already is left out")
		}
		sum, err := a.importAvro(ctx, c, path, file)
		if err != nil {
			return fmt.Errorf("%w; %d events are stored", err, sum.Events)
		}
		return a.sayImported(stream, sum)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chunks := make(chan chunk, importAhead)
	go readChunks(ctx, file, o.fromLine, chunks)
	p := a.progress()
	defer p.done()
	var sum imported
	var size int64
	began := clock.Now()
	for ch := range chunks {
		if ch.lines > 0 {
			got, err := c.importChunk(ctx, path, ch)
			sum.Events, sum.Duplicates, sum.LastRef = sum.Events+got.Events, sum.Duplicates+got.Duplicates, first(got.LastRef, sum.LastRef)
			if err != nil {
				return fmt.Errorf("%w; %d events are stored", err, sum.Events)
			}
			size += int64(len(ch.bytes))
			p.say("%d events imported, up to line %d, %.0f MB/s", sum.Events, ch.first+ch.lines-1, float64(size)/1e6/max(clock.Since(began).Seconds(), 1e-3))
		}
		if ch.err != nil {
			return fmt.Errorf("%w; %d events are stored", ch.err, sum.Events)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.done()
	return a.sayImported(stream, sum)
}

func (a *app) sayImported(stream string, sum imported) error {
	return a.describe(map[string]any{"stream": stream, "imported": sum.Events - sum.Duplicates, "there_already": sum.Duplicates, "last_ref": sum.LastRef},
		[]string{"stream", "imported", "there_already", "last_ref"})
}

// makeStream makes a stream that is not there.
func (c *client) makeStream(ctx context.Context, stream string, partitions int) error {
	err := c.call(ctx, "GET", streamPath(stream), nil, nil)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return c.call(ctx, "PUT", streamPath(stream), map[string]any{"partitions": partitions}, nil)
	}
	return err
}

// readChunks cuts the input at line ends into requests.
func readChunks(ctx context.Context, r *bufio.Reader, from int, out chan<- chunk) {
	defer close(out)
	number := 0
	ch := chunk{first: from}
	send := func(next int) bool {
		select {
		case out <- ch:
			ch = chunk{first: next}
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		line, err := readImportLine(r)
		if len(line) > 0 {
			number++
		}
		if len(line) > 0 && number >= from {
			if ch.lines > 0 && (len(ch.bytes)+len(line) > importBytes || ch.lines >= importLines) && !send(number) {
				return
			}
			ch.bytes, ch.lines = append(ch.bytes, line...), ch.lines+1
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				ch.err = fmt.Errorf("line %d: %w", number+1, err)
			}
			send(number)
			return
		}
	}
}

var errLineTooLong = fmt.Errorf("it has more than %d bytes", eventBytesMax)

// readImportLine reads one line with its end, however long up to eventBytesMax. The bytes are good until the next call.
func readImportLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > eventBytesMax {
			return nil, errLineTooLong
		}
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// importChunk sends one request, again while the node cannot take it. One that is too large is cut in two.
func (c *client) importChunk(ctx context.Context, path string, ch chunk) (got imported, err error) {
	pause := reconnectFirst
	for range importTriesMax {
		got, err = c.importOnce(ctx, path, ch.bytes)
		var p *problem
		if err == nil || !errors.As(err, &p) {
			break
		}
		if p.Status == http.StatusRequestEntityTooLarge && ch.lines > 1 {
			return c.importHalves(ctx, path, ch)
		}
		// "unknown" may have happened: only whoever runs the command knows whether its lines can be told apart.
		if p.exit() != exitLater || p.Kind == "unknown" {
			break
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return got, err
		}
		pause = min(2*pause, reconnectMost)
	}
	if err != nil {
		err = atLine(err, ch)
	}
	return got, err
}

func (c *client) importHalves(ctx context.Context, path string, ch chunk) (imported, error) {
	half, at := ch.lines/2, 0
	for range half {
		at += bytes.IndexByte(ch.bytes[at:], '\n') + 1
	}
	a, err := c.importChunk(ctx, path, chunk{first: ch.first, lines: half, bytes: ch.bytes[:at]})
	if err != nil {
		return a, err
	}
	b, err := c.importChunk(ctx, path, chunk{first: ch.first + half, lines: ch.lines - half, bytes: ch.bytes[at:]})
	return imported{a.Events + b.Events, a.Duplicates + b.Duplicates, first(b.LastRef, a.LastRef)}, err
}

func (c *client) importOnce(ctx context.Context, path string, lines []byte) (got imported, err error) {
	h := http.Header{"Accept": {contentTypeJSON}, "Content-Type": {"application/x-ndjson"}}
	res, err := c.open(ctx, "POST", path, h, bytes.NewReader(lines))
	if err != nil {
		return got, err
	}
	defer res.Body.Close()
	return got, readAnswer(res, &got)
}

// atLine says at which line of the input it failed, and how to go on.
func atLine(err error, ch chunk) error {
	line, where := ch.first, fmt.Sprintf("lines %d to %d", ch.first, ch.first+ch.lines-1)
	var p *problem
	if errors.As(err, &p) {
		index, _, _ := strings.Cut(strings.TrimPrefix(p.Pointer, "/"), "/")
		if n, bad := strconv.Atoi(index); bad == nil && n < ch.lines {
			where = fmt.Sprintf("line %d", ch.first+n)
			p.Pointer = "" // would count from 0, and within the batch
		}
	}
	advice := fmt.Sprintf("nothing of lines %d to %d is stored; mend the input, and go on with --from-line %d", line, line+ch.lines-1, line)
	switch {
	case p == nil || p.Kind == "unknown":
		advice = fmt.Sprintf("some lines may be stored; go on with --from-line %d within ten minutes: what is there is left out", line)
	case strings.Contains(p.Detail, "there is no partition"):
		advice = fmt.Sprintf("make the stream with more partitions (leat stream create NAME --partitions N), or choose them by key with --any-partition; go on with --from-line %d", line)
	case p.exit() == exitLater:
		advice = fmt.Sprintf("go on with --from-line %d", line)
	}
	return advised{fmt.Errorf("%s: %w", where, err), advice}
}
