package clienttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Versions of the peers that are installed.
const (
	pikaVersion    = "1.4.4"
	celeryVersion  = "5.6.0"
	amqplibVersion = "2.3.1"
	javaVersion    = "5.22.0"
	slf4jVersion   = "1.7.36"
)

const installTime = 4 * time.Minute

// peers is where peers are installed, for good: a second run finds them.
func peers() (string, error) {
	if dir := os.Getenv("LEAT_PEERS"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "leat-peers"), err
}

// installed returns the folder of a peer, which is made once: in a folder beside it that takes its name when all is there.
func installed(name string, install func(ctx context.Context, dir string) error) (string, error) {
	base, err := peers()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, name)
	if _, err := os.Stat(filepath.Join(dir, ".whole")); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	if err := install(ctx, dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, ".whole"), nil, 0o644)
}

func program(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

var pythonPeer = sync.OnceValues(func() (string, error) {
	dir, err := installed("python-pika-"+pikaVersion+"-celery-"+celeryVersion, func(ctx context.Context, dir string) error {
		if err := program(ctx, dir, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return program(ctx, dir, filepath.Join(dir, "bin", "pip"), "install", "-q", "pika=="+pikaVersion, "celery=="+celeryVersion)
	})
	return filepath.Join(dir, "bin", "python"), err
})

// python is one with pika and Celery.
func python(t *testing.T) string {
	t.Helper()
	bin, err := pythonPeer()
	if err != nil {
		t.Skipf("pika and Celery cannot be had (python3 with venv and pip are needed): %v", err)
	}
	return bin
}

var nodePeer = sync.OnceValues(func() (string, error) {
	return installed("amqplib-"+amqplibVersion, func(ctx context.Context, dir string) error {
		return program(ctx, dir, "npm", "install", "--silent", "--prefix", dir, "amqplib@"+amqplibVersion)
	})
})

// amqplib is a folder from which node finds amqplib.
func amqplib(t *testing.T) string {
	t.Helper()
	dir, err := nodePeer()
	if err != nil {
		t.Skipf("amqplib cannot be had (node and npm are needed): %v", err)
	}
	return dir
}

var javaPeer = sync.OnceValues(func() (string, error) {
	script, err := filepath.Abs("../../../.ci/jars")
	if err != nil {
		return "", err
	}
	return installed("amqp-client-"+javaVersion, func(ctx context.Context, dir string) error {
		if err := program(ctx, dir, "javac", "-version"); err != nil {
			return err
		}
		if err := program(ctx, dir, script, "com.rabbitmq:amqp-client:"+javaVersion, filepath.Join(dir, "client")); err != nil {
			return err
		}
		return program(ctx, dir, script, "org.slf4j:slf4j-nop:"+slf4jVersion, filepath.Join(dir, "log"))
	})
})

// javaPath is a class path with the Java client.
func javaPath(t *testing.T) string {
	t.Helper()
	dir, err := javaPeer()
	if err != nil {
		t.Skipf("the Java client cannot be had (a JDK 17 and Maven are needed): %v", err)
	}
	return filepath.Join(dir, "client", "*") + string(filepath.ListSeparator) + filepath.Join(dir, "log", "*")
}
