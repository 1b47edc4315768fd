package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// UpdateFeatures(57), versions 0-2: features are where they are, since what this program can do is what it does. To ask for the level that is in force is fine; any
// other is refused, and all that is asked for with it. Until version 1 each feature that is fine has its answer.
func (k *conn) updateFeatures(_ context.Context, s *slot, q *kmsg.UpdateFeaturesRequest) (*kmsg.UpdateFeaturesResponse, error) {
	r := kmsg.NewPtrUpdateFeaturesResponse()
	if err := k.mayCluster(s.caller, broker.ActionAlter); err != nil {
		r.ErrorCode, r.ErrorMessage = codeClusterDenied, message(fault.As(err))
		return r, err
	}
	for i := range q.FeatureUpdates {
		u := &q.FeatureUpdates[i]
		if text := mayUpdate(u.Feature, u.MaxVersionLevel); text != "" {
			text = "The update failed for all features since the following feature had an error: " + text
			r.ErrorCode, r.ErrorMessage, r.Results = codeInvalidUpdateVersion, &text, nil
			return r, nil
		}
		if q.Version < 2 {
			rr := kmsg.NewUpdateFeaturesResponseResult()
			rr.Feature = u.Feature
			r.Results = append(r.Results, rr)
		}
	}
	return r, nil
}

const codeInvalidUpdateVersion int16 = 95

// mayUpdate says why a feature cannot be brought to a level, or nothing.
func mayUpdate(name string, level int16) string {
	i := slices.IndexFunc(features, func(f feature) bool { return f.name == name })
	switch {
	case i < 0:
		return "Invalid update version " + formatNumber(int64(level)) + " for feature " + clip(name) + ": there is no such feature here."
	case features[i].level != level:
		return "Invalid update version " + formatNumber(int64(level)) + " for feature " + name + ": it is at " + formatNumber(int64(features[i].level)) + " and stays there."
	}
	return ""
}
