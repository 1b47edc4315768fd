package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"leat/internal/avrofile"
	"leat/internal/clock"
)

// joinedFile makes one object container file of Avro of many: it has the header of the first, and its sync behind all blocks, which stay as they are.
type joinedFile struct {
	schema, codec string
	sync          avrofile.Sync
}

// add gives what to write for the next file.
func (j *joinedFile) add(piece []byte) (out []byte, err error) {
	r, err := avrofile.NewReader(bytes.NewReader(piece))
	if err != nil {
		return nil, fmt.Errorf("a piece of the export: %w", err)
	}
	switch {
	case j.schema == "":
		j.schema, j.codec, j.sync = r.Schema, r.Codec, r.Sync
		out = avrofile.AppendHeader(nil, j.schema, j.codec, j.sync)
	case j.schema != r.Schema || j.codec != r.Codec:
		return nil, errors.New("the node was replaced by one that exports otherwise; begin again")
	}
	for {
		n, data, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("a piece of the export: %w", err)
		}
		out = avrofile.AppendRaw(out, n, data, j.sync)
	}
}

// importAvro appends a file of Avro, a block at a time, each as one or not at all.
func (a *app) importAvro(ctx context.Context, c *client, path string, in *bufio.Reader) (sum imported, err error) {
	r, err := avrofile.NewReader(in)
	if err != nil {
		return sum, err
	}
	p := a.progress()
	defer p.done()
	records := 0
	for {
		n, data, err := r.Next()
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return sum, fmt.Errorf("behind record %d: %w", records, err)
		}
		if n == 0 {
			continue
		}
		file := avrofile.AppendRaw(avrofile.AppendHeader(nil, r.Schema, r.Codec, r.Sync), n, data, r.Sync)
		got, err := c.importBlock(ctx, path, file)
		if err != nil {
			return sum, fmt.Errorf("records %d to %d: %w", records, records+n-1, err)
		}
		sum.Events, sum.Duplicates, sum.LastRef = sum.Events+got.Events, sum.Duplicates+got.Duplicates, got.LastRef
		records += n
		p.say("%d events imported", records)
	}
}

// importBlock sends one request, again while the node cannot take it.
func (c *client) importBlock(ctx context.Context, path string, file []byte) (got imported, err error) {
	pause := reconnectFirst
	for range importTriesMax {
		var res *http.Response
		h := http.Header{"Accept": {contentTypeJSON}, "Content-Type": {"application/avro"}}
		if res, err = c.open(ctx, "POST", path, h, bytes.NewReader(file)); err == nil {
			err = readAnswer(res, &got)
			err = errors.Join(err, res.Body.Close())
		}
		var p *problem
		if err == nil || !errors.As(err, &p) || p.exit() != exitLater || p.Kind == "unknown" {
			return got, err
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return got, err
		}
		pause = min(2*pause, reconnectMost)
	}
	return got, err
}
