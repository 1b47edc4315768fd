package main

import (
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
