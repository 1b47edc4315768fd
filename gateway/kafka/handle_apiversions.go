package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ApiVersions(18), versions 0-4; a newer one is answered in version 0 with error 35 and the versions of ApiVersions itself, so that
// the client can ask again. From 3 on the client says who it is, in a restricted alphabet.
func (k *conn) apiVersions(s *slot) error {
	r := kmsg.NewPtrApiVersionsResponse()
	r.FinalizedFeaturesEpoch = -1
	a := findAPI(keyAPIVersions)
	if s.header.Version < a.min || s.header.Version > a.max {
		s.header.Version = 0
		r.ErrorCode = codeUnsupportedVersion
		r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{advertised(a)}
		s.ready = appendResponse(nil, s, r)
		return nil
	}
	q := kmsg.NewPtrApiVersionsRequest()
	q.SetVersion(s.header.Version)
	if err := decode(q, s.body); err != nil {
		return fmt.Errorf("api versions: %w", err)
	}
	if q.Version >= 3 && !(softwareName(q.ClientSoftwareName) && softwareName(q.ClientSoftwareVersion)) {
		r.ErrorCode = codeInvalidRequest
	}
	for i := range apis {
		r.ApiKeys = append(r.ApiKeys, advertised(&apis[i]))
	}
	tellFeatures(r, q.Version)
	s.ready = appendResponse(nil, s, r)
	return nil
}

func advertised(a *api) kmsg.ApiVersionsResponseApiKey {
	v := kmsg.NewApiVersionsResponseApiKey()
	v.ApiKey, v.MinVersion, v.MaxVersion = a.key, a.min, a.max
	return v
}

// softwareName reports whether s is [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?, as the protocol has it.
func softwareName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || i == len(s)-1 || c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}
