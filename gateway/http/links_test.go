package http

import (
	"bytes"
	"testing"
)

func TestLinks_Manage(t *testing.T) {
	s := start(t, nil)
	s.want(400, "PUT", "/v1/links/old", `{"from":"b1:9092"}`)
	s.want(400, "PUT", "/v1/links/old", `{"from":"kafka://b1","sasl":{"mechanism":"GSSAPI","user":"u"}}`)
	s.want(400, "PUT", "/v1/links/old", `{"from":"kafka://b1","mode":"switched"}`)
	made := s.want(201, "PUT", "/v1/links/old", `{"from":"kafka://b1:9092","topics":["a*"],"sasl":{"mechanism":"PLAIN","user":"u"},"password":"sesame"}`)
	if made.str("mode") != "copy" || bytes.Contains(made.body, []byte("sesame")) {
		t.Errorf("%s", made.body)
	}
	again := s.want(200, "PUT", "/v1/links/old", `{"from":"kafka://b1:9092","topics":["b*"],"sasl":{"mechanism":"PLAIN","user":"u"}}`)
	if again.str("topics.0") != "b*" {
		t.Errorf("%s", again.body)
	}
	if a := s.want(200, "GET", "/v1/links", ""); a.len("links") != 1 || a.str("links.0.from") != "kafka://b1:9092" {
		t.Errorf("%s", a.body)
	}
	s.want(503, "POST", "/v1/links/old/switch", `{"wait":"1s"}`)
	s.want(404, "POST", "/v1/links/other/switch", "")
	s.want(400, "POST", "/v1/links/old/switch", `{"wait":"1h"}`)
	s.want(204, "DELETE", "/v1/links/old", "")
	s.want(404, "GET", "/v1/links/old", "")
}
