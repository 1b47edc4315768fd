package keys

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// someFile returns the bytes of a file with several blocks, and its index.
func someBlocks(t testing.TB) (data, index, directory, header, footer, man []byte) {
	t.Helper()
	w := blockBuilder{}
	w.reset()
	rng := rand.New(rand.NewPCG(1, 1))
	m := newModel()
	for range 20 {
		m.frame(rng)
	}
	for _, of := range m.entries {
		for i := range of {
			w.add(&of[i], i == 0)
		}
		if w.groups > 40 {
			break
		}
	}
	data = w.finish(1, 64)
	data = data[:len(data)-trailerBytes]
	index = le.AppendUint32(nil, 2)
	index = appendMark(index, &mark{from: place{key: appendFullKey(nil, 1, []byte("a"))}, off: 64, bytes: 256})
	index = appendMark(index, &mark{from: place{key: appendFullKey(nil, 1, []byte("a")), pos: Position{Seq: 7, Batch: 1, Record: 3}}, off: 320, bytes: 256})
	directory = le.AppendUint32(nil, 1)
	directory = appendMark(directory, &mark{from: place{key: appendFullKey(nil, 1, nil)}, off: 64, bytes: 256, lines: 2})
	h := fileHeader{number: 7, blockBytes: 8192, lineage: [16]byte{1}}
	header = h.append(nil)
	f := fileFooter{number: 7, directoryOff: 1000, directoryBytes: 50, sections: 1, entries: 3, keys: 2, seqMin: 1, seqMax: 9}
	footer = f.append(nil)
	man = (&manifest{lineage: [16]byte{1}, durable: 9, next: 8, drops: []drop{{stream: 3, below: 2}}, files: []fileMeta{{
		number: 7, tier: 1, bytes: 5000, entries: 3, keys: 2, seqMin: 1, seqMax: 9, first: appendFullKey(nil, 1, []byte("a")),
		last: appendFullKey(nil, 2, []byte("b")), lastCut: true,
	}}}).encode()
	return data, index, directory, header, footer, man
}

// FuzzBlock: whatever the bytes, reading ends, and what was read can be written and read again.
func FuzzBlock(f *testing.F) {
	data, _, _, _, _, _ := someBlocks(f)
	f.Add(data, []byte("\x00\x00\x00\x01customer"))
	f.Add(data[:40], []byte{})
	f.Fuzz(func(t *testing.T, body, key []byte) {
		var r blockReader
		if r.open(body) != nil {
			return
		}
		var w blockBuilder
		w.reset()
		var all []Entry
		for {
			ok, newKey := r.next()
			if !ok {
				break
			}
			e := r.e
			e.Key = bytes.Clone(e.Key)
			w.add(&e, newKey)
			if all = append(all, e); len(all) > len(body) {
				t.Fatalf("%d entries in %d bytes", len(all), len(body))
			}
		}
		r.open(body)
		r.seek(key)
		for range body {
			if ok, _ := r.next(); !ok {
				break
			}
		}
		if len(all) == 0 {
			return
		}
		again := w.finish(1, 1)
		if err := r.open(again[:len(again)-trailerBytes]); err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if ok, _ := r.next(); !ok || !same(&r.e, &all[i]) {
				t.Fatalf("entry %d: %+v, want %+v: %v", i, r.e, all[i], r.err)
			}
		}
	})
}

// FuzzMarks: index blocks and directories. What is read is written as it was, when it was written as we write.
func FuzzMarks(f *testing.F) {
	_, index, directory, _, _, _ := someBlocks(f)
	f.Add(index)
	f.Add(directory)
	f.Fuzz(func(t *testing.T, body []byte) {
		marks, err := decodeMarks(body)
		if err != nil {
			return
		}
		again := le.AppendUint32(nil, uint32(len(marks)))
		for i := range marks {
			again = appendMark(again, &marks[i])
		}
		second, err := decodeMarks(again)
		if err != nil || len(second) != len(marks) || len(again) > len(body) {
			t.Fatalf("%d marks in %d bytes again: %v", len(second), len(again), err)
		}
		if i := lastAt(marks, place{key: fullKey("\x00\x00\x00\x01b"), pos: Position{Seq: math.MaxUint64}}); i < 0 || i >= len(marks) {
			t.Fatal(i)
		}
	})
}

func FuzzHeader(f *testing.F) {
	_, _, _, header, _, _ := someBlocks(f)
	f.Add(header)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < 4 {
			return
		}
		raw = mend(raw)
		if h, err := decodeHeader(raw); err == nil && !bytes.Equal(h.append(nil), raw) {
			t.Fatalf("%x is written as %x", raw, h.append(nil))
		}
	})
}

func FuzzFooter(f *testing.F) {
	_, _, _, _, footer, _ := someBlocks(f)
	f.Add(footer)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < 4 {
			return
		}
		raw = mend(raw)
		if h, err := decodeFooter(raw); err == nil && !bytes.Equal(h.append(nil), raw) {
			t.Fatalf("%x is written as %x", raw, h.append(nil))
		}
	})
}

// FuzzManifest mends the sum first, so that the fuzzer gets past it.
func FuzzManifest(f *testing.F) {
	_, _, _, _, _, man := someBlocks(f)
	f.Add(man)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < 4 {
			return
		}
		raw = mend(raw)
		m, err := decodeManifest(raw)
		if err != nil {
			return
		}
		again, err := decodeManifest(m.encode())
		if err != nil || len(again.files) != len(m.files) || again.durable != m.durable || len(again.drops) != len(m.drops) {
			t.Fatalf("%+v, again %+v: %v", m, again, err)
		}
	})
}
