package catalog_test

import (
	"bytes"
	"testing"

	"leat/broker/catalog"
	"leat/broker/fact"
	"leat/broker/fault"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
)

var name = catalog.Name{Kind: catalog.User, Name: "ann"}

func TestPutAndDelete_CompareRevisions(t *testing.T) {
	s, f := catalog.NewState(), &fact.Frame{}
	f.Reset(fact.Head{})
	kind := func(err *fault.Error) string {
		if err == nil {
			return "ok"
		}
		return err.Kind.String()
	}
	put := func(expected uint64) string { _, err := s.Put(name, 0, []byte("x"), expected, f); return kind(err) }
	for i, c := range []struct{ got, want string }{
		{put(7), "not-found"}, {kind(s.Delete(name, catalog.AnyRevision, f)), "not-found"},
		{put(catalog.NoRevision), "ok"}, {put(catalog.NoRevision), "exists"}, {put(2), "conflict"}, {put(1), "ok"}, {put(1), "conflict"}, {put(catalog.AnyRevision), "ok"},
		{kind(s.Delete(name, 2, f)), "conflict"}, {kind(s.Delete(name, 3, f)), "ok"},
		{put(catalog.NoRevision), "ok"}, {put(1), "conflict"}, // a revision never comes again
	} {
		if c.got != c.want {
			t.Errorf("%d: got %s, want %s", i, c.got, c.want)
		}
	}
	if s.Revision != 5 || s.Entries[name].Revision != 5 {
		t.Errorf("revision %d, entry %d, want 5", s.Revision, s.Entries[name].Revision)
	}
	before := len(f.Facts)
	if _, err := s.Put(name, 0, bytes.Repeat([]byte{1}, catalog.DocumentBytesMax+1), catalog.AnyRevision, f); err == nil || err.Kind != fault.TooLarge || len(f.Facts) != before {
		t.Errorf("a large document: %v, %d bytes recorded", err, len(f.Facts)-before)
	}
}

