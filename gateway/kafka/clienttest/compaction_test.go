package clienttest

import (
	"path/filepath"
	"testing"
)

// The Java client reads from the start, again and again, while what it reads is compacted.
func TestJava_ReadsWhileCompacted(t *testing.T) {
	for _, dir := range javaPeers(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			n := start(t, withConfig("broker:\n  segment_window_bytes: 64KiB\n  segment_backlog_bytes_max: 4MiB\n  keep_interval: 20ms\n  hot_tail_bytes: 64KiB\n"))
			out, err := run(t, "", "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(dir, "*"), "java/Compaction.java", n.kafka, "100", "8000")
			t.Log(out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}
