//go:build suite

package jsonschema

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/contract"
)

// The suite of json-schema.org: go test -tags suite ./contract/jsonschema -suite ITS-FOLDER, or make suite-jsonschema.
var suiteDir = flag.String("suite", "", "folder of JSON-Schema-Test-Suite")

type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// Every case of drafts 4 to 2020-12 is judged as the library judges it. Where both differ from the suite, that is counted and shown.
func TestSuite(t *testing.T) {
	var remotes []contract.Named
	root := filepath.Join(*suiteDir, "remotes")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		remotes = append(remotes, contract.Named{Name: "http://localhost:1234/" + filepath.ToSlash(rel), Text: string(b)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for draft, url := range map[string]string{
		"draft4": "http://json-schema.org/draft-04/schema#", "draft6": "http://json-schema.org/draft-06/schema#", "draft7": "http://json-schema.org/draft-07/schema#",
		"draft2019-09": "https://json-schema.org/draft/2019-09/schema", "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
	} {
		t.Run(draft, func(t *testing.T) {
			n := suiteCounts{}
			err := filepath.WalkDir(filepath.Join(*suiteDir, "tests", draft), func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				var groups []suiteGroup
				if err == nil {
					err = json.Unmarshal(b, &groups)
				}
				for _, g := range groups {
					n.group(t, filepath.Base(path), url, remotes, &g)
				}
				return err
			})
			if err != nil || n.cases == 0 {
				t.Fatal(err, n)
			}
			t.Logf("%d cases; %d are judged otherwise than the suite wants, by the library too; %d schemas are refused", n.cases, n.otherwise, n.refused)
		})
	}
}

type suiteCounts struct{ cases, otherwise, refused int }

func (n *suiteCounts) group(t *testing.T, file, url string, remotes []contract.Named, g *suiteGroup) {
	text := string(g.Schema)
	if strings.HasPrefix(text, "{") && !strings.Contains(text, `"$schema"`) {
		text = `{"$schema":"` + url + `",` + text[1:]
		text = strings.Replace(text, `",}`, `"}`, 1)
	}
	var refs []contract.Named
	if strings.Contains(text, "localhost:1234") {
		for _, r := range remotes {
			if !strings.Contains(r.Name, "/draft") || strings.Contains(r.Name, "/"+strings.TrimSuffix(filepath.Base(draftOf(url)), "#")+"/") {
				refs = append(refs, r)
			}
		}
	}
	s, err := compile(text, refs)
	if err != nil {
		n.refused++
		t.Logf("%s: %s: %v", file, g.Description, err)
		return
	}
	p := newProgram(s)
	for _, c := range g.Tests {
		n.cases++
		got, want := verdictOf(p, c.Data), lib(s, c.Data)
		if got != want {
			t.Errorf("%s: %s: %s: %v, the library says %v\n%s\n%s", file, g.Description, c.Description, got, want, text, c.Data)
		}
		if (want == keeps) != c.Valid {
			n.otherwise++
			t.Logf("%s: %s: %s: not as the suite wants", file, g.Description, c.Description)
		}
	}
}

func draftOf(url string) string {
	switch {
	case strings.Contains(url, "2019"):
		return "draft2019-09"
	case strings.Contains(url, "2020"):
		return "draft2020-12"
	}
	return strings.Replace(filepath.Base(filepath.Dir(url)), "draft-0", "draft", 1)
}
