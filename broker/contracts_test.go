package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/contract/registry"
)

// register registers an Avro record with these fields.
func (h *house) register(c *broker.Caller, subject string, fields ...string) (v *registry.Version, err error) {
	var list []string
	for _, f := range fields {
		list = append(list, fmt.Sprintf(`{"name":%q,"type":"string","default":""}`, f))
	}
	in := registry.Registration{Content: registry.Content{Type: "AVRO", Text: `{"type":"record","name":"R","fields":[` + strings.Join(list, ",") + `]}`}}
	err = h.b.ChangeContracts(context.Background(), c, broker.ActionCreate, subject, func(r *registry.Registry) (ch registry.Change, err error) {
		v, ch, err = r.Register(subject, in)
		return ch, err
	})
	return v, err
}

func TestContracts_OutliveRestarts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		for i, s := range []string{"a", "a", "b"} {
			if _, err := h.register(h.c, s, fmt.Sprint("f", i)); err != nil {
				t.Fatal(err)
			}
		}
		drop := func(permanent bool) {
			t.Helper()
			err := h.b.ChangeContracts(ctx, h.c, broker.ActionDelete, "b", func(r *registry.Registry) (registry.Change, error) {
				_, c, err := r.DeleteSubject("b", permanent)
				return c, err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		drop(false)
		drop(true)
		for i, again := range []func(){func() {}, h.restart, h.forget} {
			again()
			r := h.b.Contracts(h.c.Namespace)
			if got := fmt.Sprint(r.Subjects(registry.AllContexts, registry.WithDeleted)); got != "[a]" {
				t.Fatalf("%d: %s", i, got)
			}
			all, err := r.Versions("a", registry.Live)
			if err != nil || len(all) != 2 || all[1].ID != 2 || !strings.Contains(all[1].Text, `"f1"`) {
				t.Fatalf("%d: %v, %v", i, all, err)
			}
			if r.MaxID("a") != 3 {
				t.Fatalf("%d: the highest id is %d", i, r.MaxID("a"))
			}
			if other := h.b.Contracts("elsewhere"); other.Has("a", true) {
				t.Fatal("another namespace has it")
			}
		}
		if v, err := h.register(h.c, "b", "g"); err != nil || v.ID != 4 {
			t.Fatalf("%+v, %v", v, err)
		}
		no := errors.New("no")
		err := h.b.ChangeContracts(ctx, h.c, broker.ActionCreate, "a", func(*registry.Registry) (registry.Change, error) { return registry.Change{}, no })
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
		err = h.b.ChangeContracts(ctx, h.c, broker.ActionCreate, "a", func(*registry.Registry) (registry.Change, error) {
			return registry.Change{Put: []registry.Document{{Name: "c:a", Body: []byte(`{}`)}, {Name: "c:b", Body: make([]byte, 300<<10)}}}, nil
		})
		if !fault.Is(err, fault.TooLarge) {
			t.Fatal(err)
		}
		if _, err := h.b.Contracts(h.c.Namespace).Config("a"); err == nil {
			t.Fatal("a half of a change was taken")
		}
	})
}
