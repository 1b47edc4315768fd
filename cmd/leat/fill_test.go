package main

import (
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"text/template"
)

// What fillIn makes of every program, for every kind of node, is what text/template makes of it.
func TestFillIn_IsTheTemplatesOfGo(t *testing.T) {
	names, err := fs.Glob(connectPrograms, "connect/*.tmpl")
	if err != nil || len(names) != len(connectProtocols)*4 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		text, err := connectPrograms.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := template.New("").Funcs(template.FuncMap{"q": strconv.Quote}).Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for kind := range 8 {
			d := connectData{How: "Printed by: a test", Addr: "[::1]:9", Host: "::1", Port: "9", URL: "http://[::1]:9", Stream: "a \"b", Queue: "q"}
			if d.TLS = kind&1 > 0; kind&2 > 0 {
				d.CA = "/c d.pem"
			}
			if kind&4 > 0 {
				d.User = "ann \"\u00e9"
			}
			var want strings.Builder
			if err := parsed.Execute(&want, d); err != nil {
				t.Fatal(err)
			}
			got, err := fillIn(string(text), d.values())
			if err != nil || got != want.String() {
				t.Errorf("%s, kind %d: %v\n%s\nwant\n%s", name, kind, err, got, want.String())
			}
		}
	}
}

func TestFillIn_Refuses(t *testing.T) {
	for _, text := range []string{"{{.Nothing}}", "{{if .User}}", "{{end}}", "{{else}}", "{{if .User .CA}}{{end}}", "{{q User}}"} {
		if got, err := fillIn(text, map[string]string{"User": "", "CA": ""}); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}
