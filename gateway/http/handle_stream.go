package http

import (
	nethttp "net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"leat/broker"
	"leat/broker/fault"
)

// Streams as resources: GET /v1/streams, GET, PUT and DELETE /v1/streams/{stream}. The ETag is the revision.

// streamConfigJSON is a stream's configuration in JSON. In a PUT, what is left out stays as it is.
type streamConfigJSON struct {
	Partitions    *int32            `json:"partitions,omitempty"`
	Keys          *string           `json:"keys,omitempty"`
	TimeOf        *string           `json:"time_of,omitempty"`
	BatchBytesMax *int              `json:"batch_bytes_max,omitempty"`
	DefaultType   *string           `json:"default_type,omitempty"`
	Documents     map[string]string `json:"documents,omitempty"`

	RetentionMS          *int64 `json:"retention_ms,omitempty"`
	RetentionBytes       *int64 `json:"retention_bytes,omitempty"`
	CompactionLagMS      *int64 `json:"compaction_lag_ms,omitempty"`
	TombstoneRetentionMS *int64 `json:"tombstone_retention_ms,omitempty"`

	CompactionMaxLagMS  *int64   `json:"compaction_max_lag_ms,omitempty"`
	CompactionTailMS    *int64   `json:"compaction_tail_ms,omitempty"`
	CompactionTailBytes *int64   `json:"compaction_tail_bytes,omitempty"`
	CompactionRatio     *float64 `json:"compaction_ratio,omitempty"`

	Tags      *bool `json:"tags,omitempty"`
	Immutable *bool `json:"immutable,omitempty"`
	Protected *bool `json:"protected,omitempty"`
}

type partitionJSON struct {
	Partition int   `json:"partition"`
	Start     int64 `json:"start"`
	End       int64 `json:"end"`
}

type streamJSON struct {
	Name       string           `json:"name"`
	Namespace  string           `json:"namespace"`
	ID         uint32           `json:"id"`
	Config     streamConfigJSON `json:"config"`
	Building   *int             `json:"keys_building,omitempty"`
	Partitions []partitionJSON  `json:"partitions"`
	Created    string           `json:"created"`
	Revision   uint64           `json:"revision"`
}

// listStreams answers a page of the streams the caller may see, by name.
func listStreams(x *call) error {
	if err := x.onlyParams("from", "prefix", "internal", "limit"); err != nil {
		return err
	}
	limit, err := x.limit(pageLimitDefault)
	if err != nil {
		return err
	}
	internal := x.param("internal")
	if internal != "" && internal != "true" && internal != "false" {
		return wrong("list", "internal", "%q is neither true nor false", clip(internal))
	}
	all, err := x.g.broker.ListStreams(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	after, prefix := x.param("from"), x.param("prefix")
	from := sort.Search(len(all), func(i int) bool { return all[i].Name > after && all[i].Name >= prefix })
	b := append(make([]byte, 0, 4<<10), `{"streams":[`...)
	n, last, more := 0, "", false
	for _, s := range all[from:] {
		if !strings.HasPrefix(s.Name, prefix) {
			break // sorted: nothing further has it
		}
		if s.Internal && internal != "true" {
			continue
		}
		if n == limit {
			more = true
			break
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), s.Name)
		b = strconv.AppendInt(appendName(b, "partitions"), int64(s.Partitions), 10)
		b = append(strconv.AppendBool(appendName(b, "internal"), s.Internal), '}')
		last = s.Name
		n++
	}
	b = append(b, `],"next":`...)
	if more {
		b = appendString(b, last)
	} else {
		b = append(b, "null"...)
	}
	x.answer(nethttp.StatusOK, contentTypeJSON, append(b, '}', '\n'))
	return nil
}

func getStream(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	info, err := x.g.broker.DescribeStream(x.r.Context(), x.caller(), x.params[0])
	if err != nil {
		return err
	}
	return x.answerStream(nethttp.StatusOK, info)
}

// putStream creates the stream, or changes it when it is there.
func putStream(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	var doc streamConfigJSON
	if err := decodeJSON("stream", x.body.bytes, &doc); err != nil {
		return err
	}
	change, err := doc.change()
	if err != nil {
		return err
	}
	revision, err := x.ifMatch()
	if err != nil {
		return err
	}
	name, ctx := x.params[0], x.r.Context()
	if revision == 0 {
		cfg := streamDefaults()
		if err := change(&cfg); err != nil {
			return err
		}
		info, err := x.g.broker.CreateStream(ctx, x.caller(), name, cfg)
		if err == nil {
			x.w.Header().Set("Location", "/v1/streams/"+name)
			return x.answerStream(nethttp.StatusCreated, info)
		}
		if !fault.Is(err, fault.Exists) || x.r.Header.Get("If-None-Match") == "*" {
			return bodyField(err)
		}
	}
	info, err := x.g.broker.AlterStream(ctx, x.caller(), name, change, revision)
	if err != nil {
		return bodyField(err)
	}
	return x.answerStream(nethttp.StatusOK, info)
}

func deleteStream(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.g.broker.DeleteStream(x.r.Context(), x.caller(), x.params[0]); err != nil {
		return err
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}

// ifMatch is the revision that If-Match names, 0 for none.
func (x *call) ifMatch() (uint64, error) {
	tag := x.r.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	n, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	if err != nil || n == 0 {
		return 0, wrong("stream", "If-Match", "%q is no ETag of ours", clip(tag))
	}
	return n, nil
}

func (x *call) answerStream(code int, info broker.StreamInfo) error {
	doc := streamJSON{
		Name: info.Name, ID: uint32(info.ID), Config: configJSON(&info),
		Partitions: partitionsJSON(info.Partitions), Created: info.Created.UTC().Format(time.RFC3339Nano),
		Namespace: info.Namespace, Revision: info.Revision,
	}
	if info.Building >= 0 {
		doc.Building = &info.Building
	}
	x.w.Header().Set("ETag", `"`+strconv.FormatUint(info.Revision, 10)+`"`)
	return x.answerJSON(code, doc)
}

func partitionsJSON(infos []broker.PartitionInfo) []partitionJSON {
	out := make([]partitionJSON, len(infos))
	for i, p := range infos {
		out[i] = partitionJSON{i, int64(p.Start), int64(p.End)}
	}
	return out
}

// wantJSON refuses a body that says it is something else.
func (x *call) wantJSON() error {
	if len(x.body.bytes) == 0 {
		return nil
	}
	media, _ := mediaType(x.r.Header["Content-Type"])
	if media == "" || media == "application/json" {
		return nil
	}
	return unsupportedMedia(media, "application/json", "this path takes application/json")
}
