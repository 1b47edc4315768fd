package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"leat/broker"
	"leat/broker/fault"
)

// put puts a hook with a member and a secret.
func (h *house) put(c *broker.Caller, name string, revision uint64, told, secret string) (*broker.Document, bool, error) {
	return h.b.PutDocument(context.Background(), c, broker.KindHook, name, revision, func(*broker.Document) (json.RawMessage, []byte, error) {
		return json.RawMessage(told), []byte(secret), nil
	})
}

func TestDocument_OutlivesRestartsAndIsTold(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		h.c.Principal = "ann"
		d, made, err := h.put(h.c, "in", 0, `{"a":1,"b":2}`, "hush")
		if err != nil || !made || d.By != "ann" || d.Revision == 0 {
			t.Fatalf("%+v, %v, %v", d, made, err)
		}
		for i, again := range []func(){func() {}, h.restart, h.forget} {
			h.clock.Advance(1) // ids of system events begin with the time of the start
			again()
			got := h.b.OwnDocument(broker.KindHook, h.c.Namespace, "in")
			if got == nil || string(got.Told) != `{"a":1,"b":2}` || string(got.Secret) != "hush" || got.By != "ann" || got.Revision != d.Revision || !got.Created.Equal(d.Created) {
				t.Fatalf("%d: %+v", i, got)
			}
		}
		if got := h.b.OwnDocument(broker.KindHook, "elsewhere", "in"); got != nil {
			t.Fatalf("in another namespace there is %+v", got)
		}
		if _, made, err = h.put(h.c, "in", 0, `{"a":1,"b":3}`, "hush2"); err != nil || made {
			t.Fatal(made, err)
		}
		if err := h.b.DeleteDocument(ctx, h.c, broker.KindHook, "in", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := h.b.GetDocument(ctx, h.c, broker.KindHook, "in"); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		if err := h.b.DeleteDocument(ctx, h.c, broker.KindHook, "in", 0); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		h.clock.Advance(1)
		h.restart()
		if h.b.OwnDocument(broker.KindHook, h.c.Namespace, "in") != nil {
			t.Fatal("it is back")
		}
		var told []string
		for _, e := range h.systemEvents(3) {
			if strings.HasPrefix(e.kind, "leat.hook.") {
				told = append(told, fmt.Sprint(e, " ", e.principal, " ", e.data["old"], " ", e.data["new"], " ", e.data["secret_changed"]))
				if strings.Contains(fmt.Sprint(e.data), "hush") {
					t.Errorf("the secret is told: %v", e.data)
				}
			}
		}
		want := "hook.created in ann <nil> map[a:1 b:2] <nil>|hook.altered in ann map[b:2] map[b:3] true|hook.deleted in ann map[a:1 b:3] <nil> <nil>"
		if got := strings.Join(told, "|"); got != want {
			t.Errorf("told\n%s, want\n%s", got, want)
		}
	})
}

func TestDocument_RevisionsAreCompared(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if _, _, err := h.put(h.c, "in", 7, `{}`, ""); !fault.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		d, _, err := h.put(h.c, "in", 0, `{}`, "")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			wg.Go(func() {
				_, _, err := h.put(h.c, "in", d.Revision, fmt.Sprintf(`{"by":%d}`, i), "")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d changes of one revision", won)
		}
		if err := h.b.DeleteDocument(context.Background(), h.c, broker.KindHook, "in", d.Revision); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		refused := errors.New("no")
		_, _, err = h.b.PutDocument(context.Background(), h.c, broker.KindHook, "in", 0, func(*broker.Document) (json.RawMessage, []byte, error) { return nil, nil, refused })
		if !errors.Is(err, refused) {
			t.Error(err)
		}
		if _, _, err := h.put(h.c, "no/name", 0, `{}`, ""); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if _, _, err := h.put(h.c, "big", 0, `{"x":"`+strings.Repeat("x", 300<<10)+`"}`, ""); !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
	})
}

func TestDocument_RightsAndLimit(t *testing.T) {
	h := newHouse(t, 1, "")
	h.open()
	ctx := context.Background()
	root := *h.c
	root.Principal = "root"
	user := func(name string, grants ...broker.Grant) *broker.Caller {
		t.Helper()
		if _, err := h.b.PutUser(ctx, &root, broker.User{Name: name, Password: "long enough", Grants: grants}); err != nil {
			t.Fatal(err)
		}
		c := *h.c
		c.Principal = name
		return &c
	}
	user("root", broker.Grant{Action: broker.ActionAdmin, Kind: "*", Pattern: "*"})
	maker := user("maker", broker.Grant{Action: broker.ActionCreate, Kind: broker.KindHook, Pattern: "in*"})
	viewer := user("viewer", broker.Grant{Action: broker.ActionDescribe, Kind: broker.KindHook, Pattern: "in-1"})
	streams := user("streams", broker.Grant{Action: broker.ActionAdmin, Kind: broker.KindStream, Pattern: "*"})
	for _, name := range []string{"in-1", "in-2"} {
		if _, _, err := h.put(maker, name, 0, `{}`, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := h.put(maker, "out", 0, `{}`, ""); !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	if _, _, err := h.put(maker, "in-1", 0, `{}`, ""); !fault.Is(err, fault.Denied) {
		t.Error("who may create may not alter:", err)
	}
	if err := h.b.DeleteDocument(ctx, maker, broker.KindHook, "in-1", 0); !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	if _, err := h.b.GetDocument(ctx, streams, broker.KindHook, "in-1"); !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	for c, want := range map[*broker.Caller]int{viewer: 1, streams: 0, &root: 2, {}: 0} {
		if all, err := h.b.ListDocuments(ctx, c, broker.KindHook); err != nil || len(all) != want {
			t.Errorf("%s sees %d, %v; want %d", c.Principal, len(all), err, want)
		}
	}
	for i := range broker.DocumentsMax - 2 {
		if _, _, err := h.put(&root, fmt.Sprintf("more-%d", i), 0, `{}`, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := h.put(&root, "one-more", 0, `{}`, ""); !fault.Is(err, fault.QuotaSpent) {
		t.Error(err)
	}
	if _, _, err := h.put(&root, "in-1", 0, `{}`, ""); err != nil {
		t.Error("at the limit what is there can be changed:", err)
	}
}
