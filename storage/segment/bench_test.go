package segment

import (
	"path"
	"testing"

	osfs "leat/storage/vfs/os"
)

// benchStore holds one partition of runs of one size, in files of their own or shared with others.
func benchStore(b *testing.B, runs, bytes int) *Store {
	b.Helper()
	s, err := Open(osfs.New(), path.Join(b.TempDir(), "s"), Default(), quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	benchBuild(b, s, runs, bytes)
	return s
}

func benchBuild(b *testing.B, s *Store, runs, bytes int) {
	b.Helper()
	data := make([]byte, bytes)
	for i := range data {
		data[i] = byte(i * 7)
	}
	at, _ := s.End(1, 0)
	build := s.NewBuild(nil)
	err := build.Piece(1, 0, int64(runs)*int64(bytes))
	for i := range uint64(runs) {
		if err == nil {
			err = build.Add(Run{Stream: 1, Base: at + i*10, Next: at + i*10 + 10, Seq: at + i, TimeMS: int64(i), Bytes: int64(bytes)}, data)
		}
	}
	var files []File
	if err == nil {
		files, err = build.Finish()
	}
	if err == nil {
		var remove []FileID
		for _, f := range s.Files() {
			remove = append(remove, f.ID)
		}
		err = s.Commit(Edit{Add: files, Remove: remove})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(100*(float64(files[0].Bytes)/float64(files[0].DataBytes)-1), "%overhead")
}

func BenchmarkWrite(b *testing.B) {
	for name, bytes := range map[string]int{"200B": 200, "1KiB": 1 << 10, "32KiB": 32 << 10, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			const total = 64 << 20
			s, err := Open(osfs.New(), path.Join(b.TempDir(), "s"), Default(), quiet)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(total)
			for b.Loop() {
				benchBuild(b, s, total/bytes, bytes)
			}
			_ = s.Close()
		})
	}
}

func BenchmarkReadSome(b *testing.B) {
	for name, bytes := range map[string]int{"200B": 200, "1KiB": 1 << 10, "32KiB": 32 << 10} {
		b.Run(name, func(b *testing.B) {
			s := benchStore(b, (64<<20)/bytes, bytes)
			buf := make([]byte, 0, 1<<20)
			c := s.Cursor(1, 0)
			defer c.Close()
			b.SetBytes(1 << 20)
			for b.Loop() {
				if !c.Next() && !c.Seek(0) {
					b.Fatal(c.Err())
				}
				var err error
				if buf, err = c.ReadSome(buf[:0], 1<<20, 1<<62, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSeek(b *testing.B) {
	s := benchStore(b, 20_000, 1<<10)
	c := s.Cursor(1, 0)
	defer c.Close()
	at := uint64(0)
	for b.Loop() {
		at = (at + 77_777) % 200_000
		if !c.Seek(at) {
			b.Fatal(c.Err())
		}
	}
}

// BenchmarkLookup is what a look-up by key costs here: a cursor, a seek, one run.
func BenchmarkLookup(b *testing.B) {
	s := benchStore(b, 20_000, 1<<10)
	at := uint64(0)
	var buf []byte
	for b.Loop() {
		at = (at + 77_777) % 200_000
		c := s.Cursor(1, 0)
		if !c.Seek(at) {
			b.Fatal(c.Err())
		}
		var err error
		if buf, err = c.Read(buf[:0]); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func BenchmarkVerify(b *testing.B) {
	s := benchStore(b, 2000, 32<<10)
	b.SetBytes(2000 * 32 << 10)
	for b.Loop() {
		if d, err := s.Verify(nil); err != nil || len(d) > 0 {
			b.Fatal(d, err)
		}
	}
}
