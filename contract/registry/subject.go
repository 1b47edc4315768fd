package registry

import (
	"strings"
	"unicode/utf8"
)

// A subject in a context is written :.context:subject. The default context is "."; its subjects are written plainly. :*: is all contexts.
const (
	DefaultContext = "."
	contextStart   = ":."
	// AllContexts is the prefix that means subjects of all contexts.
	AllContexts = ":*:"
	// GlobalContext holds the settings of those contexts that have none.
	GlobalContext = ":.__GLOBAL:"

	SubjectBytesMax = 512
)

// Normalize writes a subject of the default context plainly.
func Normalize(subject string) string {
	if rest, ok := strings.CutPrefix(subject, ":.:"); ok {
		return rest
	}
	return subject
}

// Split is the context of a subject and its name there.
func Split(subject string) (context, name string) {
	if !strings.HasPrefix(subject, contextStart) {
		return DefaultContext, subject
	}
	context, name, ok := strings.Cut(subject[1:], ":")
	if !ok {
		return subject[1:], ""
	}
	return context, name
}

// Qualify writes the name of a subject in a context.
func Qualify(context, name string) string {
	if context == DefaultContext || context == "" {
		return name
	}
	return ":" + context + ":" + name
}

// IsContext reports whether s names a context as a whole.
func IsContext(s string) bool {
	_, name := Split(s)
	return strings.HasPrefix(s, contextStart) && name == ""
}

// IsDefault reports whether s names the default context as a whole, or nothing.
func IsDefault(s string) bool { return s == "" || s == ":.:" || s == ":." }

// within is what a name in a reference means: the context of what refers to it, unless it says another.
func within(parent, name string) string {
	if strings.HasPrefix(name, ":.") {
		return Normalize(name)
	}
	context, _ := Split(parent)
	return Qualify(context, name)
}

// checkSubject refuses names that cannot be kept. whole: a context as a whole is a name, too.
func checkSubject(s string, whole bool) error {
	_, name := Split(s)
	switch {
	case whole && IsContext(s):
		return nil
	case name == "" || len(s) > SubjectBytesMax || !utf8.ValidString(s) || name == "__GLOBAL" || name == "__EMPTY" || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return refuse(InvalidSubject, "The specified subject '%s' is not a valid subject.", clip(s))
	}
	return nil
}

func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
