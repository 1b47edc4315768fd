package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"leat/internal/clock"
)

// list prints rows. columns come first, in their order, where any row has them; what else is there follows by name, so that a newer
// node's answer is shown whole.
func (a *app) list(rows []map[string]any, columns []string) error {
	if a.output == "json" {
		if rows == nil {
			rows = []map[string]any{}
		}
		return a.json(rows)
	}
	columns = present(rows, columns)
	lines := [][]string{columns}
	for _, r := range rows {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = cell(r[c])
		}
		lines = append(lines, line)
	}
	return a.lines(lines)
}

// describe prints one thing, a line for each member.
func (a *app) describe(row map[string]any, order []string) error {
	if a.output == "json" {
		return a.json(row)
	}
	var lines [][]string
	for _, c := range present([]map[string]any{row}, order) {
		lines = append(lines, []string{c, cell(row[c])})
	}
	return a.lines(lines)
}

func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	if a.terminal {
		e.SetIndent("", "  ")
	}
	return e.Encode(v)
}

func present(rows []map[string]any, order []string) []string {
	have := map[string]bool{}
	for _, r := range rows {
		for k := range r {
			have[k] = true
		}
	}
	var out, rest []string
	for _, c := range order {
		if have[c] || len(rows) == 0 {
			out = append(out, c)
		}
		delete(have, c)
	}
	for k := range have {
		rest = append(rest, k)
	}
	slices.Sort(rest)
	return append(out, rest...)
}

// cell is a value on one line: no tab or line break gets into a table.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`).Replace(v)
	case json.Number, bool, int, int64, uint64:
		return fmt.Sprint(v)
	case float64:
		return fmt.Sprintf("%.6g", v)
	case time.Duration:
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// lines prints cells: aligned for people, tab-separated for pipes.
func (a *app) lines(lines [][]string) error {
	w := bufio.NewWriter(a.out)
	if a.output == "tsv" || a.output == "" && !a.terminal {
		for _, l := range lines {
			fmt.Fprintln(w, strings.Join(l, "\t"))
		}
		return w.Flush()
	}
	width := map[int]int{}
	for _, l := range lines {
		for i, c := range l {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, l := range lines {
		for i, c := range l {
			if i == len(l)-1 {
				fmt.Fprintln(w, c)
			} else {
				fmt.Fprint(w, c, strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
	}
	return w.Flush()
}

// progressAfter is how long something may take in silence.
const progressAfter = time.Second

// progress says on standard error how far something is, at most once a second and not at all when it is done within one.
type progress struct {
	a     *app
	last  time.Time
	shown bool
}

func (a *app) progress() *progress { return &progress{a: a, last: clock.Now()} }

func (p *progress) say(format string, args ...any) {
	if clock.Since(p.last) < progressAfter {
		return
	}
	p.last, p.shown = clock.Now(), true
	if p.a.showing {
		fmt.Fprintf(p.a.err, "\r\033[K"+format, args...)
	} else {
		fmt.Fprintf(p.a.err, format+"\n", args...)
	}
}

// done takes the line away.
func (p *progress) done() {
	if p.shown && p.a.showing {
		fmt.Fprint(p.a.err, "\r\033[K")
	}
}

// remark says something beside the answer, on standard error.
func (a *app) remark(format string, args ...any) { fmt.Fprintf(a.err, "leat: "+format+"\n", args...) }

// confirm has the name typed before something is deleted.
func (a *app) confirm(what, name string, yes bool) error {
	return a.confirmThat(fmt.Sprintf("This deletes %s %s for good.", what, name), fmt.Sprintf("deleting %s %s", what, name), name, yes)
}

// confirmThat has a name typed before what text says is done.
func (a *app) confirmThat(text, doing, name string, yes bool) error {
	if yes {
		return nil
	}
	if !a.talking {
		return usageError("%s needs --yes where nobody can be asked", doing)
	}
	fmt.Fprintf(a.err, "%s Type its name to go on: ", text)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if got := strings.TrimSpace(line); got != name {
		if err != nil && got == "" {
			return usageError("nothing was typed; nothing was deleted")
		}
		return usageError("%q is not %q; nothing was deleted", got, name)
	}
	return nil
}
