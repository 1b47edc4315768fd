package restore

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	checkpointKills = 8
	restoreKills    = 12
)

// The node is killed in the middle of checkpoints while clients write, and restores are killed at growing moments: the archive stays whole, what a killed restore
// leaves is refused by name, and a restore into a new directory has every event.
func TestKill_AmidCheckpointsAndRestores(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "archive")
	n := start(t, filepath.Join(t.TempDir(), "data"), settings(t, "file://"+archive))
	n.run(t, "stream", "create", "kafka", "--partitions", "3")
	n.run(t, "stream", "create", "http", "--keys", "versioned")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	acked := writers(t, n, ctx, &wg)
	time.Sleep(time.Second)
	for i := range checkpointKills {
		cmd := exec.Command(leat, "archive", "checkpoint", "--url", "http://"+n.http)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+i*25) * time.Millisecond)
		n.kill(t)
		_ = cmd.Wait() // its node has gone
		n.start(t)
		time.Sleep(300 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond)
	moment := time.Now()
	stop()
	wg.Wait()
	time.Sleep(2500 * time.Millisecond) // all is archived
	if out := n.run(t, "archive", "verify", "--from", archive); !strings.Contains(out, "true") {
		t.Errorf("verify: %s", out)
	}
	killed := killRestores(t, archive)
	before := moment.Add(-time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z")
	until := moment.UTC().Format("2006-01-02T15:04:05.000Z")
	r := restored(t, archive, before)
	for _, stream := range []string{"kafka", "http"} {
		want, got := events(t, n, stream, until), events(t, r, stream, "")
		if strings.Join(want, "\n") != strings.Join(got, "\n") || len(got) < 10 {
			t.Fatalf("%s: %d events are restored, want %d, and the same", stream, len(got), len(want))
		}
		t.Logf("%s: %d events, all the same", stream, len(got))
	}
	t.Logf("%d events acknowledged, %d checkpoints and %d restores killed", acked.Load(), checkpointKills, killed)
}

// killRestores kills restores later and later, until one comes to its end. Each leaves a directory that neither serves nor is restored into.
func killRestores(t *testing.T, archive string) (killed int) {
	t.Helper()
	for i := range restoreKills {
		data := filepath.Join(t.TempDir(), "half")
		cmd := exec.Command(leat, "restore", "--from", archive, "--data", data)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(8+i*12) * time.Millisecond)
		_ = cmd.Process.Kill()
		err := cmd.Wait()
		if err == nil {
			break // it was faster
		}
		names, err := os.ReadDir(data)
		if err != nil || len(names) < 2 { // with its lock
			continue // it had not begun
		}
		if _, err := os.Stat(filepath.Join(data, "leat.json")); err == nil {
			continue // it was done, and about to say so
		}
		killed++
		for _, args := range [][]string{
			{"serve", "--data", data, "--listen", "http=" + freePort(t), "--listen", "kafka=" + freePort(t), "--log", "warn"},
			{"restore", "--from", archive, "--data", data},
		} {
			ctx, stop := context.WithTimeout(t.Context(), readyTime)
			var out bytes.Buffer
			again := exec.CommandContext(ctx, leat, args...)
			again.Stdout, again.Stderr = &out, &out
			err := again.Run()
			if ctx.Err() != nil || err == nil || !strings.Contains(out.String(), data) {
				t.Fatalf("leat %s in what a killed restore left: %v, %v: %s", args[0], err, ctx.Err(), out.String())
			}
			if killed == 1 {
				t.Logf("leat %s: %s", args[0], out.String())
			}
			stop()
		}
	}
	if killed == 0 {
		t.Error("no restore was killed in its middle")
	}
	return killed
}
