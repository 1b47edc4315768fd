package http

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"leat/broker/fault"
)

func TestLogRefusal_OneLineOfEachKindThatIsOurs(t *testing.T) {
	var out bytes.Buffer
	g, err := New(newBroker(t, 1), Default(), nil, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/streams/s/events", nil)
	for range 50 {
		for _, k := range []fault.Kind{fault.Corrupt, fault.Unknown, fault.NotFound} {
			g.logRefusal(r, 500, "urn:leat:request:x", fault.New(k, "read", "s", "x"))
		}
	}
	// Within a second, nearly always; a line more where the machine is slow.
	n := strings.Count(out.String(), "\n")
	if n < 2 || n > 10 || !strings.Contains(out.String(), "corrupt") || !strings.Contains(out.String(), "unknown") || strings.Contains(out.String(), "not-found") {
		t.Fatalf("%d lines:\n%s", n, out.String())
	}
}
