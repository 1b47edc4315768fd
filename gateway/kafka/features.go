package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// feature is something that clients look for by name rather than by the versions of requests: versions 0 to max are there, and level is in force.
type feature struct {
	name       string
	max, level int16
}

// features are those that are told of. Once a client has seen one at a level, a node that speaks with it must not go back.
var features = []feature{
	{"group.version", 1, 1}, // 1: groups of the newer protocol
}

// featuresEpoch would be one more each time that a level is changed.
const featuresEpoch = 0

func addFeatures(r *kmsg.ApiVersionsResponse) {
	r.FinalizedFeaturesEpoch = featuresEpoch
	for _, f := range features {
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = f.name, 0, f.max
		r.SupportedFeatures = append(r.SupportedFeatures, s)
		l := kmsg.NewApiVersionsResponseFinalizedFeature()
		l.Name, l.MinVersionLevel, l.MaxVersionLevel = f.name, f.level, f.level
		r.FinalizedFeatures = append(r.FinalizedFeatures, l)
	}
}
