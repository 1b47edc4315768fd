package tidy

import (
	"go/ast"
	"strconv"
	"strings"
)

// ban is a set of functions of a standard package that only some rooms may call.
type ban struct {
	pkg     string
	names   map[string]bool
	rooms   []string // that may
	instead string
}

func set(names string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(names) {
		m[n] = true
	}
	return m
}

var bans = []ban{
	{
		pkg: "time", names: set("Now Since Until Sleep After NewTimer NewTicker AfterFunc Tick"),
		rooms:   []string{"internal/clock"},
		instead: "use internal/clock, so that simulation and tests can steer time",
	},
	{
		pkg: "os", names: set("Chmod Chown Chtimes Create CreateTemp DirFS Lchown Link Lstat Mkdir MkdirAll MkdirTemp NewFile Open OpenFile OpenInRoot OpenRoot " +
			"ReadDir ReadFile Readlink Remove RemoveAll Rename Stat Symlink Truncate WriteFile"),
		rooms:   []string{"storage/vfs/**", "cmd/**", "node", "internal/tlsreload", "internal/tidy", "internal/tally"},
		instead: "use storage/vfs, so that crash and fault tests see every byte that goes to the disk",
	},
}

// calls finds banned functions, by call or by value, in code that is not a test.
func calls(t *tree) broken {
	var out broken
	for _, s := range t.sources {
		if s.test {
			continue
		}
		for _, b := range bans {
			name := importName(s.ast, b.pkg)
			if name == "" || allowed(b.rooms, s.dir) {
				continue
			}
			ast.Inspect(s.ast, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if id, ok := sel.X.(*ast.Ident); ok && id.Name == name && b.names[sel.Sel.Name] {
					out.add(t.at(sel), b.pkg+"."+sel.Sel.Name+" is not for this room: "+b.instead)
				}
				return true
			})
		}
	}
	return out
}

func allowed(rooms []string, dir string) bool {
	for _, r := range rooms {
		if match(r, dir) {
			return true
		}
	}
	return false
}

// importName is the name under which a file knows a standard package, or "".
func importName(f *ast.File, pkg string) string {
	for _, spec := range f.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != pkg {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return pkg
	}
	return ""
}
