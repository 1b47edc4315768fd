package tidy

import (
	"go/ast"
	"strings"
	"unicode"
)

// foreign are words of protocols. They stop at a gateway's translate.go: the core has words of its own for what they mean.
var foreign = map[string]string{
	"kafka": "name what it is for, not who asked", "mqtt": "name what it is for, not who asked", "amqp": "name what it is for, not who asked",
	"sqs": "name what it is for, not who asked", "pulsar": "name what it is for, not who asked",
	"topic": "the word here is stream", "exchange": "an exchange is made of streams and subscriptions",
	"queue": "for user data the word here is subscription; for a list that waits, say what waits: pending, waiting, backlog",
}

// words finds protocol words in identifiers of the core, each identifier once a file. Tests may name what they compare with.
func words(t *tree) broken {
	var out broken
	for _, s := range t.sources {
		if s.test || !strings.HasPrefix(s.dir, "broker") && !strings.HasPrefix(s.dir, "storage") {
			continue
		}
		seen := map[string]bool{}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || seen[id.Name] {
				return true
			}
			seen[id.Name] = true
			for _, w := range split(id.Name) {
				why, bad := foreign[w]
				if !bad {
					why, bad = foreign[strings.TrimSuffix(w, "s")]
				}
				if bad {
					out.add(t.at(id), id.Name+": the word "+w+" does not occur under broker and storage; "+why)
				}
			}
			return true
		})
	}
	return out
}

// split takes an identifier apart: SQSQueueURL is sqs, queue, url; next_topic2 is next, topic, 2.
func split(name string) []string {
	var parts []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			parts = append(parts, strings.ToLower(string(word)))
			word = nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case r == '_':
			flush()
			continue
		case unicode.IsDigit(r):
			if i > 0 && !unicode.IsDigit(runes[i-1]) {
				flush()
			}
		case unicode.IsUpper(r):
			// A new word begins at aB, and at the B of ABc.
			if i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
				flush()
			}
		case i > 0 && unicode.IsDigit(runes[i-1]):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return parts
}
