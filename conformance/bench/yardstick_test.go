package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The yardstick must do what it is a yardstick for: a body that was answered is in the file.
func TestYardstick_AnsweredBodiesAreInTheFile(t *testing.T) {
	dir := t.TempDir()
	b := &bench{dir: dir, yardstick: filepath.Join(dir, "yardstick")}
	build := exec.Command("go", "build", "-o", b.yardstick, "./yardstick")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p, err := b.startYardstick(context.Background(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}()
	want := ""
	for _, body := range []string{"first,", "second,", strings.Repeat("x", 100_000)} {
		r, err := http.Post("http://"+p.http+"/v1/streams/s/events", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(r.Body)
		if err := r.Body.Close(); err != nil || r.StatusCode != http.StatusCreated || !bytes.HasPrefix(answer, []byte(`{"ref":`)) {
			t.Fatalf("answer %d %s %v, want 201 and a ref", r.StatusCode, answer, err)
		}
		want += body
		got, err := os.ReadFile(filepath.Join(p.dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(got, []byte(want)) || got[len(want)] != 0 || len(got) != 64<<20 {
			t.Fatalf("the file does not hold what was answered: %q", got[:min(len(want)+1, 100)])
		}
	}
}

func TestParseCLI(t *testing.T) {
	for in, want := range map[string]float64{`[{"events_s":12.5,"p99_ms":3}]`: 12.5, `{"events_s":7}`: 7} {
		if got, err := parseCLI([]byte(in)); err != nil || got.EventsS != want {
			t.Errorf("parseCLI(%s) = %v, %v, want %v", in, got.EventsS, err, want)
		}
	}
	for _, in := range []string{`[]`, `nothing`, `{"events_s":0}`} {
		if _, err := parseCLI([]byte(in)); err == nil {
			t.Errorf("parseCLI(%s) is no error", in)
		}
	}
}
