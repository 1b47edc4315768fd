package tidy

import (
	"go/ast"
	"regexp"
	"sort"
	"strings"
)

// headings are the five questions that a package's comment answers.
var headings = []string{"# What", "# Promises", "# Imports", "# Where to start", "# How tested"}

// docLinesMax is the length of a package comment that is still read.
const docLinesMax = 60

// docs checks that every package says what it is.
func docs(t *tree) broken {
	var out broken
	comments := map[string]string{}
	for _, s := range t.sources {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		if s.ast.Doc != nil {
			comments[s.dir] += s.ast.Doc.Text()
		} else if _, ok := comments[s.dir]; !ok {
			comments[s.dir] = ""
		}
	}
	for _, dir := range sorted(comments) {
		var missing []string
		for _, h := range headings {
			if h == "# What" && match("gateway/*", dir) && strings.Contains(comments[dir], "\n# Spec") {
				continue // a gateway says which specification it follows, and how far
			}
			if !strings.Contains("\n"+comments[dir], "\n"+h+"\n") {
				missing = append(missing, h)
			}
		}
		if len(missing) > 0 {
			out.add(dir, "the package comment lacks "+strings.Join(missing, ", ")+": write them in doc.go (what, promises, imports, where to start, how tested)")
		}
		if n := strings.Count(comments[dir], "\n"); n > docLinesMax {
			out.add(dir, "the package comment is too long to be read: keep it within 60 lines and move formats to docs/formats")
		}
	}
	return out
}

// mapping is the heading of a gateway's table of words.
var mapping = regexp.MustCompile(`(?m)^# .*[Mm]apping`)

// gateways checks what every protocol must bring with it.
func gateways(t *tree) broken {
	var out broken
	for _, g := range t.protocols() {
		doc, suite, captures := "", false, false
		for _, s := range t.sources {
			if s.dir != g {
				continue
			}
			if !strings.HasSuffix(s.path, "_test.go") && s.ast.Doc != nil {
				doc += s.ast.Doc.Text()
			}
			if strings.HasSuffix(s.path, "_test.go") {
				for _, spec := range s.ast.Imports {
					suite = suite || spec.Path.Value == `"`+module+`/gateway/gatewaytest"`
				}
			}
		}
		for _, f := range t.files {
			captures = captures || strings.HasPrefix(f, g+"/testdata/captures/")
		}
		if !mapping.MatchString(doc) {
			out.add(g+"/doc.go", "say under a heading \"# Mapping\" which word of the protocol is which word of ours")
		}
		if !suite {
			out.add(g, "run gatewaytest in a test of this gateway: limits, slow peers, garbage and drain are the same for all")
		}
		if !captures {
			out.add(g+"/testdata/captures", "put golden wire captures of a real client here: they are the fuzz seeds and the proof that we read what is really sent")
		}
	}
	return out
}

// protocols are the folders that are a gateway: those with a gateway.go.
func (t *tree) protocols() []string {
	var dirs []string
	for _, f := range t.files {
		if dir, ok := strings.CutSuffix(f, "/gateway.go"); ok && match("gateway/*", dir) && dir != "gateway/gatewaytest" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// decoders checks that every exported decoder of a wire package is named by a fuzz test of that package.
func decoders(t *tree) broken {
	var out broken
	need, fuzzed := map[string][]*ast.FuncDecl{}, map[string]map[string]bool{}
	for _, s := range t.sources {
		if !match("gateway/*/wire/**", s.dir) {
			continue
		}
		for _, d := range s.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if strings.HasSuffix(s.path, "_test.go") {
				if strings.HasPrefix(fn.Name.Name, "Fuzz") {
					if fuzzed[s.dir] == nil {
						fuzzed[s.dir] = map[string]bool{}
					}
					idents(fn, fuzzed[s.dir])
				}
			} else if decodes(fn) {
				need[s.dir] = append(need[s.dir], fn)
			}
		}
	}
	for _, dir := range sorted(need) {
		for _, fn := range need[dir] {
			if !fuzzed[dir][fn.Name.Name] {
				out.add(t.at(fn), fn.Name.Name+" decodes and no Fuzz function of "+dir+" calls it: a decoder without a fuzz target does not exist")
			}
		}
	}
	return out
}

// decodes reports whether a function turns bytes into values, by its name.
func decodes(fn *ast.FuncDecl) bool {
	if !fn.Name.IsExported() {
		return false
	}
	for _, prefix := range []string{"Decode", "Parse", "Unmarshal", "Read"} {
		if strings.HasPrefix(fn.Name.Name, prefix) {
			return true
		}
	}
	return false
}

// idents collects every name used in n.
func idents(n ast.Node, into map[string]bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			into[id.Name] = true
		}
		return true
	})
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
