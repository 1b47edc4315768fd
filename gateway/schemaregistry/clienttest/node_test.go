package clienttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// node is a running leat.
type node struct{ kafka, http, registry string }

var builtBinary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("LEAT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "leat-clienttest")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "leat")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/leat")
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building leat: %w\n%s", err, out)
	}
	return bin, nil
})

// start runs a node in memory until the test ends.
func start(t *testing.T) *node {
	t.Helper()
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(bin, "serve", "--dev")
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if err != nil || t.Failed() || strings.Contains(log.String(), "panic") {
			t.Errorf("leat ended: %v\n%s", err, &log)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("leat printed no ports: %v\n%s", err, &log)
	}
	var ports map[string]string
	if err := json.Unmarshal(line, &ports); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return &node{ports["kafka"], "http://" + ports["http"], "http://" + ports["schema-registry"]}
}

func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}
