package http

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"reflect"
	"strconv"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/internal/avrofile"
)

// Export and import as object container files of Avro. Each piece of an export is a file of its own; files with the same schema and codec can be joined
// by whoever writes one sync behind all blocks, which `leat stream export` does. A record is what it is, byte by byte: the value is not looked into.

// avroSchema is of one stored record.
const avroSchema = `{"type":"record","name":"Record","namespace":"leat","fields":[` +
	`{"name":"stream","type":"string"},` +
	`{"name":"partition","type":"int"},` +
	`{"name":"offset","type":"long"},` +
	`{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-millis"}},` +
	`{"name":"appended","type":{"type":"long","logicalType":"timestamp-millis"}},` +
	`{"name":"key","type":["null","bytes"]},` +
	`{"name":"headers","type":{"type":"array","items":{"type":"record","name":"Header","fields":[{"name":"name","type":"string"},{"name":"value","type":["null","bytes"]}]}}},` +
	`{"name":"value","type":["null","bytes"]}]}`

const (
	mediaAvro = "application/avro"
	// avroBlockBytes is how much a block has before it is compressed, about: one is sent to an import at once.
	avroBlockBytes = 256 << 10
	// avroHeadersMax is how many headers a record of a file may have.
	avroHeadersMax = 10_000
)

var contentTypeAvro = []string{mediaAvro}

// exportFormat is what an export is written as: the codec of its blocks, "" for lines.
func (x *call) exportFormat() (codec string, err error) {
	format, codec := x.param("format"), x.param("codec")
	switch {
	case format != "" && format != "ndjson" && format != "avro":
		return "", wrong("export", "format", "%q is no format; ndjson and avro are", clip(format))
	case format != "avro" && codec != "":
		return "", wrong("export", "codec", "codecs are of format=avro")
	case format != "avro":
		return "", nil
	case codec == "":
		return avrofile.Deflate, nil
	case !avrofile.IsCodec(codec):
		return "", wrong("export", "codec", "%q is no codec; null, deflate and zstandard are", clip(codec))
	}
	return codec, nil
}

// appendAvro appends a file of events.
func appendAvro(dst []byte, events []*broker.Delivered, codec string) ([]byte, error) {
	var sync avrofile.Sync
	if _, err := rand.Read(sync[:]); err != nil {
		return dst, err
	}
	dst = avrofile.AppendHeader(dst, avroSchema, codec, sync)
	var data []byte
	first := 0
	for i, d := range events {
		data = appendAvroRecord(data, d)
		if len(data) < avroBlockBytes && i < len(events)-1 {
			continue
		}
		var err error
		if dst, err = avrofile.AppendBlock(dst, i+1-first, data, codec, sync); err != nil {
			return dst, err
		}
		data, first = data[:0], i+1
	}
	return dst, nil
}

func appendAvroRecord(b []byte, d *broker.Delivered) []byte {
	r := d.Record
	b = avrofile.AppendBytes(b, []byte(d.Ref.Stream))
	for _, n := range [...]int64{int64(d.Ref.Partition), int64(d.Ref.Offset), r.Timestamp, d.AppendTime} {
		b = avrofile.AppendLong(b, n)
	}
	b = avrofile.AppendOptional(b, r.Key)
	if len(r.Headers) > 0 {
		b = avrofile.AppendLong(b, int64(len(r.Headers)))
		for i := range r.Headers {
			b = avrofile.AppendOptional(avrofile.AppendBytes(b, []byte(r.Headers[i].Key)), r.Headers[i].Value)
		}
	}
	b = avrofile.AppendLong(b, 0) // the end of the headers
	return avrofile.AppendOptional(b, r.Value)
}

// readAvro reads the records of a file into a. Where the identity of one comes from is told by importLine.
func (x *call) readAvro(a *broker.EventsAppend, keep bool) error {
	f, err := avrofile.NewReader(bytes.NewReader(x.body.bytes))
	if err != nil {
		return wrong("import", "body", "%s", err)
	}
	if !sameSchema(f.Schema) {
		return wrong("import", "body", "the records of the file are others than those that an export has; `leat.Record` is taken")
	}
	size := 0
	for {
		n, data, err := f.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			data, err = f.Inflate(data)
		}
		if err != nil {
			return wrong("import", "body", "%s", err)
		}
		if size += len(data); size > x.g.config.BodyBytesMax {
			return &problem{fault: fault.New(fault.TooLarge, "import", "body", "the file has more than %d bytes when it is inflated; send fewer blocks at a time", x.g.config.BodyBytesMax)}
		}
		if n > x.g.config.EventsMax-len(a.Events) {
			return &problem{fault: fault.New(fault.TooLarge, "import", "body", "the file has more than %d records; send fewer blocks at a time", x.g.config.EventsMax)}
		}
		d := avrofile.Data{Rest: data}
		for range n {
			e, ok := readAvroRecord(&d, x.target.stream, keep)
			if !ok {
				return wrong("import", "body", "record %d of the file is malformed", len(a.Events))
			}
			a.Events = append(a.Events, e)
		}
		if len(d.Rest) > 0 {
			return wrong("import", "body", "a block has more than its records")
		}
	}
}

func readAvroRecord(d *avrofile.Data, stream string, keep bool) (e broker.EventEntry, ok bool) {
	ref := record.Ref{Stream: string(d.Bytes())}
	partition, offset := d.Long(), d.Long()
	ref.Partition, ref.Offset = record.PartitionID(partition), record.Offset(offset)
	r := record.Record{Timestamp: d.Long()}
	d.Long() // of the append, which is another now
	r.Key = d.Optional()
	d.Array(func() {
		if len(r.Headers) < avroHeadersMax {
			r.Headers = append(r.Headers, record.Header{Key: string(d.Bytes()), Value: d.Optional()})
		} else {
			d.Bad = true
		}
	})
	r.Value = d.Optional()
	if d.Bad || partition < 0 || int64(ref.Partition) != partition || offset < 0 {
		return e, false
	}
	e = broker.EventEntry{Stream: stream, Partition: record.NoPartition, Dated: true, Record: r, Source: "leat:import:avro"}
	if keep {
		e.Partition = ref.Partition
	}
	e.ID = ref.String() + "@" + strconv.FormatInt(r.Timestamp, 10)
	return e, true
}

// sameSchema reports whether a schema is that of an export, however it is written.
func sameSchema(text string) bool {
	if text == avroSchema {
		return true
	}
	var got, want any
	if json.Unmarshal([]byte(text), &got) != nil || json.Unmarshal([]byte(avroSchema), &want) != nil {
		return false
	}
	return reflect.DeepEqual(got, want)
}

// answerAvro answers with a piece of an export.
func (x *call) answerAvro(page *broker.Page, codec string) error {
	body, err := appendAvro(nil, page.Events, codec)
	if err != nil {
		return err
	}
	x.answer(nethttp.StatusOK, contentTypeAvro, body)
	return nil
}
