package avrofile

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

const schema = `{"type":"record","name":"r","fields":[{"name":"a","type":"bytes"}]}`

func file(t testing.TB, codec string, blocks ...string) []byte {
	t.Helper()
	sync := Sync{1, 2, 3}
	p := AppendHeader(nil, schema, codec, sync)
	for _, b := range blocks {
		var err error
		if p, err = AppendBlock(p, strings.Count(b, "."), []byte(b), codec, sync); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// read gives the blocks of a file, and what ended it.
func read(p []byte) (blocks []string, records int, err error) {
	r, err := NewReader(bytes.NewReader(p))
	if err != nil {
		return nil, 0, err
	}
	for {
		n, data, err := r.Next()
		if err != nil {
			return blocks, records, err
		}
		if data, err = r.Inflate(data); err != nil {
			return blocks, records, err
		}
		blocks, records = append(blocks, string(data)), records+n
	}
}

func TestFile(t *testing.T) {
	long := strings.Repeat("some data. ", 100_000)
	for _, codec := range []string{Null, Deflate, Zstd} {
		p := file(t, codec, "a.b.", "", long)
		blocks, records, err := read(p)
		if !errors.Is(err, io.EOF) || len(blocks) != 3 || blocks[0] != "a.b." || blocks[2] != long || records != 100_002 {
			t.Fatalf("%s: %d blocks of %d records: %v", codec, len(blocks), records, err)
		}
		if codec != Null && len(p) > len(long)/10 {
			t.Errorf("%s: %d bytes", codec, len(p))
		}
		small := file(t, codec, "a.b.", "c.")
		ends := map[int]bool{len(file(t, codec)): true, len(file(t, codec, "a.b.")): true}
		for cut := range small {
			if _, _, err := read(small[:cut]); errors.Is(err, io.EOF) != ends[cut] {
				t.Errorf("%s: cut at %d of %d: %v", codec, cut, len(small), err)
			}
		}
	}
	if _, err := NewReader(bytes.NewReader(file(t, Null))); err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(file(t, Null), []byte("\x08null"), []byte("\x08fast"), 1)
	if _, err := NewReader(bytes.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "fast") {
		t.Errorf("%v", err)
	}
}

func TestData(t *testing.T) {
	var p []byte
	p = AppendLong(p, -3)
	p = AppendOptional(AppendOptional(AppendBytes(p, []byte("x")), nil), []byte{})
	p = AppendLong(AppendBytes(AppendBytes(AppendLong(p, 2), []byte("a")), []byte("b")), 0)
	d := Data{Rest: p}
	var got []string
	if d.Long() != -3 || string(d.Bytes()) != "x" || d.Optional() != nil || d.Optional() == nil {
		t.Fatal(d)
	}
	if d.Array(func() { got = append(got, string(d.Bytes())) }); d.Bad || len(d.Rest) > 0 || strings.Join(got, "") != "ab" {
		t.Fatal(d, got)
	}
	for cut := range p {
		d := Data{Rest: p[:cut]}
		d.Long()
		d.Bytes()
		d.Optional()
		d.Optional()
		d.Array(func() { d.Bytes() })
		if !d.Bad {
			t.Errorf("cut at %d", cut)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, codec := range []string{Null, Deflate, Zstd} {
		f.Add(file(f, codec, "a.b.", "c."))
	}
	f.Add([]byte("Obj\x01\x01\x02\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _, _ = read(p)
		d := Data{Rest: p}
		d.Array(func() { d.Optional() })
	})
}
