package clienttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kcat finds kcat, or skips.
func kcat(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("KCAT"), "kcat", "kafkacat"} {
		if p, err := exec.LookPath(name); name != "" && err == nil {
			return p
		}
	}
	t.Skip("kcat is not here: apt-get install kcat, or set KCAT")
	return ""
}

func TestKcat(t *testing.T) {
	bin := kcat(t)
	version, _ := run(t, "", bin, "-V")
	t.Log(strings.TrimSpace(version))
	n := start(t)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []string{"0", "1", "-1", "idempotent"} {
			t.Run(codec+"/"+acks, func(t *testing.T) {
				topic := "kcat-" + codec + "-" + acks
				set := []string{"-X", "acks=" + acks}
				if acks == "idempotent" {
					set = []string{"-X", "enable.idempotence=true"}
				}
				var in strings.Builder
				for i := range 100 {
					fmt.Fprintf(&in, "k%d:value %d\n", i, i)
				}
				args := append([]string{"-b", n.kafka, "-P", "-t", topic, "-K:", "-z", codec}, set...)
				if out, err := run(t, in.String(), bin, args...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				out, err := run(t, "", bin, "-b", n.kafka, "-C", "-q", "-t", topic, "-o", "beginning", "-e", "-f", "%k:%s\n")
				if err != nil || out != in.String() {
					t.Fatalf("%v\n%s", err, out)
				}
			})
		}
	}
	if out, err := run(t, "", bin, "-b", n.kafka, "-L"); err != nil || !strings.Contains(out, `topic "kcat-zstd--1" with 1 partitions`) {
		t.Errorf("list: %v\n%s", err, out)
	}
	if out, err := run(t, "", bin, "-b", n.kafka, "-Q", "-t", "kcat-none-1:0:-1"); err != nil || !strings.Contains(out, "offset 100") {
		t.Errorf("offset: %v\n%s", err, out)
	}
	if out, err := run(t, "", bin, "-b", n.kafka, "-C", "-q", "-t", "kcat-none-1", "-o", "s@1", "-c", "1"); err != nil || out != "value 0\n" {
		t.Errorf("from a time: %v\n%s", err, out)
	}
	if out, err := run(t, strings.Repeat("x", 2<<20), bin, "-b", n.kafka, "-P", "-t", "kcat-none-1", "-X", "message.max.bytes=10000000", "-D", "\x01", "-z", "none"); err == nil && !strings.Contains(out, "too large") {
		t.Errorf("a record of 2 MiB: %v\n%s", err, out)
	}
	// A group goes on where it was: the second time there is nothing left to read.
	for i, want := range []int{100, 0} {
		out, err := run(t, "", bin, "-b", n.kafka, "-G", "group", "kcat-none-1", "-e", "-q", "-X", "auto.offset.reset=earliest", "-f", "%o\n")
		if err != nil || strings.Count(out, "\n") != want {
			t.Errorf("group, time %d: %v\n%s", i, err, out)
		}
	}
}

func TestKcat_LoginAndTLS(t *testing.T) {
	bin := kcat(t)
	n := start(t)
	n.addUser(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			login := []string{"-b", n.kafka, "-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=" + mechanism, "-X", "sasl.username=" + user, "-X", "sasl.password="}
			with := func(pass string, more ...string) []string {
				a := append([]string(nil), login...)
				a[len(a)-1] += pass
				return append(a, more...)
			}
			if out, err := run(t, "x\n", bin, with(password, "-P", "-t", "t-"+mechanism)...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if out, err := run(t, "", bin, with("wrong", "-L", "-m", "5")...); err == nil || !strings.Contains(out, "uthentication") {
				t.Errorf("wrong password: %v\n%s", err, out)
			}
		})
	}
	s := start(t, withTLS)
	args := []string{"-b", s.kafka, "-X", "security.protocol=SSL", "-X", "ssl.ca.location=" + s.ca, "-t", "secret"}
	if out, err := run(t, "x\n", bin, append(args, "-P")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := run(t, "", bin, append(args, "-C", "-q", "-e", "-o", "beginning")...); err != nil || out != "x\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestConfluentPython(t *testing.T) {
	python := confluentPython(t)
	n, users, secure := start(t), start(t), start(t, withTLS)
	users.addUser(t)
	out, err := run(t, "", python, "confluent.py", n.kafka, users.kafka, secure.kafka, secure.ca, user, password)
	t.Log(out)
	if err != nil {
		t.Error(err)
	}
}

// javaPeers are the directories of jars, one per version of the client.
func javaPeers(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("java is not here: install a JDK 17 or newer")
	}
	dirs := filepath.SplitList(os.Getenv("KAFKA_JARS"))
	if len(dirs) == 0 {
		t.Skip("the Java client is not here: see java/pom.xml, then set KAFKA_JARS")
	}
	return dirs
}

func TestJava(t *testing.T) {
	for _, dir := range javaPeers(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			n, users, secure := start(t), start(t), start(t, withTLS)
			users.addUser(t)
			out, err := run(t, "", "java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(dir, "*"), "java/Check.java",
				n.kafka, users.kafka, secure.kafka, secure.ca, user, password)
			t.Log(out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestJavaConsoleTools(t *testing.T) {
	for _, dir := range javaPeers(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			n := start(t)
			tool := func(stdin, class string, args ...string) string {
				t.Helper()
				out, err := run(t, stdin, "java", append([]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(dir, "*"), class, "--bootstrap-server", n.kafka}, args...)...)
				if err != nil {
					t.Fatalf("%s %v: %v\n%s", class, args, err, out)
				}
				return out
			}
			const topics, configs = "org.apache.kafka.tools.TopicCommand", "org.apache.kafka.tools.GetOffsetShell"
			tool("", topics, "--create", "--topic", "orders", "--partitions", "2", "--config", "retention.ms=100000000")
			if out := tool("", topics, "--describe", "--topic", "orders"); !strings.Contains(out, "PartitionCount: 2") || !strings.Contains(out, "retention.ms=100000000") {
				t.Error(out)
			}
			tool("", topics, "--alter", "--topic", "orders", "--partitions", "3")
			if out := tool("", topics, "--list"); !strings.Contains(out, "orders") {
				t.Error(out)
			}
			if out, _ := run(t, "", "java", "-cp", filepath.Join(dir, "*"), "org.apache.kafka.tools.ConsoleProducer", "--version"); strings.Contains(out, "ClassNotFound") {
				t.Skip("kafka-tools of this version has no console producer (4.0 and later do); topics were created, described, altered and listed")
			}
			tool("one-a\none-b\none-c\n", "org.apache.kafka.tools.ConsoleProducer", "--topic", "orders")
			ends := tool("", configs, "--topic", "orders")
			if strings.Count(ends, "orders:") != 3 {
				t.Error(ends)
			}
			got := 0
			for _, line := range strings.Fields(ends) { // topic:partition:end; whoever waits for a number of records need not guess how long
				f := strings.Split(line, ":")
				if len(f) != 3 || f[2] == "0" {
					continue
				}
				out := tool("", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", "orders", "--partition", f[1], "--offset", "earliest", "--max-messages", f[2])
				for _, line := range strings.Fields(out) {
					if strings.HasPrefix(line, "one-") {
						got++
					}
				}
			}
			if got != 3 {
				t.Errorf("%d of 3 records", got)
			}
			tool("", topics, "--delete", "--topic", "orders")
		})
	}
}
