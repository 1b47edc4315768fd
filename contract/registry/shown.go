package registry

import (
	"bytes"

	"leat/contract"
)

// Shown is a version as most are asked for and as most are: a text, and neither references nor metadata nor rules. The text is quoted as JSON quotes it, so
// that nothing has to be taken apart and put together again.
type Shown struct {
	Place
	TimeMS int64
	Type   string
	GUID   string
	Quoted []byte // is not to be changed
}

// Shown is the version at a place; false: it is gone, or has more than can be shown so, see At.
func (r *Registry) Shown(p Place) (Shown, bool) {
	return r.shown(r.version(p.Subject, p.Version, true))
}

// ShownVersion is what Version says, likewise.
func (r *Registry) ShownVersion(subject string, n int, deleted bool) (Shown, bool) {
	return r.shown(r.version(r.places(subject)[0], n, deleted))
}

func (r *Registry) shown(e *entry) (s Shown, ok bool) {
	if e == nil {
		return s, false
	}
	body := e.body
	if body == nil {
		var err error
		if body, err = r.documents(e.name()); err != nil || body == nil {
			return s, false
		}
	}
	// What json escapes for the sake of HTML is shown as it is: that is left to those who take the text apart.
	d, ok := readDocument(body)
	if !ok || !d.plain || string(d.subject) != e.subject || bytes.Contains(d.text, []byte(`\u00`)) {
		return s, false
	}
	return Shown{e.place(), int64(d.timeMS), formatName(d.kind), contract.FormatGUID(e.guid()), d.text}, true
}
