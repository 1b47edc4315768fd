package segment

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

// wire is two ends of a connection.
func wire(t *testing.T) (socket syscall.RawConn, far net.Conn, hangUp func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	socket, err = near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return socket, far, func() { near.Close() }
}

// readBySpans reads a partition from its start, sending what can be sent from where it lies.
func readBySpans(t *testing.T, s *Store, p part, bytesMax int64) (all []byte, spans int) {
	t.Helper()
	socket, far, hangUp := wire(t)
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	c := s.Cursor(p.stream, p.number)
	defer c.Close()
	var want int
	for ok := c.Next(); ok; ok = c.Next() {
		first := *c.Run()
		span := c.Span(1, bytesMax, ^uint64(0))
		if span == nil {
			b, err := c.ReadSome(nil, int(bytesMax), ^uint64(0), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := socket.Write(func(fd uintptr) bool { // in the order of the rest
				n, err := syscall.Write(int(fd), b)
				b = b[max(n, 0):]
				want += max(n, 0)
				return len(b) == 0 || !errors.Is(err, syscall.EAGAIN) && err != nil
			}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		spans++
		if last := c.Run(); span.Len() < int(first.Bytes) || int64(span.Len()) > max(bytesMax, first.Bytes) || last.Next < first.Next {
			t.Fatalf("a span of %d bytes from %+v to %+v, of at most %d", span.Len(), first, *last, bytesMax)
		}
		half := span.Len() / 2
		for _, x := range [][2]int{{0, half}, {half, span.Len() - half}} {
			if n, err := span.SendTo(socket, x[0], x[1]); n != x[1] || err != nil {
				t.Fatalf("sent %d of %d: %v", n, x[1], err)
			}
		}
		want += span.Len()
	}
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	hangUp()
	if all = <-got; len(all) != want {
		t.Fatalf("%d of %d bytes arrived", len(all), want)
	}
	return all, spans
}

func TestSpan(t *testing.T) {
	fsys := osfs.New()
	if !vfs.Sends(fsys) {
		t.Skip("files cannot be sent here")
	}
	m, dir := newModel(11), filepath.ToSlash(t.TempDir())
	s, err := Open(fsys, dir, small(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	m.add(t, s, 120, 6, 800)
	m.add(t, s, 120, 6, 800)
	same := func(what string, some bool) {
		t.Helper()
		for p := range m.runs {
			got, spans := readBySpans(t, s, p, 6000)
			if want := bytes.Join(m.data[p], nil); !bytes.Equal(got, want) {
				t.Fatalf("%s: %+v: %d bytes that are not the %d stored ones", what, p, len(got), len(want))
			}
			if (spans > 0) != some {
				t.Errorf("%s: %+v: %d spans", what, p, spans)
			}
		}
	}
	same("what this store wrote", true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(fsys, dir, small(), quiet); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	same("what another one wrote", false)
	same("what was read, and so checked", true)
}

func TestSpan_Bounds(t *testing.T) {
	fsys := osfs.New()
	if !vfs.Sends(fsys) {
		t.Skip("files cannot be sent here")
	}
	dir := filepath.ToSlash(t.TempDir())
	s, err := Open(fsys, dir, small(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.NewBuild(nil)
	if err := b.Piece(1, 0, 500); err != nil {
		t.Fatal(err)
	}
	for i, base := range []uint64{0, 10, 20, 35, 45} { // 30 to 34 are missing
		if err := b.Add(Run{Stream: 1, Base: base, Next: base + 10, Seq: uint64(i + 1), TimeMS: 1, MaxTimeMS: 1, Bytes: 100}, bytes.Repeat([]byte{byte(i)}, 100)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := b.Finish()
	if err == nil {
		err = s.Commit(Edit{Add: files, Through: 5})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		from, below       uint64
		least, most       int64
		len               int
		lastBase, readNow uint64
	}{
		{from: 0, below: 100, least: 1, most: 1000, len: 300, lastBase: 20}, // up to the hole
		{from: 10, below: 100, least: 1, most: 1000, len: 200, lastBase: 20},
		{from: 35, below: 100, least: 1, most: 1000, len: 200, lastBase: 45},
		{from: 0, below: 100, least: 1, most: 299, len: 200, lastBase: 10},
		{from: 0, below: 20, least: 1, most: 1000, len: 200, lastBase: 10},
		{from: 0, below: 19, least: 1, most: 1000, len: 100, lastBase: 0}, // not a run that goes on behind it
		{from: 0, below: 100, least: 301, most: 1000, lastBase: 0},        // too few
		{from: 0, below: 100, least: 1, most: 99, lastBase: 0},            // no room
	} {
		c := s.Cursor(1, 0)
		if !c.Seek(x.from) {
			t.Fatal(c.Err())
		}
		n := 0
		if span := c.Span(x.least, x.most, x.below); span != nil {
			n = span.Len()
		}
		if n != x.len || c.Run().Base != max(x.lastBase, x.from) {
			t.Errorf("%+v: %d bytes, and the cursor at %d", x, n, c.Run().Base)
		}
		c.Close()
	}
	c := s.Cursor(1, 0)
	defer c.Close()
	c.Next()
	span := c.Span(1, 1000, 100)
	socket, far, _ := wire(t)
	go io.Copy(io.Discard, far) //nolint:errcheck // what comes does not matter
	if _, err := span.SendTo(socket, 200, 101); err == nil {
		t.Error("bytes behind the span were sent")
	}
	if err := os.Truncate(filepath.Join(dir, files[0].ID.name()), 250); err != nil {
		t.Fatal(err)
	}
	var damage *CorruptError
	if n, err := span.SendTo(socket, 0, 300); !errors.As(err, &damage) {
		t.Errorf("%d bytes of a file that was cut were sent: %v", n, err)
	}
	if c.Seek(0); c.Checked() || c.Span(1, 1000, 100) != nil {
		t.Error("a span of a file that is known to be damaged")
	}
}
