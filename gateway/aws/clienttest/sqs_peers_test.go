package clienttest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Versions of the peers of SQS.
const (
	jsVersion       = "3.1169.0"
	consumerVersion = "15.0.3"
	javaVersion     = "2.54.14"
	celeryVersion   = "5.6.0"
)

const well = "all is well"

// runs runs a program that is to say that all is well.
func runs(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), well) {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

func boto(n *node, id, secret string) []string {
	return []string{"AWS_ENDPOINT_URL=" + n.url, "AWS_DEFAULT_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_SESSION_TOKEN=", "AWS_CONFIG_FILE=/dev/null"}
}

func TestSQSBoto3(t *testing.T) {
	runs(t, boto(start(t, ""), "any", "any"), python(t), "sqs.py", "open")
}

// A node with users: the same program, signing with an access key as at Amazon.
func TestSQSBoto3_WithAnAccessKey(t *testing.T) {
	py := python(t)
	n, api := start(t, ""), freePort(t)
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.cmd.Wait() // it was killed
	n.args = append(n.args, "--listen", "http="+api)
	n.run(t)
	made := func(args ...string) map[string]any {
		t.Helper()
		cmd := exec.Command(n.args[0], append(args, "--url", "http://"+api, "-o", "json")...)
		cmd.Env = append(os.Environ(), "LEAT_PASSWORD=open-sesame", "LEAT_NEW_PASSWORD=open-sesame")
		out, err := cmd.Output()
		var doc map[string]any
		if err != nil || json.Unmarshal(out, &doc) != nil {
			t.Fatalf("leat %v: %v\n%s", args, err, out)
		}
		return doc
	}
	made("user", "create", "root", "--grant", "admin * *")
	key := made("--user", "root", "user", "create", "shop", "--new-access-key", "--grant", "admin stream shop-*", "--grant", "admin subscription shop-*")
	id, secret := key["access_key"].(string), key["secret_key"].(string)
	runs(t, boto(n, id, secret), py, "sqs.py", "users")
	cmd := exec.Command(py, "sqs.py", "wrong")
	cmd.Env = append(os.Environ(), boto(n, id, secret+"x")...)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "SignatureDoesNotMatch") {
		t.Errorf("with a wrong secret: %v\n%s", err, out)
	}
}

var jsPeer = sync.OnceValues(func() (string, error) {
	return installed("js-sqs-"+jsVersion+"-consumer-"+consumerVersion, func(ctx context.Context, dir string) error {
		return program(ctx, dir, "npm", "install", "--silent", "--prefix", dir, "@aws-sdk/client-sqs@"+jsVersion, "sqs-consumer@"+consumerVersion)
	})
})

func TestSQSJavaScript(t *testing.T) {
	dir, err := jsPeer()
	if err != nil {
		t.Skipf("@aws-sdk/client-sqs cannot be had (node and npm are needed): %v", err)
	}
	runs(t, []string{"AWS_CONFIG_FILE=/dev/null"}, "node", "sqs.mjs", dir, start(t, "").url)
}

var javaPeer = sync.OnceValues(func() (string, error) {
	script, err := filepath.Abs("../../../.ci/jars")
	if err != nil {
		return "", err
	}
	return installed("java-sqs-"+javaVersion, func(ctx context.Context, dir string) error {
		if err := program(ctx, dir, "javac", "-version"); err != nil {
			return err
		}
		return program(ctx, dir, script, "software.amazon.awssdk:sqs:"+javaVersion, filepath.Join(dir, "client"))
	})
})

func TestSQSJava(t *testing.T) {
	dir, err := javaPeer()
	if err != nil {
		t.Skipf("the AWS SDK for Java cannot be had (a JDK 17 and Maven are needed): %v", err)
	}
	runs(t, nil, "java", "-cp", filepath.Join(dir, "client", "*"), "java/Sqs.java", start(t, "").url)
}

var celeryPeer = sync.OnceValues(func() (string, error) {
	dir, err := installed("python-celery-sqs-"+celeryVersion, func(ctx context.Context, dir string) error {
		if err := program(ctx, dir, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return program(ctx, dir, filepath.Join(dir, "bin", "pip"), "install", "-q", "celery[sqs]=="+celeryVersion)
	})
	return filepath.Join(dir, "bin", "python"), err
})

// Celery runs a worker whose broker is SQS, and twenty tasks, one of which fails at first and is tried again.
func TestSQSCelery(t *testing.T) {
	py, err := celeryPeer()
	if err != nil {
		t.Skipf("celery[sqs] cannot be had (python3 with venv and pip are needed): %v", err)
	}
	n := start(t, "")
	runs(t, append(boto(n, "any", "any"), "DONE="+filepath.Join(t.TempDir(), "done")), py, "sqs_celery.py", n.aws)
}
