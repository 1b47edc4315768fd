package http

import (
	nethttp "net/http"
	"strconv"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// Dead letters of a subscription: GET /v1/subscriptions/{name}/dead-letters is a page of them, with ?group=cause of how many died of what;
// POST there {"events":[{"ref":…,"reason":…}]} gives events up, for a subscription that keeps positions;
// POST /v1/subscriptions/{name}/dead-letters/replay {"refs":[…],"per_second":10} hands some to the subscription again, and …/drop {"refs":[…]} or {"all":true} has
// them shown no more.

const (
	// deadScanMax is how many events of the stream of dead letters one request for groups looks at.
	deadScanMax = 10_000
	// deadGroupsMax is how many groups one answer has; types are the senders' to choose.
	deadGroupsMax = 1_000
	// deadRefsMax is how many letters of a group are named.
	deadRefsMax = 100
	// replayMax is how many are handed over again at once.
	replayMax = 1_000
)

func deadLetters(x *call) error {
	if err := x.onlyParams("from", "limit", "group"); err != nil {
		return err
	}
	from, err := x.start("", false)
	if err != nil {
		return err
	}
	limit, err := x.limit(pageLimitDefault)
	if err != nil {
		return err
	}
	switch group := x.param("group"); {
	case group == "cause" && x.param("limit") != "":
		return wrong("read", "limit", "groups have no limit; they are of up to %d events of the stream", deadScanMax)
	case group == "cause":
		return x.groupDead(from)
	case group != "":
		return wrong("read", "group", "%q is no way to group; cause is", clip(group))
	}
	letters, next, more, err := x.g.broker.DeadLetters(x.r.Context(), x.caller(), x.params[0], from, limit)
	if err != nil {
		return fieldOf(err, "from")
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	*buf = appendDead((*buf)[:0], letters, next, more, x.g.config.PageBytesMax)
	x.answer(nethttp.StatusOK, contentTypeJSON, *buf)
	return nil
}

// appendDead appends {"dead_letters":[…],"next":…,"caught_up":…}, of so many bytes at most but for one letter.
func appendDead(b []byte, letters []broker.DeadLetter, next record.Position, more bool, bytesMax int) []byte {
	b = append(b, `{"dead_letters":[`...)
	for i := range letters {
		l := &letters[i]
		e := l.Encoded(formatJSON, encodeJSON)
		if i > 0 && len(b)+len(e) > bytesMax {
			next, more = letters[i-1].Position, true
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMember(appendPlace(append(b, '{'), l.Delivered), "reason", l.Reason)
		b = strconv.AppendInt(appendName(b, "attempts"), int64(l.Attempts), 10)
		b = appendMember(b, "origin", l.Origin.String())
		if l.Died.UnixMilli() > 0 {
			b = appendMember(b, "died", l.Died.UTC().Format(time.RFC3339Nano))
		}
		b = append(append(appendName(b, "event"), e...), '}')
	}
	return appendDeadEnd(append(b, ']'), next, more)
}

// appendDeadEnd says where to go on; nowhere is the empty text.
func appendDeadEnd(b []byte, next record.Position, more bool) []byte {
	b = append(b, `,"next":"`...)
	if next != (record.Position{}) {
		b = next.Append(b)
	}
	return append(strconv.AppendBool(append(b, `","caught_up":`...), !more), '}', '\n')
}

// deadGroup is the dead letters of one cause: why, and what kind of event.
type deadGroup struct {
	reason, kind   string
	count          int
	oldest, newest time.Time
	refs           []record.Ref
}

// groupDead counts dead letters by cause. Groups come in the order in which they began. It goes on where it ended as pages do.
func (x *call) groupDead(from broker.Start) error {
	type cause struct{ reason, kind string }
	groups, places := []deadGroup{}, map[cause]int{}
	var next record.Position
	more := true
	for left := deadScanMax; left > 0 && more && len(groups) < deadGroupsMax; left -= pageLimitMax {
		var letters []broker.DeadLetter
		var err error
		// A page has no more causes than letters, so that a few groups too many are all there can be.
		letters, next, more, err = x.g.broker.DeadLetters(x.r.Context(), x.caller(), x.params[0], from, pageLimitMax)
		if err != nil {
			return fieldOf(err, "from")
		}
		for i := range letters {
			l := &letters[i]
			c := cause{l.Reason, typeOf(l.Delivered)}
			at, ok := places[c]
			if !ok {
				at = len(groups)
				places[c] = at
				groups = append(groups, deadGroup{reason: c.reason, kind: c.kind, oldest: l.Died})
			}
			g := &groups[at]
			g.count++
			g.newest = l.Died
			if len(g.refs) < deadRefsMax {
				g.refs = append(g.refs, l.Ref)
			}
		}
		from = broker.Start{Kind: broker.StartPosition, Position: next}
	}
	b := append(make([]byte, 0, 4<<10), `{"groups":[`...)
	for i := range groups {
		if i > 0 {
			b = append(b, ',')
		}
		b = groups[i].append(b)
	}
	x.answer(nethttp.StatusOK, contentTypeJSON, appendDeadEnd(append(b, ']'), next, more))
	return nil
}

func (g *deadGroup) append(b []byte) []byte {
	b = appendString(append(b, `{"reason":`...), g.reason)
	b = appendMember(b, "type", g.kind)
	b = strconv.AppendInt(appendName(b, "count"), int64(g.count), 10)
	if g.oldest.UnixMilli() > 0 {
		b = appendMember(b, "oldest", g.oldest.UTC().Format(time.RFC3339Nano))
		b = appendMember(b, "newest", g.newest.UTC().Format(time.RFC3339Nano))
	}
	b = append(appendName(b, "refs"), '[')
	for i, r := range g.refs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, r.String())
	}
	return append(b, ']', '}')
}

// giveUp copies events to the dead letters of a subscription that keeps positions.
func giveUp(x *call) error {
	var doc struct {
		Events []struct {
			Ref    string `json:"ref"`
			Reason string `json:"reason"`
		} `json:"events"`
	}
	if err := x.smallBody("give up", &doc); err != nil {
		return err
	}
	texts, events := make([]string, len(doc.Events)), make([]broker.GivenUp, len(doc.Events))
	for i := range doc.Events {
		texts[i] = doc.Events[i].Ref
	}
	refs, err := refsOf("give up", texts)
	if err != nil {
		return err
	}
	for i := range refs {
		events[i] = broker.GivenUp{Ref: refs[i], Reason: doc.Events[i].Reason}
	}
	results, err := x.g.broker.GiveUp(x.r.Context(), x.caller(), x.params[0], events)
	if err != nil {
		return refField(err, refs)
	}
	return x.answerAppended(results, texts, `{"dead_letters":`, "}\n")
}

func replay(x *call) error {
	var doc struct {
		Refs      []string `json:"refs"`
		PerSecond *int     `json:"per_second"`
		To        string   `json:"to"`
	}
	if err := x.smallBody("replay", &doc); err != nil {
		return err
	}
	rate, err := perSecond("replay", doc.PerSecond)
	if err != nil {
		return err
	}
	refs, err := refsOf("replay", doc.Refs)
	if err != nil {
		return err
	}
	if doc.To != "" && doc.PerSecond != nil {
		return wrong("replay", "per_second", "what is appended to a stream comes at once").at("/per_second")
	}
	var n int
	if doc.To != "" {
		n, err = x.g.broker.ReplayTo(x.r.Context(), x.caller(), x.params[0], doc.To, refs)
	} else {
		n, err = x.g.broker.Replay(x.r.Context(), x.caller(), x.params[0], refs, rate)
	}
	if err != nil {
		return refField(err, refs)
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Replayed int `json:"replayed"`
	}{n})
}

