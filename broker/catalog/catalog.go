package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"leat/broker/fact"
	"leat/broker/fault"
	"leat/storage/state"
)

// Kind is what sort of thing is named.
type Kind string

const (
	Namespace Kind = "namespace"
	Stream    Kind = "stream"
	User      Kind = "user"
	Trash     Kind = "trash"     // streams that were deleted and can be restored; since format 2
	Hook      Kind = "hook"      // addresses that take events in; programs that do not know the kind keep it
	Link      Kind = "link"      // copies of other logs that go on; programs that do not know the kind keep it
	Allotment Kind = "allotment" // how much of the node somebody may use; programs that do not know the kind keep it

	Subscription Kind = "subscription" // since format 3
	Secret       Kind = "secret"       // keys that the platform has made for itself
	Contract     Kind = "contract"     // versions of schemas, their settings and bindings; programs that do not know the kind keep it
	Memo         Kind = "memo"         // what gateways keep with a subscription in rows of its own; programs that do not know the kind keep it
)

// apart reports whether documents of a kind are not kept in memory: there may be a hundred thousand, of which few are asked for. They are in the rows,
// see Document.
func (k Kind) apart() bool { return k == Contract }

// kept is e as State keeps it.
func (e *Entry) kept() *Entry {
	if !e.Name.Kind.apart() || e.Document == nil {
		return e
	}
	return &Entry{Name: e.Name, ID: e.ID, Revision: e.Revision}
}

// DocumentBytesMax is the size limit of one document.
const DocumentBytesMax = 256 << 10

// Name is the whole name of a thing.
type Name struct {
	Kind      Kind
	Namespace string
	Name      string
}

// Entry is what the catalog knows of a name. The document is never changed in place; of a contract it is nil, and read by Document.
type Entry struct {
	Name     Name
	ID       uint32 // of a stream or a subscription; else 0
	Revision uint64
	Document []byte
}

// State is the fold of catalog facts. Entries are immutable: a change puts a new one in.
type State struct {
	Entries  map[Name]*Entry
	Revision uint64 // of the last change
	put      *putLately
}

// NewState is an empty catalog.
func NewState() *State { return &State{Entries: map[Name]*Entry{}, put: &putLately{}} }

// Clone returns a copy that shares only what never changes.
func (s *State) Clone() *State {
	return &State{Entries: maps.Clone(s.Entries), Revision: s.Revision, put: s.put}
}

// putLately is the entries that Put made last, by revision. Who decides a change and who applies its fact later, in another goroutine, are
// clones of one State; from here they share the entry too, and a hundred thousand streams are in memory once.
type putLately [4096]atomic.Pointer[Entry]

func (l *putLately) add(e *Entry) { l[e.Revision%uint64(len(l))].Store(e) }

// same is the entry itself where it was put lately, else e. Everything is compared: a revision is used again when its frame failed.
func (l *putLately) same(e *Entry) *Entry {
	x := l[e.Revision%uint64(len(l))].Load()
	if x != nil && x.Revision == e.Revision && x.ID == e.ID && x.Name == e.Name && bytes.Equal(x.Document, e.Document) {
		return x
	}
	e.Document = bytes.Clone(e.Document)
	return e
}

// AnyRevision in a Put or Delete asks for no comparison, NoRevision for a name that is not there yet.
const (
	AnyRevision uint64 = 0
	NoRevision  uint64 = 1<<64 - 1
)

// Put decides a change: the document of n becomes doc if the current revision is as expected.
func (s *State) Put(n Name, id uint32, doc []byte, expected uint64, f *fact.Frame) (*Entry, *fault.Error) {
	if err := s.Check(n, doc, expected); err != nil {
		return nil, err
	}
	e := &Entry{Name: n, ID: id, Revision: s.Revision + 1, Document: doc}
	f.Add(fact.CatalogPut, 1, e.append)
	s.set(e.kept())
	s.put.add(s.Entries[n])
	return e, nil
}

// Check says whether Put would be refused.
func (s *State) Check(n Name, doc []byte, expected uint64) *fault.Error {
	if err := s.check(n, expected); err != nil {
		return err
	}
	if len(doc) > DocumentBytesMax {
		return fault.New(fault.TooLarge, "put", n.Name, "the document has %d bytes; the limit is %d", len(doc), DocumentBytesMax)
	}
	return nil
}

// Delete decides a removal.
func (s *State) Delete(n Name, expected uint64, f *fact.Frame) *fault.Error {
	if s.Entries[n] == nil {
		return fault.New(fault.NotFound, "delete", n.Name, "there is no %s of that name", n.Kind)
	}
	if err := s.check(n, expected); err != nil {
		return err
	}
	rev := s.Revision + 1
	f.Add(fact.CatalogDeleted, 1, func(dst []byte) []byte { return appendName(binary.AppendUvarint(dst, rev), n) })
	s.remove(n, rev)
	return nil
}

