package http

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// Every kind has its status, its document is whole, and none tells the cause.
func TestFaults_EveryKind(t *testing.T) {
	s := start(t, nil)
	want := [...]int{
		fault.Internal: 500, fault.Invalid: 400, fault.NotFound: 404, fault.Exists: 409, fault.Denied: 403, fault.ContractBroken: 422,
		fault.Conflict: 409, fault.Fenced: 409, fault.TooLarge: 413, fault.QuotaSpent: 429, fault.Unavailable: 503, fault.Unknown: 503,
		fault.Trimmed: 410, fault.Corrupt: 500, fault.Unsupported: 501,
	}
	if len(want) != int(fault.Unsupported)+1 {
		t.Fatalf("%d kinds are known here, there are %d", len(want), fault.Unsupported+1)
	}
	for k, code := range want {
		err := fault.New(fault.Kind(k), "append", "orders", "what happened").From(errors.New("disk sda1 on fire"))
		w := httptest.NewRecorder()
		s.g.refuse(w, httptest.NewRequest("POST", "/v1/x", nil), err)
		checkProblem(t, answer{w.Code, w.Header(), w.Body.Bytes()}, code)
		if strings.Contains(w.Body.String(), "sda1") {
			t.Errorf("%v tells the cause: %s", fault.Kind(k), w.Body)
		}
		if retry := w.Header().Get("Retry-After"); (retry != "") != (code == 429 || code == 503) {
			t.Errorf("%v: Retry-After %q", fault.Kind(k), retry)
		}
	}
}

func TestFaults_Details(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		err  error
		code int
		want map[string]string
	}{
		{fault.New(fault.Denied, "login", "", "who").Because(fault.ReasonLogin), 401, map[string]string{"reason": "login"}},
		{fault.New(fault.Unavailable, "append", "", "full").Because(fault.ReasonDiskReserve), 507, map[string]string{"reason": "disk-reserve"}},
		{&fault.Error{Kind: fault.QuotaSpent, Text: "t", Retry: fault.Later, AfterMS: 2500}, 429, map[string]string{"retry_after_ms": "2500"}},
		{fault.New(fault.Trimmed, "read", "a", "gone").With(record.Offset(17)), 410, map[string]string{"earliest": "offset:17"}},
		{fault.New(fault.ContractBroken, "append", "a", "wrong").With("/data/items/0/price"), 422, map[string]string{"pointer": "/data/items/0/price"}},
		{fault.New(fault.Conflict, "append", "a", "t").With([]broker.FailedCondition{{Event: 2, If: -1, Stream: "a", Key: "\"k\"\n", Expected: "3", Current: 4}}), 409,
			map[string]string{"failed.0.event": "2", "failed.0.key": "\"k\"\n", "failed.0.current": "4"}},
		{unknownOutcome(fault.New(fault.Unknown, "append", "a", "t"), `i"d`), 503, map[string]string{"kind": "unknown"}},
	} {
		w := httptest.NewRecorder()
		s.g.refuse(w, httptest.NewRequest("POST", "/v1/x", nil), c.err)
		a := answer{w.Code, w.Header(), w.Body.Bytes()}
		checkProblem(t, a, c.code)
		for name, want := range c.want {
			if got := a.str(name); got != want {
				t.Errorf("%v: %s is %q; want %q in %s", c.err, name, got, want, a.body)
			}
		}
		if a.str("kind") == "unknown" && !strings.Contains(a.str("check"), `i"d`) {
			t.Errorf("unknown does not say how to check: %s", a.body)
		}
		if a.code == 429 && a.header.Get("Retry-After") != "3" {
			t.Errorf("Retry-After %q; want 3", a.header.Get("Retry-After"))
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "q\"b\\s/", "\x00\x1f\n\r\t\x7f", "é€😀\u2028", "bad\xff\xfeutf8", strings.Repeat("x", 1000) + "\""} {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && got != fixed(s) {
			t.Errorf("%q: %v %q", s, err, got)
		}
	}
}

// fixed has one U+FFFD for each bad byte.
func fixed(s string) string { return string([]rune(s)) }
