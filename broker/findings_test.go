package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/broker/fault"
)

func TestJudge(t *testing.T) {
	well := func() broker.Diagnosis {
		return broker.Diagnosis{
			Running: true, Format: 2, FormatNewest: 2, FreeBytes: 100 << 30, ReserveBytes: 1 << 30, Memory: &broker.MemoryUse{Reserved: 1, Max: 100}, Clock: &broker.ClockState{},
			Shards:  []broker.ShardState{{Shard: 0, Seq: 1000, JournalBytes: 100, JournalUsual: 1000}},
			Holders: []broker.Holding{{Shard: 0, Name: "state", Seq: 990, Behind: 10}, {Shard: 0, Name: "archive", Seq: 10, Behind: 990}},
			Stages:  []broker.StageTimes{{Stage: "sync", Count: 1000, P50: 0.2, P99: 2}},
			Jobs:    []broker.JobState{{Name: "retention", Failed: 3}},
		}
	}
	for _, c := range []struct {
		name   string
		change func(*broker.Diagnosis)
		want   broker.Severity // "" is no finding
		what   string
		next   string
	}{
		{"all well", func(*broker.Diagnosis) {}, "", "", ""},
		{"no disk", func(d *broker.Diagnosis) { d.FreeBytes = -1 }, "", "", ""},
		{"full", func(d *broker.Diagnosis) { d.FreeBytes = 1 << 20 }, broker.SeverityFault, "1 MiB are free", "leat stream truncate"},
		{"nearly full", func(d *broker.Diagnosis) { d.FreeBytes = 3 << 29 }, broker.SeverityWarning, "nearly full", "leat stream truncate"},
		{"a shard is down", func(d *broker.Diagnosis) { d.Shards[0].Unhealthy = "the disk failed"; d.Data = "/data" }, broker.SeverityFault, "the disk failed", "leat journal check /data"},
		{"nothing is moved", func(d *broker.Diagnosis) { d.Jobs[0] = broker.JobState{Name: "segments-0", Error: "no space"} }, broker.SeverityFault, "segments-0 has been failing", "leat stream verify"},
		{"slowed", func(d *broker.Diagnosis) { d.Shards[0].Slowed = 3 }, broker.SeverityNote, "3 times", "leat bench"},
		{"the journal is held", func(d *broker.Diagnosis) { d.Shards[0].JournalBytes = 2000 }, broker.SeverityWarning, "archive holds it, 990 frames behind", "leat.system --key archive"},
		{"it may hold everything", func(d *broker.Diagnosis) { d.Shards[0].JournalBytes, d.Shards[0].JournalUsual = 2000, 0 }, "", "", ""},
		{"far behind", func(d *broker.Diagnosis) { d.Holders[1].Behind = 1e6 }, broker.SeverityNote, "archive of shard 0 is 1000000 frames behind", ""},
		{"slow", func(d *broker.Diagnosis) { d.Stages[0].P99 = 250 }, broker.SeverityWarning, "sync is slow: one in a hundred takes 250 ms", "that disk"},
		{"slow, but hardly used", func(d *broker.Diagnosis) { d.Stages[0].P99, d.Stages[0].Count = 250, 5 }, "", "", ""},
		{"memory", func(d *broker.Diagnosis) { d.Memory.Reserved = 95 }, broker.SeverityWarning, "requests in flight", "broker.memory_bytes"},
		{"work fails", func(d *broker.Diagnosis) { d.Jobs[0].Error = "no space" }, broker.SeverityFault, "retention has been failing since", "leat.system --key retention"},
		{"the clock jumped", func(d *broker.Diagnosis) { d.Clock = &broker.ClockState{Jumps: 2, LastMS: -5000} }, broker.SeverityWarning, "by -5s", "chronyc"},
		{"it jumped long ago", func(d *broker.Diagnosis) { d.Clock = &broker.ClockState{Jumps: 2, LastMS: 5000, Age: 48 * time.Hour} }, broker.SeverityNote, "by 5s", "chronyc"},
		{"events dropped", func(d *broker.Diagnosis) { d.Dropped = 7 }, broker.SeverityWarning, "7 system events", "leat.system"},
		{"old format", func(d *broker.Diagnosis) { d.Format = 1; d.Data = "/data" }, broker.SeverityNote, "format 1", "leat upgrade --check --data /data"},
		{"new format", func(d *broker.Diagnosis) { d.Format = 3 }, broker.SeverityFault, "knows 2", "version of Leat"},
	} {
		d := well()
		c.change(&d)
		d.Judge()
		if c.want == "" {
			if len(d.Findings) != 0 || d.NeedsHand() {
				t.Errorf("%s: %v", c.name, d.Findings)
			}
			continue
		}
		if len(d.Findings) != 1 || d.Findings[0].Severity != c.want || !strings.Contains(d.Findings[0].What, c.what) || !strings.Contains(d.Findings[0].Next, c.next) || d.Findings[0].Next == "" {
			t.Errorf("%s: %+v", c.name, d.Findings)
		}
		if d.NeedsHand() != (c.want != broker.SeverityNote) {
			t.Errorf("%s: needs a hand: %v", c.name, d.NeedsHand())
		}
	}
	d := well()
	d.Format, d.Dropped, d.FreeBytes = 1, 1, 0
	if d.Judge(); len(d.Findings) != 3 || d.Findings[0].Severity != broker.SeverityFault || d.Findings[2].Severity != broker.SeverityNote {
		t.Errorf("the worst comes first: %v", d.Findings)
	}
}

func TestDoctor(t *testing.T) {
	eachSystem(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		for range 3 {
			h.b.Job("archive", errors.New("no route to host"))
		}
		d, err := h.b.Doctor(ctx, h.c)
		if err != nil || len(d.Findings) != 1 || !d.NeedsHand() || len(d.Shards) != len(h.states) || len(d.Holders) < len(h.states) || d.Jobs[0].Failed != 3 {
			t.Fatalf("%+v, %v", d, err)
		}
		h.b.Job("archive", nil)
		h.b.Job("archive", nil)
		if d, err = h.b.Doctor(ctx, h.c); err != nil || len(d.Findings) != 0 {
			t.Fatalf("%+v, %v", d, err)
		}
		if got := h.systemEvents(2); len(got) != 2 || got[0].kind != broker.TypeJobFailed || got[1].kind != broker.TypeJobRecovered || got[0].data["error"] != "no route to host" {
			t.Errorf("told: %v", got)
		}
		root := &broker.Caller{Principal: "root"}
		for _, u := range []broker.User{
			{Name: "root", Password: "a password", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}},
			{Name: "bob", Password: "a password", Grants: []broker.Grant{{Action: "describe", Kind: "node", Pattern: "*"}}},
		} {
			if _, err := h.b.PutUser(ctx, root, u); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.b.Doctor(ctx, root); err != nil {
			t.Error(err)
		}
		_, err = h.b.Doctor(ctx, &broker.Caller{Principal: "bob"})
		wantKind(t, err, fault.Denied)
	})
}

func TestSystem_LagIsToldOnceAndWhenItIsOver(t *testing.T) {
	h := newHouse(t, 1, "")
	h.system = true
	h.open()
	for _, pending := range []int64{10, 51, 90, 30, 26, 24, 10, 49, 60} {
		h.b.Lag("segments-0", pending, 100)
	}
	var got []string
	for _, e := range h.systemEvents(3) {
		got = append(got, e.String())
	}
	if s := strings.Join(got, ", "); s != "lag.high segments-0, lag.recovered segments-0, lag.high segments-0" {
		t.Error(s)
	}
}
