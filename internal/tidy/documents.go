package tidy

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

var mdLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// links checks that what a document points to inside the repository is there.
func links(t *tree) broken {
	var out broken
	for _, f := range t.files {
		if !strings.HasSuffix(f, ".md") || strings.Contains(f, "testdata/") {
			continue
		}
		for _, m := range mdLink.FindAllStringSubmatch(t.read(f), -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			if !t.has(path.Join(path.Dir(f), to)) {
				out.add(f, "the link to "+to+" leads nowhere: correct it, or write the page in the same change")
			}
		}
	}
	return out
}

// dependencies checks that each direct dependency of the main module has its line of reason.
func dependencies(t *tree) broken {
	var out broken
	reasons := t.read("docs/dependencies.md")
	for _, m := range direct(t.read("go.mod")) {
		if !strings.Contains(reasons, "`"+m+"`") {
			out.add("go.mod", m+" has no line in docs/dependencies.md: say there in one line what it does for us and why we do not")
		}
	}
	return out
}

// direct lists the modules that go.mod requires without "// indirect".
func direct(gomod string) []string {
	var mods []string
	inside := false
	for line := range strings.Lines(gomod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
			continue
		case line == ")":
			inside = false
			continue
		}
		rest, single := strings.CutPrefix(line, "require ")
		if !inside && !single || strings.HasSuffix(line, "// indirect") {
			continue
		}
		if words := strings.Fields(rest); len(words) >= 2 {
			mods = append(mods, words[0])
		}
	}
	return mods
}

// machine is a path that exists on one machine only. (Written in pieces, so that it does not find itself.)
var machine = regexp.MustCompile(`/(?:` + `root/|` + `home/[a-z]|` + `Users/[A-Za-z]|` + `work/(?:main|shared)\b)`)

// texts are the kinds of files in which a path can be said.
var texts = regexp.MustCompile(`(\.(go|md|ya?ml|txt|service|sh|json|toml|mod)|Makefile|\.ci/[a-z]+)$`)

// machinePaths finds paths of somebody's machine.
func machinePaths(t *tree) broken {
	var out broken
	for _, f := range t.files {
		if !texts.MatchString(f) {
			continue
		}
		for i, line := range strings.Split(t.read(f), "\n") {
			if m := machine.FindString(line); m != "" {
				out.add(f, "line "+strconv.Itoa(i+1)+" has the path "+m+"… of one machine: say it relative to the repository, or DIR")
			}
		}
	}
	return out
}
