package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// fillIn fills in a template of leat connect: text/template's {{.Name}}, {{q .Name}} (quoted), {{if}} with {{else if}}, {{else}}, {{end}} over names, and and
// or of them, and its trimming of space. That package itself is not used: with it the linker has to keep every exported method of the
// program, which makes it larger by 8 MB. A test holds the two against each other.
func fillIn(text string, values map[string]string) (string, error) {
	var out strings.Builder
	var open []branch
	at, trim := 0, false
	for _, m := range action.FindAllStringSubmatchIndex(text, -1) {
		between, what := text[at:m[0]], text[m[4]:m[5]]
		if trim {
			between = strings.TrimLeft(between, space)
		}
		if m[2] >= 0 {
			between = strings.TrimRight(between, space)
		}
		if at, trim = m[1], m[6] >= 0; shown(open) {
			out.WriteString(between)
		}
		word, rest, _ := strings.Cut(what, " ")
		switch {
		case word == "if":
			holds, err := holds(rest, values)
			if err != nil {
				return "", err
			}
			open = append(open, branch{on: holds, done: holds})
		case len(open) == 0 && (word == "else" || word == "end"):
			return "", fmt.Errorf("%s without if", word)
		case word == "end":
			open = open[:len(open)-1]
		case word == "else":
			b := &open[len(open)-1]
			condition, isIf := strings.CutPrefix(rest, "if ")
			b.on = !b.done
			if isIf && b.on {
				var err error
				if b.on, err = holds(condition, values); err != nil {
					return "", err
				}
			}
			b.done = b.done || b.on
		default:
			name, quoted := strings.CutPrefix(what, "q ")
			v, err := value(name, values)
			if err != nil {
				return "", err
			}
			if quoted {
				v = strconv.Quote(v)
			}
			if shown(open) {
				out.WriteString(v)
			}
		}
	}
	if len(open) > 0 {
		return "", fmt.Errorf("if without end")
	}
	rest := text[at:]
	if trim {
		rest = strings.TrimLeft(rest, space)
	}
	out.WriteString(rest)
	return out.String(), nil
}

const space = " \t\r\n"

// action is one {{…}}: 1 is the - before, 2 what it says, 3 the - behind.
var action = regexp.MustCompile(`\{\{(- )?(.*?)( -)?\}\}`)

// branch is an if that is open: whether what stands here is shown, and whether one of its branches was.
type branch struct{ on, done bool }

func shown(open []branch) bool {
	for _, b := range open {
		if !b.on {
			return false
		}
	}
	return true
}

// holds says whether a condition does: what is not empty is true.
func holds(condition string, values map[string]string) (bool, error) {
	words := strings.Fields(condition)
	all := len(words) > 1 && words[0] == "and"
	if all || len(words) > 1 && words[0] == "or" {
		words = words[1:]
	} else if len(words) != 1 {
		return false, fmt.Errorf("condition %q", condition)
	}
	result := all
	for _, w := range words {
		v, err := value(w, values)
		if err != nil {
			return false, err
		}
		if (v != "") != all {
			result = !all
		}
	}
	return result, nil
}

func value(name string, values map[string]string) (string, error) {
	v, there := values[strings.TrimPrefix(name, ".")]
	if !there || !strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("there is no %q", name)
	}
	return v, nil
}
