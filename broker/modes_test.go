package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

// built waits until nothing of a stream's keys is being built.
func (h *house) built(name string) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		info, err := h.b.DescribeStream(context.Background(), h.c, name)
		if err != nil {
			h.t.Fatal(err)
		}
		if info.Building < 0 {
			return
		}
	}
	h.t.Fatalf("the keys of %s are not built", name)
}

func (h *house) change(name string, m broker.KeyMode) {
	h.t.Helper()
	alter(h.t, h, name, func(c *broker.StreamConfig) { c.Keys = m })
}

// ofKey reads all events of a key, also while its stream is being built.
func (h *house) ofKey(name, key string) []string {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		p, err := h.b.ReadPage(context.Background(), h.c, broker.PageRequest{Streams: []string{name}, Key: []byte(key), Limit: 1000})
		if err == nil {
			return texts(p.Events)
		}
		if !fault.Is(err, fault.Unavailable) || time.Now().After(deadline) {
			h.t.Fatal(err)
		}
	}
}

func TestModes_EveryChangeOnALiveStream(t *testing.T) {
	modes := []broker.KeyMode{broker.KeysOff, broker.KeysLatest, broker.KeysHistory, broker.KeysVersioned}
	for _, from := range modes {
		for _, to := range modes {
			if from == to {
				continue
			}
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				keeping(t, func(t *testing.T, h *house) {
					h.create("s", broker.StreamConfig{Keys: from, Partitions: 2, Keep: broker.Keep{CompactionLagMS: time.Hour.Milliseconds()}})
					var want []string
					send := func(n int) {
						for range n {
							v := value(fmt.Sprint("v", len(want)))
							e := event("s", "k", v)
							e.Partition = record.PartitionID(len(want) % 2)
							h.mustAppend(e, event("s", fmt.Sprint("other", len(want)), v))
							want = append(want, v)
						}
					}
					check := func(when string) {
						h.t.Helper()
						expect := want
						if to == broker.KeysLatest {
							expect = want[len(want)-1:]
						}
						if got := h.ofKey("s", "k"); !slices.Equal(got, expect) {
							t.Fatalf("%s: %d events of the key, expected %d", when, len(got), len(expect))
						}
						if got := h.ofKey("s", "other3"); !slices.Equal(got, want[3:4]) {
							t.Fatalf("%s: another key: %d events", when, len(got))
						}
					}
					send(60)
					h.moved()
					send(5) // some are in the journal
					h.change("s", to)
					send(5)
					check("changed")
					h.built("s")
					send(5)
					check("built")
					if to == broker.KeysVersioned {
						r := h.mustAppend(func() broker.EventEntry {
							e := event("s", "k", value("cond"))
							e.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: uint64(len(want))}
							return e
						}())
						want = append(want, value("cond"))
						if r[0].Version != uint64(len(want)) {
							t.Fatalf("version %d, expected %d", r[0].Version, len(want))
						}
					}
					h.restart()
					h.built("s")
					check("restarted")
				})
			})
		}
	}
}

// A crash in the middle begins the building again; whatever it had done, keys have all of their events and versions once.
func TestModes_CrashWhileBuilding(t *testing.T) {
	for _, to := range []broker.KeyMode{broker.KeysHistory, broker.KeysVersioned} {
		t.Run(to.String(), func(t *testing.T) {
			keeping(t, func(t *testing.T, h *house) {
				h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
				var want []string
				send := func(n int) {
					for range n {
						v := value(fmt.Sprint("v", len(want)))
						h.mustAppend(event("s", "k", v), event("s", fmt.Sprint("x", len(want)), v))
						want = append(want, v)
					}
				}
				send(200)
				h.change("s", to)
				for range 4 {
					send(3)
					h.restart() // without waiting for it
				}
				h.built("s")
				send(2)
				if got := h.ofKey("s", "k"); !slices.Equal(got, want) {
					t.Fatalf("%d events of the key, expected %d", len(got), len(want))
				}
				if to != broker.KeysVersioned {
					return
				}
				e := event("s", "k", value("next"))
				e.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: uint64(len(want))}
				if r := h.mustAppend(e); r[0].Version != uint64(len(want))+1 {
					t.Fatalf("version %d after %d events", r[0].Version, len(want))
				}
				wrong := event("s", "x7", value("next"))
				wrong.Expect = broker.Expect{Kind: broker.ExpectNone}
				_, err := h.append(wrong)
				wantKind(t, err, fault.Conflict)
			})
		})
	}
}

// What was numbered keeps its number when its events go.
func TestModes_VersionsDoNotFallWhenEventsGo(t *testing.T) {
	keeping(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysHistory})
		for i := range 100 {
			h.mustAppend(event("s", fmt.Sprint("k", i%5), value("v")))
		}
		h.change("s", broker.KeysVersioned)
		h.built("s")
		h.mustTruncate("s", broker.Start{Kind: broker.StartLatest})
		for range 2 {
			e := event("s", "k1", value("v"))
			e.Expect = broker.Expect{Kind: broker.ExpectVersion, Version: 3}
			_, err := h.append(e)
			if f := wantKind(t, err, fault.Conflict); f.Detail.([]broker.FailedCondition)[0].Current != 20 {
				t.Fatalf("%+v", f.Detail)
			}
			h.restart()
		}
	})
}

func TestModes_ChangedAgainWhileBuilding(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		for i := range 300 {
			h.mustAppend(event("s", fmt.Sprint("k", i%3), fmt.Sprint("v", i)))
		}
		for range 3 {
			for _, m := range []broker.KeyMode{broker.KeysVersioned, broker.KeysOff, broker.KeysLatest, broker.KeysVersioned, broker.KeysHistory} {
				h.change("s", m)
			}
		}
		h.built("s")
		if got := h.ofKey("s", "k1"); len(got) != 100 {
			t.Fatalf("%d events of the key, expected 100", len(got))
		}
	})
}

// A change that has to be built is told when it is asked for, and again when it holds.
func TestModes_BuiltIsTold(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		h.create("s", broker.StreamConfig{Keys: broker.KeysOff})
		h.mustAppend(event("s", "k", value("v")))
		h.change("s", broker.KeysVersioned)
		h.built("s")
		got := h.systemEvents(3)
		if s := fmt.Sprint(got); s != "[stream.created s stream.altered s stream.keys-built s]" || got[2].data["keys"] != "versioned" {
			t.Errorf("%s, %v", s, got[2].data)
		}
	})
}
