package contract

import "strings"

// Field is one named place in a payload.
type Field struct {
	Path     string // order.lines[].sku
	Type     string // in the words of the format
	Required bool
	Nullable bool     // null is one of its values, or it says that it may be left out
	Enum     []string // its values, where only these are
	Open     bool     // of an enum: a reader goes on when he meets a value that he does not know
	Doc      string
	Tags     []string // annotations, as PII
}

// Titled is a schema that can say what its events are called.
type Titled interface {
	// Name is the full name of a record or message, or the title of a schema; "" where it has none.
	Name() string
}

// PlainPath is a path without the marks of arrays and maps: order.lines[].sku is order.lines.sku.
func PlainPath(path string) string {
	if !strings.ContainsAny(path, "[{") {
		return path
	}
	return strings.NewReplacer("[]", "", "{}", "").Replace(path)
}
