package kafkagroup

import (
	"strings"
	"testing"

	"leat/broker/record"
)

func TestName(t *testing.T) {
	for id, want := range map[string]string{
		"payments": "payments", "a.b-c_d": "a.b-c_d", "my group": "kafka.esc.my_20group", "leat.x": "kafka.esc.leat.x",
		"kafka.esc.x": "kafka.esc.kafka.esc.x", "": "kafka.esc.", "ü": "kafka.esc._C3_BC",
	} {
		if got := Name(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	seen := map[string]string{}
	for _, id := range []string{"", " ", "a", "A", "a b", "a_20b", "kafka.esc.a_20b", strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("é", 100)} {
		name := Name(id)
		if err := record.CheckStreamName(name); err != nil {
			t.Errorf("%q: %q: %v", id, name, err)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%q and %q are both %q", id, other, name)
		}
		seen[name] = id
		if back, ok := ID(Document(id)); ok != (id != "") || back != id {
			t.Errorf("%q came back as %q", id, back)
		}
	}
}
