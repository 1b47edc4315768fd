package clienttest

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

// Each script takes the URL of the node, publishes, follows, drops its connection, resumes and compares; it ends with status 0 and "ok".
func TestScripts(t *testing.T) {
	for _, c := range []struct{ program, script string }{
		{"python3", "testdata/client.py"},
		{"node", "testdata/client.mjs"},
	} {
		t.Run(c.program, func(t *testing.T) {
			path, err := exec.LookPath(c.program)
			if err != nil {
				t.Skipf("SKIPPED: %s is not installed, so this client was NOT tested", c.program)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, path, c.script, start(t)).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %s: %v\n%s", c.program, c.script, err, out)
			}
		})
	}
}