// What was decided, what its facts fold to, and what the rows load to are one and the same.
func TestApply_FoldsToWhatWasDecided(t *testing.T) {
	head, folded, st, f := catalog.NewState(), catalog.NewState(), statemem.New(), &fact.Frame{}
	f.Reset(fact.Head{})
	for i, n := range []catalog.Name{{catalog.Stream, "a", "b\x00c"}, {catalog.Stream, "a\x00", "b"}, {catalog.Stream, "", "é"}, name} {
		if _, err := head.Put(n, uint32(i), []byte{byte(i), 0}, catalog.NoRevision, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := head.Delete(name, catalog.AnyRevision, f); err != nil {
		t.Fatal(err)
	}
	rows := st.NewBatch()
	_, body, err := fact.ReadHead(f.Facts)
	if err != nil {
		t.Fatal(err)
	}
	if err := fact.Each(body, func(x fact.Fact) error { _, _, err := folded.Apply(x, rows); return err }); err != nil {
		t.Fatal(err)
	}
	if err := st.Apply(rows, state.Mark{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	loaded, err := catalog.Load(st)
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]*catalog.State{"folded": folded, "loaded": loaded} {
		if s.Revision != head.Revision || len(s.Entries) != len(head.Entries) {
			t.Fatalf("%s: revision %d, %d entries; head: %d, %d", what, s.Revision, len(s.Entries), head.Revision, len(head.Entries))
		}
		for n, e := range head.Entries {
			g := s.Entries[n]
			if g == nil || g.ID != e.ID || g.Revision != e.Revision || !bytes.Equal(g.Document, e.Document) {
				t.Errorf("%s: %v is %+v, head has %+v", what, n, g, e)
			}
		}
	}
}

// FuzzApply: no fact makes a fold panic, and what it takes it can write and load again.
func FuzzApply(f *testing.F) {
	f.Add(false, []byte{1, 1, 4, 'u', 's', 'e', 'r', 0, 1, 'a', 2, '{', '}'})
	f.Add(true, []byte{1, 4, 'u', 's', 'e', 'r', 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, deleted bool, body []byte) {
		k := fact.CatalogPut
		if deleted {
			k = fact.CatalogDeleted
		}
		s, st := catalog.NewState(), statemem.New()
		rows := st.NewBatch()
		if _, _, err := s.Apply(fact.Fact{Kind: k, Version: 1, Body: body}, rows); err != nil {
			rows.Discard()
			return
		}
		if err := st.Apply(rows, state.Mark{Seq: 1}); err != nil {
			t.Fatal(err)
		}
		if again, err := catalog.Load(st); err != nil || len(again.Entries) != len(s.Entries) || again.Revision != s.Revision {
			t.Fatalf("%v: %+v, folded %+v", err, again, s)
		}
	})
}

// Both sides of a shard share an entry; one that was decided and lost with its frame is not mistaken for the next of its revision.
func TestWhoAppliesWhatAnotherDecided_SharesTheEntry(t *testing.T) {
	decided, st, f := catalog.NewState(), statemem.New(), &fact.Frame{}
	applied := decided.Clone()
	put := func(doc string) *catalog.Entry {
		t.Helper()
		f.Reset(fact.Head{})
		e, refused := decided.Put(name, 7, []byte(doc), catalog.AnyRevision, f)
		if refused != nil {
			t.Fatal(refused)
		}
		return e
	}
	apply := func(facts []byte) *catalog.Entry {
		t.Helper()
		_, body, err := fact.ReadHead(facts)
		if err != nil {
			t.Fatal(err)
		}
		rows := st.NewBatch()
		defer rows.Discard()
		if err := fact.Each(body, func(x fact.Fact) error { _, _, err := applied.Apply(x, rows); return err }); err != nil {
			t.Fatal(err)
		}
		return applied.Entries[name]
	}
	if e := put("one"); apply(f.Facts) != e {
		t.Error("the entry is there twice")
	}
	put("lost")
	decided = applied.Clone()
	if lost := bytes.Clone(f.Facts); put("kept").Revision != 2 {
		t.Fatal("the revision was not used again")
	} else if e := apply(f.Facts); string(e.Document) != "kept" {
		t.Errorf("applied %q", e.Document)
	} else if e := apply(lost); string(e.Document) != "lost" {
		t.Errorf("applied %q, the fact said lost", e.Document)
	}
}

// Documents of contracts are in rows alone, whatever way the State came to be.
func TestDocuments_OfContractsAreInRows(t *testing.T) {
	head, folded, st, f := catalog.NewState(), catalog.NewState(), statemem.New(), &fact.Frame{}
	f.Reset(fact.Head{})
	names := []catalog.Name{{Kind: catalog.Contract, Namespace: "a", Name: "v:s:1"}, {Kind: catalog.Contract, Namespace: "a", Name: "v:s:2"}, {Kind: catalog.Hook, Namespace: "a", Name: "h"}}
	for i, n := range names {
		if _, err := head.Put(n, 0, []byte{'d', byte(i)}, catalog.AnyRevision, f); err != nil {
			t.Fatal(err)
		}
	}
	rows := st.NewBatch()
	_, body, err := fact.ReadHead(f.Facts)
	if err != nil {
		t.Fatal(err)
	}
	if err := fact.Each(body, func(x fact.Fact) error { _, _, err := folded.Apply(x, rows); return err }); err != nil {
		t.Fatal(err)
	}
	if err := st.Apply(rows, state.Mark{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	loaded, err := catalog.Load(st)
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]*catalog.State{"head": head, "folded": folded, "loaded": loaded} {
		if s.Entries[names[0]].Document != nil || string(s.Entries[names[2]].Document) != "d\x02" {
			t.Errorf("%s: %+v, %+v", what, s.Entries[names[0]], s.Entries[names[2]])
		}
	}
	seen := map[catalog.Name]string{}
	if err := catalog.Documents(st, catalog.Contract, func(n catalog.Name, d []byte) { seen[n] = string(d) }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[names[1]] != "d\x01" {
		t.Errorf("%v", seen)
	}
	if d, err := catalog.Document(st, names[1]); err != nil || string(d) != "d\x01" {
		t.Errorf("%q, %v", d, err)
	}
	if d, err := catalog.Document(st, catalog.Name{Kind: catalog.Contract, Namespace: "a", Name: "v:s:3"}); err != nil || d != nil {
		t.Errorf("%q, %v", d, err)
	}
}