// perSecond is a rate that is asked for; 0, when none is: all at once.
func perSecond(op string, said *int) (int, error) {
	if said == nil {
		return 0, nil
	}
	if *said < 1 || *said > broker.ReplayRateMax {
		return 0, wrong(op, "per_second", "%d a second; from 1 to %d can be asked for", *said, broker.ReplayRateMax).at("/per_second")
	}
	return *said, nil
}

// refsOf reads the refs of a body.
func refsOf(op string, texts []string) ([]record.Ref, error) {
	if len(texts) == 0 || len(texts) > replayMax {
		return nil, wrong(op, "refs", "there are %d refs; from 1 to %d can be given", len(texts), replayMax).at("/refs")
	}
	refs := make([]record.Ref, len(texts))
	for i, text := range texts {
		var err error
		if refs[i], err = record.ParseRef(text); err != nil {
			return nil, asProblem(fieldOf(err, "refs")).at("/refs/" + strconv.Itoa(i))
		}
	}
	return refs, nil
}

// refField names the ref that a refusal of the broker is about.
func refField(err error, refs []record.Ref) error {
	p := asProblem(err)
	for i, r := range refs {
		if r.String() == p.fault.Subject {
			p.field = "refs"
			p.pointer = "/refs/" + strconv.Itoa(i)
		}
	}
	return p
}

func dropDead(x *call) error {
	var doc struct {
		Refs []string `json:"refs"`
		All  bool     `json:"all"`
	}
	if err := x.smallBody("drop", &doc); err != nil {
		return err
	}
	if doc.All {
		if len(doc.Refs) > 0 {
			return wrong("drop", "all", "say which, or all").at("/all")
		}
		if err := x.g.broker.DropAllDead(x.r.Context(), x.caller(), x.params[0]); err != nil {
			return err
		}
	} else {
		refs, err := refsOf("drop", doc.Refs)
		if err != nil {
			return err
		}
		if err := x.g.broker.DropDead(x.r.Context(), x.caller(), x.params[0], refs); err != nil {
			return refField(err, refs)
		}
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}
