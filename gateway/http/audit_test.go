package http

import "testing"

func TestAudit(t *testing.T) {
	s := start(t, nil)
	s.want(201, "POST", "/v1/streams/orders/events", "x", "Ce-Specversion", "1.0", "Ce-Id", "7", "Ce-Source", "/shop", "Ce-Type", "order.placed", "User-Agent", "till")
	a := s.want(200, "GET", "/v1/audit?ref=orders/0/0", "")
	for at, want := range map[string]string{"event.ref": "orders/0/0", "event.gateway": "http", "event.client": "till", "event.id": "7", "event.type": "order.placed"} {
		if got := a.str(at); got != want {
			t.Errorf("%s is %q in %s", at, got, a.body)
		}
	}
	a = s.want(200, "GET", "/v1/audit?stream=orders&since=-1h&limit=5", "")
	if a.len("appends") != 1 || a.str("appends.0.events") != "1" || a.str("appends.0.last_ref") != "orders/0/0" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(200, "GET", "/v1/audit?principal=nobody", ""); a.len("appends") != 0 {
		t.Errorf("%s", a.body)
	}
	for path, field := range map[string]string{
		"?": "ref", "?ref=x&stream=y": "ref", "?ref=orders": "ref", "?stream=orders&since=soon": "since", "?stream=orders&limit=0": "limit", "?stream=orders&from=x": "from",
		"?steram=orders": "steram",
	} {
		a := s.do("GET", "/v1/audit"+path, "")
		checkProblem(t, a, 400)
		if a.str("field") != field {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	checkProblem(t, s.do("GET", "/v1/audit?ref=orders/0/9", ""), 404)
	checkProblem(t, s.do("GET", "/v1/audit?stream=odrers", ""), 404)
	s.addUser("root", "password", "admin * *")
	checkProblem(t, s.do("GET", "/v1/audit?stream=orders", ""), 401)
	s.addUser("reader", "password", "read stream other")
	s.auth = "Basic cmVhZGVyOnBhc3N3b3Jk"
	checkProblem(t, s.do("GET", "/v1/audit?stream=orders", ""), 403)
}
