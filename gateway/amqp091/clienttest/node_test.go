package clienttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

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
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building leat: %w\n%s", err, out)
	}
	return bin, nil
})

// node is a server of AMQP that can be killed: Leat on a data directory, or RabbitMQ.
type node struct {
	amqp string // HOST:PORT
	http string // of Leat's own API
	api  string // RabbitMQ's management API
	cmd  *exec.Cmd
	log  *bytes.Buffer
	args []string
}

func (n *node) url() string { return "amqp://guest:guest@" + n.amqp }

// freePort is a port that nobody listens at now, below those that systems give to connections that go out.
func freePort(t *testing.T) string {
	t.Helper()
	for _, n := range rand.Perm(10_000) {
		addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(20_000+n))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port from 20000 to 29999")
	return ""
}

// startLeat runs a node on a new data directory until the test ends.
func startLeat(t *testing.T) *node {
	t.Helper()
	bin, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{amqp: freePort(t), http: freePort(t), api: freePort(t), log: &bytes.Buffer{}}
	n.args = []string{bin, "serve", "--data", t.TempDir(), "--listen", "amqp=" + n.amqp, "--listen", "http=" + n.http, "--listen", "rabbitmq-management=" + n.api}
	t.Cleanup(func() {
		if n.cmd.Process == nil {
			return // it did not start
		}
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		err := n.cmd.Wait()
		if err != nil || t.Failed() {
			t.Logf("leat ended: %v\n%s", err, n.log)
		}
		if err != nil {
			t.Errorf("leat did not stop well: %v", err)
		}
		if strings.Contains(n.log.String(), "panic") {
			t.Error("leat panicked")
		}
	})
	n.run(t)
	return n
}

func (n *node) run(t *testing.T) {
	t.Helper()
	n.cmd = exec.Command(n.args[0], n.args[1:]...)
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.await(t, 30*time.Second)
}

// kill is kill -9.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.cmd.Wait() // it was killed
}

// await waits until the listener takes connections.
func (n *node) await(t *testing.T, patience time.Duration) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", n.amqp)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens at %s: %v", n.amqp, err)
		}
	}
}

// startRabbit runs RabbitMQ, with nothing in it, until the test ends.
func startRabbit(t *testing.T) *node {
	t.Helper()
	server := os.Getenv("RABBITMQ_SERVER")
	if server == "" {
		server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	}
	if _, err := os.Stat(server); err != nil {
		t.Skip("RabbitMQ is not here: apt-get install rabbitmq-server, or set RABBITMQ_SERVER")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plugins"), []byte("[]."), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &node{amqp: freePort(t), log: &bytes.Buffer{}}
	port := func(hostPort string) string { return hostPort[strings.LastIndexByte(hostPort, ':')+1:] }
	n.cmd = exec.Command(server)
	n.cmd.Env = append(os.Environ(), "HOME="+dir, "RABBITMQ_NODENAME=clienttest"+port(n.amqp)+"@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT="+port(n.amqp),
		"RABBITMQ_DIST_PORT="+port(freePort(t)), "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT="+port(freePort(t)), "RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir,
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "none"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"))
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is a script with children
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
		_ = n.cmd.Wait()
		if t.Failed() {
			t.Logf("RabbitMQ said:\n%s", n.log)
		}
	})
	n.await(t, time.Minute)
	return n
}

// run runs a program that is a client, and returns what it printed.
func run(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s", err, trouble.String())
	}
	if out.Len() == 0 {
		return "", errors.New(trouble.String())
	}
	return out.String(), nil
}

// clientPatience is how long a client waits for what must come.
const clientPatience = 30 * time.Second

// patience is how long a client may take for all it does.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
