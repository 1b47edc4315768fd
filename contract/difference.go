package contract

import "fmt"

// Difference is one thing that stands between a reader's schema and a writer's. The words of Kind and the sentences are those of Confluent's
// registry, since tools look for them.
type Difference struct {
	Kind string
	Path string
	// Sentence has two places: %[1]s is what the reader's schema is called, %[2]s the writer's ("new", "old").
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
	if d.Sentence == "" {
		return ""
	}
	return fmt.Sprintf(d.Sentence, reader, writer)
}

// Policy says how strictly open content models of JSON Schema are compared.
type Policy string

// Policies; the empty one is Strict.
const (
	Strict  Policy = "STRICT"
	Lenient Policy = "LENIENT"
)
