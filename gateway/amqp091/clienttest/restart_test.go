package clienttest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A program that publishes with confirms says "half" in the middle, and at the end whether everything is there.
func restarted(t *testing.T, n *node, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last = lines.Text(); last == "half" {
			n.kill(t)
			if _, err := io.WriteString(in, "go on\n"); err != nil {
				t.Error(err)
			}
			time.Sleep(300 * time.Millisecond) // for clients to find nobody, mostly
			n.run(t)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, trouble.String())
	}
	if strings.Count(strings.ToLower(last), "true") != 2 {
		t.Errorf("it ended with %q\n%s", last, trouble.String())
	}
}

// TestRestart leaves clients alone while their node is killed with -9 and started again.
func TestRestart(t *testing.T) {
	t.Run("pika", func(t *testing.T) {
		t.Parallel()
		py := python(t)
		n := startLeat(t)
		restarted(t, n, nil, py, "restart.py", n.amqp)
	})
	t.Run("amqplib", func(t *testing.T) {
		t.Parallel()
		peer := amqplib(t)
		n := startLeat(t)
		restarted(t, n, []string{"PEER=" + peer}, "node", "restart.mjs", n.url())
	})
	t.Run("java", func(t *testing.T) {
		t.Parallel()
		path := javaPath(t)
		n := startLeat(t)
		restarted(t, n, nil, "java", "-cp", path, "java/Restart.java", n.url())
	})
	t.Run("amqp091-go", func(t *testing.T) {
		t.Parallel()
		n := startLeat(t)
		if err := restartByGo(t, n); err != nil {
			t.Error(err)
		}
	})
}

// restartByGo is what restart.py does.
func restartByGo(t *testing.T, n *node) error {
	ctx := patience(t)
	var ch *amqp.Channel
	connect := func() error {
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			conn, err := amqp.Dial(n.url())
			if err != nil {
				continue
			}
			if ch, err = conn.Channel(); err != nil {
				continue
			}
			if _, err = ch.QueueDeclare("r.go", true, false, false, false, nil); err == nil && ch.Confirm(false) == nil {
				return nil
			}
		}
		return ctx.Err()
	}
	if err := connect(); err != nil {
		return err
	}
	publish := func(i int) bool {
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "r.go", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: fmt.Append(nil, i)})
		if err != nil {
			return false
		}
		wait, cancel := context.WithTimeout(ctx, clientPatience)
		defer cancel()
		ok, err := c.WaitContext(wait)
		return ok && err == nil
	}
	for i := range 200 {
		for !publish(i) {
			if err := connect(); err != nil {
				return err
			}
		}
		if i == 99 {
			n.kill(t)
			n.run(t)
		}
	}
	seen := map[string]bool{}
	for {
		d, ok, err := ch.Get("r.go", true)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		seen[string(d.Body)] = true
	}
	if len(seen) != 200 {
		return fmt.Errorf("%d of 200 confirmed messages are there", len(seen))
	}
	return nil
}
