package contract

import (
	"fmt"
	"strings"
)

// Difference is one thing that stands between a reader's schema and a writer's. The words of Kind and the sentences are those of Confluent's
// registry, since tools look for them.
type Difference struct {
	Kind string
	Path string
	// Sentence may have two places: %[1]s is what the reader's schema is called, %[2]s the writer's ("new", "old"). Anything else stands for itself: it
	// may name a property.
	Sentence string
	Info     string // more, where the format has more to say
	Hint     string // what would help
}

// Message is the difference as a line of JSON-like text, as Confluent's registry writes it.
func (d *Difference) Message(reader, writer string) string {
	text := d.Told(reader, writer)
	if d.Info != "" {
		return fmt.Sprintf("{errorType:'%s', description:'%s', additionalInfo:'%s'}", d.Kind, text, d.Info)
	}
	return fmt.Sprintf("{errorType:%q, description:%q}", d.Kind, text)
}

// Told is the sentence for people.
func (d *Difference) Told(reader, writer string) string {
	return strings.NewReplacer("%[1]s", reader, "%[2]s", writer).Replace(d.Sentence)
}

// Policy says how strictly open content models of JSON Schema are compared.
type Policy string

// Policies; the empty one is Strict.
const (
	Strict  Policy = "STRICT"
	Lenient Policy = "LENIENT"
)
