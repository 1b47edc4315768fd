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
	boto3Version     = "1.43.11"
	validatorVersion = "0.3.5"
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

// installed returns the folder of a peer, which is made once: the mark in it says that all is there.
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
	dir, err := installed("python-boto3-"+boto3Version, func(ctx context.Context, dir string) error {
		if err := program(ctx, dir, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return program(ctx, dir, filepath.Join(dir, "bin", "pip"), "install", "-q", "boto3=="+boto3Version)
	})
	return filepath.Join(dir, "bin", "python"), err
})

// python is one with boto3.
func python(t *testing.T) string {
	t.Helper()
	bin, err := pythonPeer()
	if err != nil {
		t.Skipf("boto3 cannot be had (python3 with venv and pip are needed): %v", err)
	}
	return bin
}

var validatorPeer = sync.OnceValues(func() (string, error) {
	return installed("sns-validator-"+validatorVersion, func(ctx context.Context, dir string) error {
		return program(ctx, dir, "npm", "install", "--silent", "--prefix", dir, "sns-validator@"+validatorVersion)
	})
})

// validator is a folder from which node finds sns-validator.
func validator(t *testing.T) string {
	t.Helper()
	dir, err := validatorPeer()
	if err != nil {
		t.Skipf("sns-validator cannot be had (node and npm are needed): %v", err)
	}
	return dir
}
