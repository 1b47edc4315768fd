package http

import (
	nethttp "net/http"
	"strconv"
	"time"

	"leat/broker"
	"leat/broker/record"
)

// Positions of a subscription of kind cursor: POST /v1/subscriptions/{name}/commit {"positions":[{"stream","partition","offset"},…]} keeps some, all or
// none; GET …/positions?stream= tells those that are kept.

// positionsCommitMax is how many positions one request commits.
const positionsCommitMax = 10_000

type positionJSON struct {
	Stream      string `json:"stream"`
	Partition   int32  `json:"partition"`
	Offset      *int64 `json:"offset"`
	LeaderEpoch *int32 `json:"leader_epoch,omitempty"`
	Metadata    string `json:"metadata,omitempty"`

	Committed string `json:"committed,omitempty"` // of here on, of answers
	Start     *int64 `json:"start,omitempty"`
	End       *int64 `json:"end,omitempty"`
	Lag       *int64 `json:"lag,omitempty"`
}

func commit(x *call) error {
	var doc struct {
		Positions []positionJSON `json:"positions"`
	}
	if err := x.smallBody("commit", &doc); err != nil {
		return err
	}
	if len(doc.Positions) == 0 || len(doc.Positions) > positionsCommitMax {
		return wrong("commit", "positions", "there are %d positions; from 1 to %d can be given", len(doc.Positions), positionsCommitMax).at("/positions")
	}
	ps := make([]broker.PositionCommit, len(doc.Positions))
	for i := range doc.Positions {
		p, at := &doc.Positions[i], "/positions/"+strconv.Itoa(i)
		switch {
		case p.Offset == nil || *p.Offset < 0:
			return wrong("commit", "offset", "say the offset of the event that is to be read next").at(at + "/offset")
		case p.Committed != "" || p.Start != nil || p.End != nil || p.Lag != nil:
			return wrong("commit", "positions", "committed, start, end and lag are told, not said").at(at)
		}
		ps[i] = broker.PositionCommit{Stream: p.Stream, Partition: record.PartitionID(p.Partition), Offset: record.Offset(*p.Offset), LeaderEpoch: -1, Metadata: p.Metadata}
		if p.LeaderEpoch != nil {
			ps[i].LeaderEpoch = *p.LeaderEpoch
		}
	}
	if err := x.g.broker.CommitPositions(x.r.Context(), x.caller(), x.params[0], ps); err != nil {
		return err
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}

func positions(x *call) error {
	if err := x.onlyParams("stream"); err != nil {
		return err
	}
	ps, err := x.g.broker.Positions(x.r.Context(), x.caller(), x.params[0], x.query["stream"])
	if err != nil {
		return err
	}
	answer := struct {
		Positions []positionJSON `json:"positions"`
		Lag       int64          `json:"lag"`
	}{Positions: make([]positionJSON, len(ps))}
	for i := range ps {
		p := &ps[i]
		offset, start, end := int64(p.Offset), int64(p.Start), int64(p.End)
		v := positionJSON{Stream: p.Stream, Partition: int32(p.Partition), Offset: &offset, Metadata: p.Metadata, Start: &start, End: &end, Lag: &p.Lag}
		if p.LeaderEpoch >= 0 {
			v.LeaderEpoch = &p.LeaderEpoch
		}
		if !p.Committed.IsZero() {
			v.Committed = p.Committed.UTC().Format(time.RFC3339Nano)
		}
		answer.Positions[i] = v
		answer.Lag += p.Lag
	}
	return x.answerJSON(nethttp.StatusOK, answer)
}
