package clienttest

import (
	"os/exec"
	"testing"
)

// TestSNSBoto3 runs sns.py, which says what it misses and fails.
func TestSNSBoto3(t *testing.T) {
	bin := python(t)
	n := start(t, "")
	cmd := exec.Command(bin, "sns.py", n.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
