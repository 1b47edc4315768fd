package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		ok   bool
		want []string
		not  []string
	}{
		"passed and skipped": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: kcat is not installed: make peers\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":1}
{"Action":"skip","Package":"q"}`,
			ok:   true,
			want: []string{"SKIPPED p TestB: kcat is not installed: make peers", "1 passed, 0 failed, 1 skipped"},
			not:  []string{"chatter"},
		},
		"failed": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":1}`,
			want: []string{"got 1, want 2", "FAILED  p TestA", "0 passed, 1 failed, 0 skipped"},
		},
		"died outside a test": {
			in: `{"Action":"output","Package":"p","Output":"panic: no\n"}
{"Action":"fail","Package":"p","Elapsed":1}`,
			want: []string{"panic: no", "0 passed, 1 failed, 0 skipped"},
		},
		"does not build": {
			in: `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}`,
			want: []string{"undefined: x", "p does not build", "0 passed, 1 failed, 0 skipped"},
		},
		"not an event": {in: "go: no network", ok: true, want: []string{"go: no network"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			tl := newTally(&out)
			if err := tl.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := tl.report(); ok != c.ok {
				t.Errorf("report() = %v, want %v", ok, c.ok)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("report lacks %q:\n%s", w, out.String())
				}
			}
			for _, n := range c.not {
				if strings.Contains(out.String(), n) {
					t.Errorf("report should not contain %q:\n%s", n, out.String())
				}
			}
		})
	}
}

// A test that fails by accident has a second run; one that fails twice, that races or whose package dies has none that counts.
func TestTally_SecondRun(t *testing.T) {
	for name, c := range map[string]struct {
		test string
		ok   bool
		want string
	}{
		"unsteady": {`func TestA(t *testing.T) {
	t.Run("sub", func(t *testing.T) {
		if _, err := os.Stat("here"); err != nil {
			os.WriteFile("here", nil, 0o600)
			t.Error("not yet")
		}
	})
}`, true, "UNSTEADY m TestA\n2 passed, 0 failed, 0 skipped; 1 of those that passed needed a second run"},
		"fails twice": {`func TestA(t *testing.T) { os.Stat(""); t.Error("never") }`, false, "AGAIN m TestA"},
		"dies at first": {`func TestA(t *testing.T) {
	if _, err := os.Stat("here"); err != nil {
		os.WriteFile("here", nil, 0o600)
		panic("not yet")
	}
}`, false, "1 passed, 1 failed"},
		"leaves at first": {`func TestA(t *testing.T) {
	if _, err := os.Stat("here"); err != nil {
		t.Error("not yet")
	}
}
func TestC(t *testing.T) {
	if _, err := os.Stat("here"); err != nil {
		os.WriteFile("here", nil, 0o600)
		os.Exit(1)
	}
}`, false, "1 passed, 1 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				"go.mod": "module m\n\ngo 1.26\n", "a_test.go": "package m\n\nimport (\n\"os\"\n\"testing\"\n)\n\nfunc TestB(t *testing.T) {}\n\n" + c.test + "\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			tl := newTally(&out)
			tl.run(dir, false, true)
			tl.runAgain(false, true)
			if ok := tl.report(); ok != c.ok || !strings.Contains(out.String(), c.want) {
				t.Errorf("report() = %v, want %v and %q:\n%s", ok, c.ok, c.want, out.String())
			}
		})
	}
}

func TestTally_RaceHasNoSecondRun(t *testing.T) {
	var out strings.Builder
	tl := newTally(&out)
	for _, line := range []string{
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestOther","Output":"WARNING: DATA RACE\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestA"}`,
		`{"Action":"fail","Package":"p"}`,
	} {
		if err := tl.read(strings.NewReader(line)); err != nil {
			t.Fatal(err)
		}
	}
	tl.runAgain(false, true)
	if tl.report() || strings.Contains(out.String(), "AGAIN") {
		t.Errorf("%s", out.String())
	}
}
