package contract

import "slices"

// Level says which schemas may follow which.
type Level string

// The seven levels.
const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD"
	BackwardTransitive Level = "BACKWARD_TRANSITIVE"
	Forward            Level = "FORWARD"
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"
	Full               Level = "FULL"
	FullTransitive     Level = "FULL_TRANSITIVE"
)

// Levels are all of them.
var Levels = []Level{None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive}

// Valid reports whether l is one of the seven.
func (l Level) Valid() bool { return slices.Contains(Levels, l) }

// Transitive reports whether all versions before count, and not only the newest.
func (l Level) Transitive() bool {
	return l == BackwardTransitive || l == ForwardTransitive || l == FullTransitive
}

// Reading reports whether new schemas must read what was written with old ones.
func (l Level) Reading() bool {
	return l == Backward || l == BackwardTransitive || l == Full || l == FullTransitive
}

// Written reports whether old schemas must read what is written with new ones.
func (l Level) Written() bool {
	return l == Forward || l == ForwardTransitive || l == Full || l == FullTransitive
}

// Past is a schema of before, with its version.
type Past struct {
	Version int
	Schema  Schema
	Format  string
}

// Break is what keeps a schema from following an older one.
type Break struct {
	Old         Past
	Differences []Told
}

// Told is a Difference with who reads.
type Told struct {
	Difference
	Reader, Writer string // "new" and "old", or the other way around
}

// Message is as Difference.Message.
func (t *Told) Message() string { return t.Difference.Message(t.Reader, t.Writer) }

// Check says what keeps a schema from following those of before, which are oldest first. It stops at the first of them, from the newest on, that
// it may not follow.
func Check(l Level, format string, s Schema, past []Past, p Policy) *Break {
	for i := len(past) - 1; i >= 0 && l != None; i-- {
		if b := checkOne(l, format, s, past[i], p); b != nil {
			return b
		}
		if !l.Transitive() {
			return nil
		}
	}
	return nil
}

func checkOne(l Level, format string, s Schema, old Past, p Policy) *Break {
	b := &Break{Old: old}
	if old.Format != format {
		b.Differences = []Told{{Difference{Kind: "FORMAT_CHANGED", Path: "/", Sentence: "Incompatible because of different schema type: the %[1]s schema is " + format + ", the %[2]s one " + old.Format}, "new", "old"}}
		return b
	}
	if l.Reading() {
		for _, d := range s.Reads(old.Schema, p) {
			b.Differences = append(b.Differences, Told{d, "new", "old"})
		}
	}
	if l.Written() {
		for _, d := range old.Schema.Reads(s, p) {
			b.Differences = append(b.Differences, Told{d, "old", "new"})
		}
	}
	if len(b.Differences) == 0 {
		return nil
	}
	return b
}
