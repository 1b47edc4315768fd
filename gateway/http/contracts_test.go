package http

import (
	"strings"
	"testing"

	"leat/broker"
	"leat/contract/registry"
)

// schema registers a schema.
func (s *served) schema(subject, kind, text string) {
	s.t.Helper()
	err := s.broker.ChangeContracts(s.t.Context(), &broker.Caller{}, broker.ActionCreate, subject, func(r *registry.Registry) (registry.Change, error) {
		_, c, err := r.Register(subject, registry.Registration{Content: registry.Content{Type: kind, Text: text}})
		return c, err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestContracts_WhoReadsWhat(t *testing.T) {
	s := start(t, nil)
	s.schema("order", "JSON", `{"type":"object","title":"order","required":["id","mail"],"properties":{"id":{"type":"string"},"mail":{"type":"string","confluent:tags":["PII"]},"total":{"type":"integer"}}}`)
	err := s.broker.ChangeContracts(t.Context(), &broker.Caller{}, broker.ActionAlter, "orders", func(r *registry.Registry) (registry.Change, error) {
		return r.PutBinding(registry.Binding{Name: "orders", Stream: "orders", Subject: "order"})
	})
	if err != nil {
		t.Fatal(err)
	}
	s.want(201, "POST", "/v1/streams/orders/events", `{"id":"1","mail":"a@b","total":3}`, "Content-Type", "application/json", "ce-type", "placed", "ce-id", "1", "ce-source", "/x", "ce-specversion", "1.0", "User-Agent", "shop/1.0")
	s.want(200, "GET", "/v1/streams/orders/events", "", "User-Agent", "billing/2.0")
	s.want(200, "GET", "/v1/streams/orders/events", "", "User-Agent", "audit/2.0")
	seen := s.want(200, "GET", "/v1/contracts/catalogue?type=placed&role=consumes", "")
	if seen.len("sightings") != 2 || seen.str("sightings.1.service") != "billing" || seen.str("sightings.1.tags") != `["PII"]` || seen.str("sightings.0.version_from") != "contract" {
		t.Errorf("%s", seen.body)
	}
	s.want(200, "PUT", "/v1/contracts/reads", `{"service":"billing","type":"placed","fields":["mail","total"]}`)
	s.want(200, "PUT", "/v1/contracts/reads", `{"service":"stock","type":"order","fields":["id"]}`)
	s.want(400, "PUT", "/v1/contracts/reads", `{"service":"stock","type":"order","fields":[]}`)
	if a := s.want(200, "GET", "/v1/contracts/reads", ""); a.len("reads") != 2 || a.str("reads.0.fields") != `["mail","total"]` {
		t.Errorf("%s", a.body)
	}
	next := `{"subject":"order","schemaType":"JSON","schema":"{\"type\":\"object\",\"required\":[\"id\"],\"properties\":{\"id\":{\"type\":\"string\"},\"mail\":{\"type\":\"string\"},\"sum\":{\"type\":\"integer\"}}}"}`
	a := s.want(200, "POST", "/v1/contracts/affected", next)
	var got []string
	for i, n := 0, a.len("affected"); i < n; i++ {
		at := "affected." + string(rune('0'+i))
		got = append(got, a.str(at+".service")+" "+a.str(at+".verdict")+" "+a.str(at+".breaks"))
	}
	want := `billing breaks [{"field":"mail","why":"it was always there and may be missing now"},{"field":"total","why":"it is gone; it may be called sum now"}]
audit unknown: no declaration 
stock fine `
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	tags := s.want(200, "GET", "/v1/contracts/tags", "")
	if tags.len("fields") != 1 || tags.str("fields.0.consumers") != `["audit","billing"]` || tags.str("fields.0.declared") != `["billing"]` {
		t.Errorf("%s", tags.body)
	}
	s.want(204, "DELETE", "/v1/contracts/reads?service=billing&type=placed", "")
	s.want(404, "DELETE", "/v1/contracts/reads?service=billing&type=placed", "")
}

func TestContracts_LintCouplingDocument(t *testing.T) {
	s := start(t, nil)
	s.schema("thing", "AVRO", `{"type":"record","name":"ThingUpdated","fields":[{"name":"thing_id","type":"string"},{"name":"email","type":"string"}]}`)
	a := s.want(200, "GET", "/v1/contracts/lint?name=thing", "")
	if !strings.Contains(string(a.body), `"rule":"vague-type"`) || !strings.Contains(string(a.body), `"rule":"pii","severity":"error","path":"email"`) {
		t.Errorf("%s", a.body)
	}
	if a := s.want(200, "GET", "/v1/contracts/lint", ""); a.len("schemas") != 1 {
		t.Errorf("%s", a.body)
	}
	s.want(404, "GET", "/v1/contracts/lint?name=nothing", "")
	draft := s.want(200, "POST", "/v1/contracts/lint", `{"subject":"new","schemaType":"AVRO","schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"data\",\"type\":\"string\"}]}"}`)
	if !strings.Contains(string(draft.body), `"rule":"generic-name"`) {
		t.Errorf("%s", draft.body)
	}
	s.want(400, "POST", "/v1/contracts/lint", `{"subject":"new","schemaType":"AVRO","schema":"{"}`)
	s.want(201, "POST", "/v1/streams/things/events", "x", "User-Agent", "maker/1.0")
	if a := s.want(200, "GET", "/v1/contracts/coupling?quiet=1h", ""); a.str("services") != "1" || !strings.Contains(string(a.body), `"kind":"unconsumed","type":"leat.record"`) && !strings.Contains(string(a.body), `"kind":"unconsumed"`) {
		t.Errorf("%s", a.body)
	}
	s.want(400, "GET", "/v1/contracts/coupling?quiet=soon", "")
	doc := s.want(200, "GET", "/v1/contracts/asyncapi", "")
	if doc.str("asyncapi") != "3.0.0" || doc.str("channels.things.address") != "things" || !strings.HasPrefix(doc.header.Get("Content-Type"), "application/vnd.aai.asyncapi+json") {
		t.Errorf("%s", doc.body)
	}
	if err := s.broker.ChangeContracts(t.Context(), &broker.Caller{}, broker.ActionCreate, "jobs", func(r *registry.Registry) (registry.Change, error) {
		return r.PutBinding(registry.Binding{Name: "jobs", Stream: "things", Address: "jobs", Subject: "thing"})
	}); err != nil {
		t.Fatal(err)
	}
	doc = s.want(200, "GET", "/v1/contracts/asyncapi", "")
	if doc.str("channels.things_jobs.address") != "jobs" || !strings.Contains(string(doc.body), `"name": "stream:things#jobs"`) || !strings.Contains(string(doc.body), `"x-contract": "jobs"`) {
		t.Errorf("%s", doc.body)
	}
	s.want(400, "GET", "/v1/contracts/catalogue?role=eats", "")
	s.want(400, "GET", "/v1/contracts/catalogue?within=-1h", "")
}

// Who may not describe a stream or a subject is not told of it.
func TestContracts_ToldToThoseWhoMay(t *testing.T) {
	s := start(t, nil)
	s.schema("secret", "JSON", `{"type":"object","properties":{"mail":{"type":"string","confluent:tags":["PII"]}}}`)
	s.want(201, "POST", "/v1/streams/hidden/events", "x")
	s.addUser("root", "sesame-root", "admin * *")
	s.addUser("guest", "sesame-guest", "describe stream open")
	s.auth = "Basic Z3Vlc3Q6c2VzYW1lLWd1ZXN0"
	for path, list := range map[string]string{"catalogue": "sightings", "lint": "schemas", "tags": "fields", "reads": "reads"} {
		if a := s.want(200, "GET", "/v1/contracts/"+path, ""); a.len(list) != 0 {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := s.want(200, "GET", "/v1/contracts/asyncapi", ""); strings.Contains(string(a.body), "hidden") || strings.Contains(string(a.body), "mail") {
		t.Errorf("%s", a.body)
	}
	s.want(403, "GET", "/v1/contracts/lint?name=secret", "")
	s.want(403, "PUT", "/v1/contracts/reads", `{"service":"guest","type":"x","fields":["y"]}`)
	s.want(403, "POST", "/v1/contracts/affected", `{"subject":"secret","schemaType":"JSON","schema":"{}"}`)
}