func (s *State) check(n Name, expected uint64) *fault.Error {
	e := s.Entries[n]
	switch {
	case expected == AnyRevision:
		return nil
	case expected == NoRevision && e != nil:
		return fault.New(fault.Exists, "put", n.Name, "a %s of that name exists", n.Kind)
	case expected == NoRevision:
		return nil
	case e == nil:
		return fault.New(fault.NotFound, "put", n.Name, "there is no %s of that name", n.Kind)
	case e.Revision != expected:
		return fault.New(fault.Conflict, "put", n.Name, "revision is %d, not %d: it was changed by somebody else", e.Revision, expected).Because(fault.ReasonRevision)
	}
	return nil
}

func (s *State) set(e *Entry) {
	s.Entries[e.Name] = e
	s.Revision = max(s.Revision, e.Revision)
}

func (s *State) remove(n Name, revision uint64) {
	delete(s.Entries, n)
	s.Revision = max(s.Revision, revision)
}

// put fact: id, revision uvarint; kind, namespace, name, document as byte strings. deleted fact: revision uvarint; the three.
func (e *Entry) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.ID))
	dst = binary.AppendUvarint(dst, e.Revision)
	return fact.AppendBytes(appendName(dst, e.Name), e.Document)
}

func appendName(dst []byte, n Name) []byte {
	dst = fact.AppendString(dst, string(n.Kind))
	dst = fact.AppendString(dst, n.Namespace)
	return fact.AppendString(dst, n.Name)
}

func readName(b *fact.Body) Name { return Name{kindOf(b.Bytes()), b.String(), b.String()} }

// kindOf shares the text of the kind that there are many of.
func kindOf(b []byte) Kind {
	if string(b) == string(Contract) {
		return Contract
	}
	return Kind(b)
}

// readEntry reads an entry whose document is a part of p.
func readEntry(p []byte) (*Entry, error) {
	b := fact.ReadBody(p)
	e := &Entry{ID: uint32(b.Uvarint()), Revision: b.Uvarint(), Name: readName(b)}
	e.Document = b.Bytes()
	return e, b.Err()
}

// Apply evolves by a durable fact and writes its row. It reports false for a fact of another machine; the name is that of the change.
func (s *State) Apply(x fact.Fact, rows state.Batch) (Name, bool, error) {
	switch x.Kind {
	case fact.CatalogPut, fact.CatalogDeleted:
		if x.Version != 1 {
			return Name{}, true, &fact.UnknownError{What: fmt.Sprintf("version %d of %s", x.Version, x.Kind)}
		}
	default:
		return Name{}, false, nil
	}
	if x.Kind == fact.CatalogDeleted {
		b := fact.ReadBody(x.Body)
		rev := b.Uvarint()
		n := readName(b)
		if err := b.Err(); err != nil {
			return n, true, err
		}
		s.remove(n, rev)
		rows.Delete(rowKey(n))
		rows.Set(revisionKey, binary.AppendUvarint(nil, s.Revision))
		return n, true, nil
	}
	e, err := readEntry(x.Body)
	if err != nil {
		return Name{}, true, err
	}
	rows.Set(rowKey(e.Name), e.append(nil))
	e = s.put.same(e.kept())
	s.set(e)
	rows.Set(revisionKey, binary.AppendUvarint(nil, s.Revision))
	return e.Name, true, nil
}

var revisionKey = []byte{state.PrefixMeta, 'c'}

func rowKey(n Name) []byte {
	k := state.AppendEscaped([]byte{state.PrefixCatalog}, []byte(n.Kind))
	k = state.AppendEscaped(k, []byte(n.Namespace))
	return state.AppendEscaped(k, []byte(n.Name))
}

// Load reads the State that the rows of a store hold.
func Load(st state.Store) (*State, error) {
	s := NewState()
	if v, err := st.Get(revisionKey); err == nil {
		s.Revision, _ = binary.Uvarint(v)
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	lo := []byte{state.PrefixCatalog}
	it, err := st.Iter(lo, state.After(lo))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	namespace := ""
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		e, err := readEntry(it.Value())
		if err != nil {
			return nil, fmt.Errorf("load catalog row %q: %w", it.Key(), err)
		}
		if e = e.kept(); e.Document != nil {
			e.Document = bytes.Clone(e.Document)
		}
		if e.Name.Namespace == namespace { // most are of few: one text for all of them
			e.Name.Namespace = namespace
		}
		namespace = e.Name.Namespace
		s.set(e)
	}
	return s, it.Err()
}

// Document reads the document of a name from its row; nil where there is none.
func Document(st state.Store, n Name) ([]byte, error) {
	v, err := st.Get(rowKey(n))
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := readEntry(v)
	if err != nil {
		return nil, fmt.Errorf("catalog row of %s %q: %w", n.Kind, n.Name, err)
	}
	return e.Document, nil
}

// Documents calls fn for each row of a kind. A document is good until fn returns.
func Documents(st state.Store, k Kind, fn func(n Name, document []byte)) error {
	lo := state.AppendEscaped([]byte{state.PrefixCatalog}, []byte(k))
	it, err := st.Iter(lo, state.After(lo))
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		e, err := readEntry(it.Value())
		if err != nil {
			return fmt.Errorf("catalog row %q: %w", it.Key(), err)
		}
		fn(e.Name, e.Document)
	}
	return it.Err()
}
