package amqp091

import (
	"strings"
	"testing"

	"leat/broker/record"
)

func TestName_EveryNameHasOneOfOursAndComesBack(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{
		"orders", "my queue", "my_20queue", "amqp.esc.x", "amqp.esc.my_20queue", defaultStream, "ü/%\x00", ".", "..", "a_b", strings.Repeat("a", 249), strings.Repeat("a", 255),
		strings.Repeat("ü", 127), strings.Repeat("ü", 126) + "u", strings.Repeat("_", 80), strings.Repeat("_", 81),
	} {
		ours := ourName(name)
		if err := record.CheckStreamName(ours); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if was, ok := seen[ours]; ok {
			t.Errorf("%q and %q are both %q", was, name, ours)
		}
		seen[ours] = name
		back, whole := theirName(ours)
		if whole && back != name {
			t.Errorf("%q becomes %q and comes back as %q", name, ours, back)
		}
		if !whole && len(name) < 80 {
			t.Errorf("%q is cut", name)
		}
	}
	if got := ourName("my queue"); got != "amqp.esc.my_20queue" {
		t.Errorf("got %s", got)
	}
}
