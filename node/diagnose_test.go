package node

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"leat/broker"
	"leat/internal/clock"
	osfs "leat/storage/vfs/os"
)

func TestDiagnose(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(Options{Data: dir, Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, c := context.Background(), &broker.Caller{}
	if _, err := n.Broker.CreateStream(ctx, c, "s", broker.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	d, err := n.Broker.Doctor(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	parts := func(d *broker.Diagnosis) map[string]bool {
		m := map[string]bool{}
		for _, u := range d.Disk {
			m[u.Part] = u.Files > 0
		}
		return m
	}
	if p := parts(&d); !p["journal"] || !p[identityFile] || d.FreeBytes <= 0 || d.Shards[0].JournalBytes <= 0 || d.Format != DirectoryFormat || len(d.Stages) == 0 || !d.Running {
		t.Errorf("running: %+v", d)
	}
	if d, err := Diagnose(osfs.New(), dir, 1); err != nil || !d.Running {
		t.Errorf("the directory of a running node: %+v, %v", d, err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	d, err = Diagnose(osfs.New(), dir, 1)
	if p := parts(&d); err != nil || d.Running || !p["journal"] || len(d.Shards) != 1 || d.NeedsHand() || len(d.Findings) != 1 {
		t.Errorf("stopped: %+v, %v", d, err)
	}
	if _, err := Diagnose(osfs.New(), t.TempDir(), 1); err == nil {
		t.Error("an empty folder is no data directory")
	}
}

func TestQuantile(t *testing.T) {
	uppers, counts := []float64{1, 2, 5}, []uint64{50, 90, 98}
	for q, want := range map[float64]float64{0.5: 1, 0.6: 2, 0.98: 5, 0.99: 5} {
		if got := quantile(q, 100, uppers, counts); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if quantile(0.5, 0, nil, nil) != 0 {
		t.Error("nothing was measured")
	}
}

func TestClock_Jumps(t *testing.T) {
	for _, c := range []struct{ wall, monotonic, want time.Duration }{
		{time.Hour, time.Hour, 0}, {5 * time.Second, 4100 * time.Millisecond, 0}, {time.Hour, 5 * time.Second, time.Hour - 5*time.Second}, {-time.Minute, 5 * time.Second, -65 * time.Second},
	} {
		if got := jumped(c.wall, c.monotonic); got != c.want {
			t.Errorf("%v by the clock, %v in truth: %v, want %v", c.wall, c.monotonic, got, c.want)
		}
	}
	var w clockWatch
	a := clock.Now()
	w.note(a, 3*time.Second)
	w.note(a, -2*time.Second)
	if s := w.get(); s.Jumps != 2 || s.LastMS != -2000 || s.Age < 0 {
		t.Errorf("%+v", s)
	}
}
