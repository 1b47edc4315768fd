package schemaregistry

import (
	"context"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// Limits of one request about quarantine.
const (
	quarantineListed   = 100     // unless limit says otherwise
	quarantineListSize = 4 << 20 // bytes of records in one answer, but for a larger one
)

// aside is a record that waits in quarantine, as it is told. Key, value and headers are those that it came with.
type aside struct {
	Ref       string         `json:"ref"`
	Contract  string         `json:"contract"`
	Subject   string         `json:"subject"`
	Version   int            `json:"version,omitempty"`
	Field     string         `json:"field,omitempty"`
	Reason    string         `json:"reason"`
	Stream    string         `json:"stream"`
	Partition *int           `json:"partition,omitempty"`
	Offset    *record.Offset `json:"offset,omitempty"`
	Index     int            `json:"index"`
	Protocol  string         `json:"protocol,omitempty"`
	User      string         `json:"user,omitempty"`
	Time      string         `json:"time"` // of its producer
	Appended  string         `json:"appended"`
	Taken     bool           `json:"taken,omitempty"`
	Key       *bytesText     `json:"key,omitempty"`
	Value     *bytesText     `json:"value,omitempty"`
	Headers   []asideHeader  `json:"headers,omitempty"`
}

type asideHeader struct {
	Name  string     `json:"name"`
	Value *bytesText `json:"value,omitempty"`
}

// bytesText are bytes: as text where they are some, else in base64.
type bytesText struct {
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
}

func textOf(b []byte) *bytesText {
	if b == nil {
		return nil
	}
	if !utf8.Valid(b) {
		return &bytesText{Base64: b}
	}
	s := string(b)
	return &bytesText{Text: &s}
}

// bytes are those that it says; nil where it says none.
func (t *bytesText) bytes() []byte {
	switch {
	case t == nil:
		return nil
	case t.Text != nil:
		return []byte(*t.Text)
	}
	return t.Base64
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

func asideOf(q *broker.Quarantined) aside {
	r := q.AsItCame()
	a := aside{
		Ref: q.Ref.String(), Contract: q.Contract, Subject: q.Subject, Version: q.Version, Field: q.Field, Reason: q.Reason, Stream: q.Stream, Index: q.Index,
		Protocol: q.Protocol, User: q.User, Time: timeText(r.Timestamp), Appended: timeText(q.AppendTime), Taken: q.Taken, Key: textOf(r.Key), Value: textOf(r.Value),
	}
	if q.Partition != record.NoPartition {
		p := int(q.Partition)
		a.Partition = &p
	}
	if q.Offset >= 0 {
		a.Offset = &q.Offset
	}
	for _, h := range r.Headers {
		a.Headers = append(a.Headers, asideHeader{h.Key, textOf(h.Value)})
	}
	return a
}

// quarantinePage is what waits, oldest first. next: there may be more from there on.
type quarantinePage struct {
	Records []aside        `json:"records"`
	Next    *record.Offset `json:"next,omitempty"`
}

// GET /quarantine: what broke a contract and waits. ?contract= and ?stream= choose, ?limit= bounds, ?from= goes on at next.
func listQuarantine(ctx context.Context, x *call) (any, error) {
	q := broker.QuarantineQuery{Contract: x.query.Get("contract"), Stream: x.query.Get("stream"), Limit: quarantineListed}
	for name, to := range map[string]func(int64){
		"limit": func(n int64) { q.Limit = int(min(max(n, 1), broker.QuarantinePageMax)) }, "from": func(n int64) { q.From = record.Offset(max(n, 0)) },
	} {
		if s := x.query.Get(name); s != "" {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return nil, &problem{http.StatusBadRequest, http.StatusBadRequest, name + " is a number"}
			}
			to(n)
		}
	}
	found, next, err := x.g.b.QuarantineList(ctx, &x.caller, q)
	if err != nil {
		return nil, err
	}
	out := quarantinePage{Records: []aside{}}
	size := 0
	for i := range found {
		if size += len(found[i].Record.Key) + len(found[i].Record.Value); size > quarantineListSize && i > 0 {
			next = found[i].Ref.Offset
			break
		}
		out.Records = append(out.Records, asideOf(&found[i]))
	}
	if next >= 0 {
		out.Next = &next
	}
	return out, nil
}

// GET /quarantine/{offset}
func getQuarantined(ctx context.Context, x *call) (any, error) {
	n, err := strconv.ParseInt(x.vars["offset"], 10, 64)
	if err != nil || n < 0 {
		return nil, errPath
	}
	q, err := x.g.b.QuarantineRead(ctx, &x.caller, record.Ref{Stream: broker.QuarantineStream, Offset: record.Offset(n)})
	if err != nil {
		return nil, err
	}
	return asideOf(q), nil
}

// setFree says which records are to be replayed or dropped.
type setFree struct {
	Refs  []string   `json:"refs"`
	Value *bytesText `json:"value"` // of the one that is replayed, instead of its own
}

// freed is what became of one.
type freed struct {
	Ref     string `json:"ref"`
	Outcome string `json:"outcome"` // done, already, lost, unknown; or refused
	To      string `json:"to,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (x *call) refs(ctx context.Context, in *setFree) ([]record.Ref, error) {
	if err := x.body(ctx, in); err != nil {
		return nil, err
	}
	bad := func(text string) error {
		return &problem{http.StatusUnprocessableEntity, http.StatusUnprocessableEntity, text}
	}
	if len(in.Refs) == 0 || len(in.Refs) > broker.QuarantineReplayMax {
		return nil, bad("refs has from 1 to " + strconv.Itoa(broker.QuarantineReplayMax) + " refs of records in quarantine")
	}
	out := make([]record.Ref, len(in.Refs))
	for i, s := range in.Refs {
		r, err := record.ParseRef(s)
		if err != nil || r.Stream != broker.QuarantineStream {
			return nil, bad("refs[" + strconv.Itoa(i) + "] is no ref of " + broker.QuarantineStream)
		}
		out[i] = r
	}
	return out, nil
}

// POST /quarantine/replay: each is appended to its stream under its contracts as they are now, and waits no more; or stays, with the reason.
func replayQuarantined(ctx context.Context, x *call) (any, error) {
	var in setFree
	refs, err := x.refs(ctx, &in)
	if err != nil {
		return nil, err
	}
	var mend func(*record.Record)
	if in.Value != nil {
		if len(refs) != 1 {
			return nil, &problem{http.StatusUnprocessableEntity, http.StatusUnprocessableEntity, "with a value, refs has one ref"}
		}
		mend = func(r *record.Record) { r.Value = in.Value.bytes() }
	}
	out := make([]freed, len(refs))
	for i, r := range refs {
		got, err := x.g.b.ReplayQuarantined(ctx, &x.caller, r, mend)
		out[i] = freed{Ref: r.String(), Outcome: broker.OutcomeDone.String(), To: got.Ref.String()}
		if err != nil {
			f := fault.As(err)
			if f.Kind == fault.Unknown || f.Kind == fault.Unavailable || f.Kind == fault.Denied && i == 0 {
				return nil, err
			}
			out[i].To, out[i].Outcome, out[i].Reason = "", "refused", f.Text
			if f.Kind == fault.NotFound && f.Subject == r.String() {
				out[i].Outcome = broker.OutcomeAlready.String()
			}
		}
	}
	return map[string]any{"outcomes": out}, nil
}

// POST /quarantine/drop: they wait no more.
func dropQuarantined(ctx context.Context, x *call) (any, error) {
	var in setFree
	refs, err := x.refs(ctx, &in)
	if err != nil {
		return nil, err
	}
	got, err := x.g.b.DropQuarantined(ctx, &x.caller, refs)
	if err != nil {
		return nil, err
	}
	out := make([]freed, len(refs))
	for i, o := range got {
		out[i] = freed{Ref: refs[i].String(), Outcome: o.String()}
	}
	return map[string]any{"outcomes": out}, nil
}
