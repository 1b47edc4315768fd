package tidy

import (
	"strconv"
	"strings"
)

// imports is the import law over all files, and every folder's place in the table.
func imports(t *tree) broken {
	var out broken
	for _, s := range t.sources {
		if _, ok := roomOf(s.dir); !ok {
			out.add(s.path, "this folder has no room in the table: add it to internal/tidy/table.go, with what it is for and whom it may see")
			continue
		}
		for _, spec := range s.ast.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours || to == s.dir {
				continue // a package's own external tests import it
			}
			if err := mayImport(s.dir, to, s.test); err != nil {
				out.add(t.at(spec), err.Error())
			}
		}
	}
	return out
}

// law prints the table for ARCHITECTURE.md.
func law() string {
	var b strings.Builder
	b.WriteString("| Room | What | May import |\n|---|---|---|\n")
	for _, r := range Table {
		may := strings.Join(r.May, " · ")
		switch {
		case may == "**":
			may = "everything"
		case may == "" || may == "internal/*":
			may = "–"
		}
		b.WriteString("| `" + r.Path + "` | " + r.What + " | " + may + " |\n")
	}
	return b.String()
}
