package kafka

import "leat/broker/fault"

// Error codes of the protocol that this gateway answers with.
const (
	codeNone                    int16 = 0
	codeUnknownServerError      int16 = -1
	codeOffsetOutOfRange        int16 = 1
	codeCorruptMessage          int16 = 2
	codeUnknownPartition        int16 = 3
	codeNotLeader               int16 = 6
	codeTimedOut                int16 = 7
	codeMessageTooLarge         int16 = 10
	codeInvalidTopic            int16 = 17
	codeNotEnoughReplicas       int16 = 19
	codeNotEnoughAfterAppend    int16 = 20
	codeInvalidAcks             int16 = 21
	codeTopicDenied             int16 = 29
	codeClusterDenied           int16 = 31
	codeInvalidTimestamp        int16 = 32
	codeUnsupportedMechanism    int16 = 33
	codeIllegalSaslState        int16 = 34
	codeUnsupportedVersion      int16 = 35
	codeTopicExists             int16 = 36
	codeInvalidPartitions       int16 = 37
	codeInvalidReplication      int16 = 38
	codeInvalidAssignment       int16 = 39
	codeInvalidConfig           int16 = 40
	codeInvalidRequest          int16 = 42
	codeUnsupportedFormat       int16 = 43
	codePolicyViolation         int16 = 44
	codeOutOfOrderSequence      int16 = 45
	codeInvalidProducerEpoch    int16 = 47
	codeTransactionalDenied     int16 = 53
	codeSecurityDisabled        int16 = 54
	codeStorageError            int16 = 56
	codeLogDirNotFound          int16 = 57
	codeLoginFailed             int16 = 58
	codeFencedLeaderEpoch       int16 = 74
	codeUnknownLeaderEpoch      int16 = 75
	codeSessionNotFound         int16 = 70
	codeInvalidSessionEpoch     int16 = 71
	codeSessionTopicID          int16 = 106
	codeUnsupportedCompression  int16 = 76
	codeElectionNotNeeded       int16 = 84
	codeNoReassignment          int16 = 85
	codeInvalidRecord           int16 = 87
	codeThrottlingQuotaExceeded int16 = 89
	codeResourceNotFound        int16 = 91
	codeDuplicateResource       int16 = 92
	codeUnacceptableCredential  int16 = 93
	codeUnknownTopicID          int16 = 100
)

// place is what kind of request is being answered: clients handle one refusal differently in different places.
type place uint8

const (
	placeAppend  place = iota // Produce
	placeRead                 // Fetch, ListOffsets, Metadata
	placeAdmin                // what makes, changes, removes and describes topics
	placeCluster              // what names no topic
)

// code is the protocol's word for a refusal.
//
// Where several would do, the choice is the one that every client in doc.go acts on well: a producer retries 19 and 20 (and knows of 20
// that the records may be there), a consumer looks up metadata and retries 6, an administrator's tool retries 7.
func code(e *fault.Error, at place) int16 {
	if e == nil {
		return codeNone
	}
	switch e.Kind {
	case fault.Internal:
		return codeUnknownServerError
	case fault.Invalid:
		return invalidCode(e, at)
	case fault.NotFound:
		switch e.Reason {
		case fault.ReasonUID:
			return codeUnknownTopicID
		case fault.ReasonProducerMapping:
			return codeInvalidProducerMapping
		}
		return codeUnknownPartition
	case fault.Exists:
		return codeTopicExists
	case fault.Denied:
		switch {
		case e.Reason == fault.ReasonLogin && at == placeCluster:
			return codeLoginFailed
		case at == placeCluster:
			return codeClusterDenied
		}
		return codeTopicDenied
	case fault.ContractBroken:
		return codeInvalidRecord
	case fault.Conflict:
		switch e.Reason {
		case fault.ReasonSequence:
			return codeOutOfOrderSequence
		case fault.ReasonTransaction:
			return codeInvalidTxnState
		case fault.ReasonVersion, fault.ReasonEvent:
			return codeInvalidRecord
		case fault.ReasonKept:
			return codePolicyViolation
		}
		return byPlace(at, codeNotEnoughReplicas, codeNotLeader, codeTimedOut)
	case fault.Fenced:
		if e.Reason == fault.ReasonProducerEpoch {
			return codeInvalidProducerEpoch
		}
		return codeNotLeader
	case fault.TooLarge:
		return byPlace(at, codeMessageTooLarge, codeInvalidRequest, codeInvalidRequest)
	case fault.QuotaSpent:
		return byPlace(at, codeNotEnoughReplicas, codeNotLeader, codeThrottlingQuotaExceeded)
	case fault.Unavailable:
		return byPlace(at, codeNotEnoughReplicas, codeNotLeader, codeTimedOut)
	case fault.Unknown:
		return byPlace(at, codeNotEnoughAfterAppend, codeNotLeader, codeTimedOut)
	case fault.Trimmed:
		return codeOffsetOutOfRange
	case fault.Corrupt:
		return codeStorageError
	case fault.Unsupported:
		if e.Reason == fault.ReasonCodec {
			return codeUnsupportedCompression
		}
		return byPlace(at, codeUnsupportedFormat, codeInvalidRequest, codeInvalidRequest)
	}
	return codeUnknownServerError
}

func invalidCode(e *fault.Error, at place) int16 {
	switch e.Reason {
	case fault.ReasonChecksum:
		return codeCorruptMessage
	case fault.ReasonCodec:
		return codeUnsupportedCompression
	case fault.ReasonTimestamp:
		return codeInvalidTimestamp
	case fault.ReasonOffset:
		return codeOffsetOutOfRange
	case fault.ReasonPartition:
		return codeUnknownPartition
	}
	if e.Op == "name" {
		return codeInvalidTopic
	}
	return byPlace(at, codeInvalidRecord, codeInvalidRequest, codeInvalidRequest)
}

func byPlace(at place, appending, reading, other int16) int16 {
	switch at {
	case placeAppend:
		return appending
	case placeRead:
		return reading
	case placeAdmin, placeCluster:
	}
	return other
}

// message is what goes beside the code where the version has room for it, nil for none.
func message(e *fault.Error) *string {
	if e == nil || e.Text == "" {
		return nil
	}
	return &e.Text
}
