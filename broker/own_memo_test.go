package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
)

func memosOf(h *house, namespace string, id uint32) string {
	m := h.b.AllMemos(namespace)[id]
	if m == nil {
		return ""
	}
	var out []string
	for _, x := range m.Memos {
		out = append(out, fmt.Sprintf("%s=%s", x.Key, x.Value))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Rows of a subscription are kept over restarts, all of a call or none, and stay when it goes, until its gateway takes them away.
func TestMemos_AreKeptWithTheirSubscription(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.cursor("a", nil)
		h.cursor("b", nil)
		a, _ := h.b.OwnSubscription(h.c.Namespace, "a")
		b, _ := h.b.OwnSubscription(h.c.Namespace, "b")
		put := func(id uint32, ms ...broker.Memo) error { return h.b.PutMemos(ctx, h.c.Namespace, id, ms) }
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(put(a.ID, broker.Memo{Key: "g", Value: []byte("1")}, broker.Memo{Key: "m/x/y", Value: []byte{}}))
		must(put(b.ID, broker.Memo{Key: "g", Value: []byte("2")}))
		must(put(a.ID, broker.Memo{Key: "g", Value: []byte("3")}, broker.Memo{Key: "never"}))
		wantKind(t, put(a.ID, broker.Memo{Key: "g", Value: []byte("4")}, broker.Memo{Key: "big", Value: make([]byte, broker.MemoBytesMax+1)}), fault.TooLarge)
		wantKind(t, put(a.ID, broker.Memo{Key: strings.Repeat("k", broker.MemoKeyMax+1)}), fault.TooLarge)
		for _, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			if got := memosOf(h, h.c.Namespace, a.ID); got != "g=3 m/x/y=" {
				t.Fatal(got)
			}
			if got := memosOf(h, h.c.Namespace, b.ID); got != "g=2" {
				t.Fatal(got)
			}
		}
		must(h.b.DeleteSubscription(ctx, h.c, "a"))
		wantKind(t, put(a.ID, broker.Memo{Key: "g", Value: []byte("5")}), fault.NotFound)
		if got := memosOf(h, h.c.Namespace, a.ID); got != "g=3 m/x/y=" {
			t.Fatal(got)
		}
		must(h.b.DropMemos(ctx, h.c.Namespace, a.ID, []string{"g", "m/x/y", "never"}))
		h.restart()
		if got := memosOf(h, h.c.Namespace, a.ID); got != "" {
			t.Fatal(got)
		}
		if got := memosOf(h, "elsewhere", b.ID); got != "" {
			t.Fatal(got)
		}
	})
}
