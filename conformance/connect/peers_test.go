package connect

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Versions of the libraries that are installed.
const (
	confluentVersion = "2.11.1"
	pikaVersion      = "1.3.2"
	boto3Version     = "1.40.40"
	kafkajsVersion   = "2.2.4"
	amqplibVersion   = "0.10.9"
	sqsJSVersion     = "3.890.0"
	kafkaVersion     = "3.9.1"
	amqpJavaVersion  = "5.22.0"
	sqsJavaVersion   = "2.34.0"
	slf4jVersion     = "1.7.36"
)

const installTime = 5 * time.Minute

// installed returns the folder of a library, which is made once: a second run finds it.
func installed(name string, install func(ctx context.Context, dir string) error) (string, error) {
	base := os.Getenv("LEAT_PEERS")
	if base == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(cache, "leat-peers")
	}
	dir, err := filepath.Abs(filepath.Join(base, "connect-"+name))
	if err != nil {
		return "", err
	}
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
		return fmt.Errorf("%s: %w\n%s", name, err, out[:min(len(out), 2000)])
	}
	return nil
}

// library is what a program of one language needs for one protocol; "" is nothing.
var libraries = map[string]string{
	"py/kafka": "confluent-kafka==" + confluentVersion, "py/amqp": "pika==" + pikaVersion, "py/aws": "boto3==" + boto3Version,
	"js/kafka": "kafkajs@" + kafkajsVersion, "js/amqp": "amqplib@" + amqplibVersion, "js/aws": "@aws-sdk/client-sqs@" + sqsJSVersion,
	"java/kafka": "org.apache.kafka:kafka-clients:" + kafkaVersion, "java/amqp": "com.rabbitmq:amqp-client:" + amqpJavaVersion,
	"java/aws": "software.amazon.awssdk:sqs:" + sqsJavaVersion,
}

var installing sync.Mutex

// library installs what a program needs, or skips the test. It returns a folder, "" when nothing is needed.
func library(t *testing.T, language, protocol string) string {
	t.Helper()
	need := libraries[language+"/"+protocol]
	if need == "" {
		return ""
	}
	installing.Lock()
	defer installing.Unlock()
	name := strings.NewReplacer("/", "-", ":", "-", "@", "-", "=", "").Replace(language + "-" + need)
	dir, err := installed(name, func(ctx context.Context, dir string) error {
		switch language {
		case "py":
			if err := program(ctx, dir, "python3", "-m", "venv", dir); err != nil {
				return err
			}
			return program(ctx, dir, filepath.Join(dir, "bin", "pip"), "install", "-q", need)
		case "js":
			return program(ctx, dir, "npm", "install", "--silent", "--prefix", dir, need)
		default:
			jars, err := filepath.Abs("../../.ci/jars")
			if err != nil {
				return err
			}
			if err := program(ctx, dir, jars, need, filepath.Join(dir, "jars")); err != nil {
				return err
			}
			return program(ctx, dir, jars, "org.slf4j:slf4j-nop:"+slf4jVersion, filepath.Join(dir, "log"))
		}
	})
	if err != nil {
		t.Skipf("%s cannot be had: %v", need, err)
	}
	return dir
}
