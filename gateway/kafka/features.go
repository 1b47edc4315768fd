package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// feature is something that clients look for by name rather than by the versions of requests: versions 0 to max are there, and level is in force.
type feature struct {
	name       string
	level, max int16
}

// features are those that are told of. Once a client has seen one at a level, a node that speaks with it must not go back. transaction.version 2: each transaction has an epoch of its own, and partitions need not be announced (KIP-890).
var features = []feature{
	{"group.version", 1, 1}, // 1: groups of the newer protocol
	{"transaction.version", 2, 2},
}

// finalizedEpoch is a number that grows when features change. They never do while a program runs.
const finalizedEpoch = 1

// tellFeatures adds features to an answer of version 3 or later. Clients of version 3 take a least level of 0 for an error and are not told of what is supported.
func tellFeatures(r *kmsg.ApiVersionsResponse, version int16) {
	if version < 3 {
		return
	}
	r.FinalizedFeaturesEpoch = finalizedEpoch
	for _, f := range features {
		if version >= 4 {
			s := kmsg.NewApiVersionsResponseSupportedFeature()
			s.Name, s.MinVersion, s.MaxVersion = f.name, 0, f.max
			r.SupportedFeatures = append(r.SupportedFeatures, s)
		}
		x := kmsg.NewApiVersionsResponseFinalizedFeature()
		x.Name, x.MinVersionLevel, x.MaxVersionLevel = f.name, f.level, f.level
		r.FinalizedFeatures = append(r.FinalizedFeatures, x)
	}
}
