package tidy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the import law in ARCHITECTURE.md")

// TestTidy runs every rule over the repository.
func TestTidy(t *testing.T) {
	h, err := house()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.sources) == 0 {
		t.Fatal("no Go file found: the rules have nothing to look at")
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, b := range r.find(h) {
				if why := debt(r.name, b); why != "" {
					t.Logf("owed: %s (%s)", b, why)
				} else {
					t.Error(b)
				}
			}
		})
	}
}

const lawBegin, lawEnd = "<!-- law: printed from internal/tidy/table.go by `go test ./internal/tidy -update` -->\n", "<!-- end of law -->\n"

// TestArchitecture_HasTheTable: the page and its enforcer are a pair.
func TestArchitecture_HasTheTable(t *testing.T) {
	h, err := house()
	if err != nil {
		t.Fatal(err)
	}
	page := h.read("ARCHITECTURE.md")
	before, rest, ok := strings.Cut(page, lawBegin)
	got, after, ok2 := strings.Cut(rest, lawEnd)
	if !ok || !ok2 {
		t.Fatalf("ARCHITECTURE.md lacks the lines\n%s%swithin which the import law is printed: put them back", lawBegin, lawEnd)
	}
	if got == law() {
		return
	}
	if !*update {
		t.Fatal("the table in ARCHITECTURE.md is not that of internal/tidy/table.go: run go test ./internal/tidy -update")
	}
	if err := os.WriteFile(filepath.Join(h.root, "ARCHITECTURE.md"), []byte(before+lawBegin+law()+lawEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
