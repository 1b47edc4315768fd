package segment

import "testing"

func TestManifest_CompactedFiles(t *testing.T) {
	f := File{ID: 3, Bytes: 4096, Locations: []string{locationLocal}}
	g := f
	g.ID, g.Compacted, g.CompactedMS = 4, 17, 1_700_000_000_000
	m := &manifest{next: 9, through: 20, files: []File{f, g}}
	again, err := decodeManifest(m.encode())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := again.files[0], again.files[1]; a.Compacted != 0 || b.Compacted != 17 || b.CompactedMS != 1_700_000_000_000 || b.Locations[0] != locationLocal {
		t.Fatalf("%+v, %+v", a, b)
	}
	s := &Store{files: map[FileID]*file{3: {File: f}, 4: {File: g}}}
	if seq, _ := s.Marks([]FileID{3, 4}); seq != 0 {
		t.Errorf("a copy of a compacted file and another is compacted as of %d", seq)
	}
	if seq, ms := s.Marks([]FileID{4}); seq != 17 || ms != g.CompactedMS {
		t.Errorf("a copy of a compacted file is so as of %d, %d", seq, ms)
	}
}
