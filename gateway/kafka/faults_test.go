package kafka

import (
	"testing"

	"leat/broker/fault"
)

func TestCode_EveryKindInEveryPlace(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Unsupported; kind++ {
		for at := placeAppend; at <= placeCluster; at++ {
			c := code(fault.New(kind, "op", "subject", "text"), at)
			if c == codeNone || c == codeUnknownServerError && kind != fault.Internal {
				t.Errorf("%v in place %d has no code of its own: %d", kind, at, c)
			}
		}
	}
	if code(nil, placeAppend) != codeNone {
		t.Error("no fault has a code")
	}
}

func TestCode_Reasons(t *testing.T) {
	for _, c := range []struct {
		kind   fault.Kind
		reason fault.Reason
		at     place
		want   int16
	}{
		{fault.Invalid, fault.ReasonChecksum, placeAppend, 2},
		{fault.Invalid, fault.ReasonTimestamp, placeAppend, 32},
		{fault.Invalid, fault.ReasonOffset, placeRead, 1},
		{fault.Invalid, fault.ReasonCodec, placeAppend, 76},
		{fault.Unsupported, fault.ReasonCodec, placeAppend, 76},
		{fault.Conflict, fault.ReasonSequence, placeAppend, 45},
		{fault.Fenced, fault.ReasonProducerEpoch, placeAppend, 47},
		{fault.NotFound, fault.ReasonPartition, placeAppend, 3},
		{fault.Unavailable, fault.ReasonDiskReserve, placeAppend, 19},
		{fault.Unknown, "", placeAppend, 20},
		{fault.Trimmed, fault.ReasonOffset, placeRead, 1},
		{fault.Denied, fault.ReasonLogin, placeCluster, 58},
		{fault.Denied, "", placeAppend, 29},
	} {
		if got := code(fault.New(c.kind, "op", "s", "t").Because(c.reason), c.at); got != c.want {
			t.Errorf("%v/%s in place %d: %d, want %d", c.kind, c.reason, c.at, got, c.want)
		}
	}
}
