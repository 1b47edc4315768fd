package segment

// Piece is what one file has of a partition.
type Piece struct {
	File       FileID
	Base, Next uint64 // its offsets, with holes where runs were left out
	Bytes      int64  // of its runs

	DataBytes   int64  // of all runs of the file
	TimeLastMS  int64  // greatest append time in the file
	Compacted   uint64 // of the file; see Build.Compacted
	CompactedMS int64
	Damaged     bool // the file is read as far as it can be, and not rewritten
}

// PiecesOf returns what the files have of a partition, in offset order.
func (s *Store) PiecesOf(stream, number uint32) []Piece {
	s.mu.RLock()
	defer s.mu.RUnlock()
	refs := s.parts[partitionOf(stream, number)]
	out := make([]Piece, len(refs))
	for i, r := range refs {
		p := r.piece()
		out[i] = Piece{
			File: r.f.ID, Base: p.base, Next: p.next, Bytes: int64(p.bytes), DataBytes: r.f.DataBytes, TimeLastMS: r.f.TimeLastMS,
			Compacted: r.f.Compacted, CompactedMS: r.f.CompactedMS, Damaged: r.f.damaged.Load() || r.f.lost(),
		}
	}
	return out
}

// Blind says that a file is lost with its directory, so that nobody knows what it has: what is in no piece may be in it.
func (s *Store) Blind() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.lost) > 0
}

// Marks returns what Build.Compacted may say of a copy of the files without a look at what is in them: the least.
func (s *Store) Marks(files []FileID) (seq uint64, timeMS int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, id := range files {
		f := s.files[id]
		if f == nil {
			return 0, 0
		}
		if i == 0 || f.Compacted < seq {
			seq = f.Compacted
		}
		if i == 0 || f.CompactedMS < timeMS {
			timeMS = f.CompactedMS
		}
	}
	return seq, timeMS
}

// LastTimeMS is the greatest append time in the files.
func (s *Store) LastTimeMS(files []FileID) (timeMS int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, id := range files {
		if f := s.files[id]; f != nil {
			timeMS = max(timeMS, f.TimeLastMS)
		}
	}
	return timeMS
}
