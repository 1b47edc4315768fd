package tidy

import (
	"go/ast"
	"go/token"
)

// keyspace is where every prefix of the state's key space is registered.
const keyspace = "storage/state/keyspace.go"

// prefixes checks that no two constants of the registry have the same value: two rows under one key would be one row.
func prefixes(t *tree) broken {
	var out broken
	seen := map[string]string{}
	for _, s := range t.sources {
		if s.path != keyspace {
			continue
		}
		for _, d := range s.ast.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				vs := spec.(*ast.ValueSpec)
				for i, v := range vs.Values {
					lit, ok := v.(*ast.BasicLit)
					if !ok || i >= len(vs.Names) {
						continue
					}
					name := vs.Names[i].Name
					if other, twice := seen[lit.Value]; twice {
						out.add(t.at(lit), name+" and "+other+" are both "+lit.Value+": give the new one a value that was never used")
					}
					seen[lit.Value] = name
				}
			}
		}
	}
	return out
}
