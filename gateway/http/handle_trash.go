package http

import (
	"encoding/json"
	nethttp "net/http"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// What removes events and brings streams back: POST /v1/streams/{stream}/truncate, POST /v1/streams/{stream}/undelete, GET /v1/trash.

// truncateJSON says up to where events go. One member of before is given.
type truncateJSON struct {
	Before    *beforeJSON `json:"before"`
	Partition *int32      `json:"partition,omitempty"` // left out: all of them
}

type beforeJSON struct {
	Offset   *int64  `json:"offset,omitempty"`
	Time     *string `json:"time,omitempty"`     // of the append, RFC 3339
	Position *string `json:"position,omitempty"` // what was read up to there goes
	Latest   *bool   `json:"latest,omitempty"`   // all there is now
}

func truncateStream(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	var doc truncateJSON
	if err := decodeJSON("truncate", x.body.bytes, &doc); err != nil {
		return err
	}
	t := broker.Truncation{Stream: x.params[0], Partition: record.NoPartition}
	var err error
	if t.Before, err = doc.Before.start(); err != nil {
		return err
	}
	if doc.Partition != nil {
		if *doc.Partition < 0 {
			return wrong("truncate", "partition", "partition is %d; it must be a number from 0 on", *doc.Partition).at("/partition")
		}
		t.Partition = record.PartitionID(*doc.Partition)
	}
	infos, err := x.g.broker.Truncate(x.r.Context(), x.caller(), t)
	if err != nil {
		return bodyField(err)
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Partitions []partitionJSON `json:"partitions"`
	}{partitionsJSON(infos)})
}

// start is the place that is meant.
func (b *beforeJSON) start() (broker.Start, error) {
	var s broker.Start
	given := 0
	if b != nil {
		if b.Offset != nil {
			given++
			s = broker.Start{Kind: broker.StartOffset, Offset: record.Offset(*b.Offset)}
		}
		if b.Time != nil {
			given++
			at, err := time.Parse(time.RFC3339Nano, *b.Time)
			if err != nil {
				return s, wrong("truncate", "time", "%q is not a time as in RFC 3339", clip(*b.Time)).at("/before/time")
			}
			s = broker.Start{Kind: broker.StartTime, Time: at.UnixMilli()}
		}
		if b.Position != nil {
			given++
			p, err := record.ParsePosition(*b.Position)
			if err != nil {
				return s, wrong("truncate", "position", "%q is not a position", clip(*b.Position)).at("/before/position")
			}
			s = broker.Start{Kind: broker.StartPosition, Position: p}
		}
		if b.Latest != nil && *b.Latest {
			given++
			s = broker.Start{Kind: broker.StartLatest}
		}
	}
	if given != 1 {
		return s, wrong("truncate", "before", `say before what events are to go: "before" has one of "offset", "time", "position", and "latest": true`).at("/before")
	}
	return s, nil
}

func undeleteStream(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	var doc struct {
		As string `json:"as"`
	}
	if err := decodeJSON("undelete", x.body.bytes, &doc); err != nil {
		return err
	}
	info, err := x.g.broker.UndeleteStream(x.r.Context(), x.caller(), x.params[0], doc.As)
	if err != nil {
		return err
	}
	x.w.Header().Set("Location", "/v1/streams/"+info.Name)
	return x.answerStream(nethttp.StatusOK, info)
}

type deletedJSON struct {
	Name     string `json:"name"`
	ID       uint32 `json:"id"`
	Deleted  string `json:"deleted"`
	Until    string `json:"until"`
	By       string `json:"by,omitempty"`
	Protocol string `json:"protocol,omitempty"`
}

// listTrash answers the deleted streams of a namespace that can be brought back.
func listTrash(x *call) error {
	if err := x.onlyParams("from", "limit"); err != nil {
		return err
	}
	limit, err := x.limit(pageLimitDefault)
	if err != nil {
		return err
	}
	all, err := x.g.broker.ListDeleted(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	answer := struct {
		Trash []deletedJSON   `json:"trash"`
		Next  json.RawMessage `json:"next"`
	}{[]deletedJSON{}, json.RawMessage("null")}
	after := x.param("from")
	for i, d := range all {
		if after != "" && d.Name <= after {
			continue
		}
		// A page ends with the last one of a name, because the next one begins after the name.
		if len(answer.Trash) >= limit && d.Name != all[i-1].Name {
			answer.Next = appendString(nil, all[i-1].Name)
			break
		}
		answer.Trash = append(answer.Trash, deletedJSON{
			d.Name, uint32(d.ID), d.Deleted.UTC().Format(time.RFC3339Nano), d.Until.UTC().Format(time.RFC3339Nano), d.By, d.Protocol,
		})
	}
	return x.answerJSON(nethttp.StatusOK, answer)
}
