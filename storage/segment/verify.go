package segment

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"path"

	"leat/storage/vfs"
)

// Damage is what Verify finds: one place, and the offsets that it concerns.
type Damage = CorruptError

// DamageMax is how many damages Verify tells of before it stops.
const DamageMax = 10_000

const (
	verifyReadBytes = 256 << 10
	verifyTellBytes = 16 << 20 // between two calls of progress
)

const unknownBlock = -1

// errEnough ends a check that has told of DamageMax places.
var errEnough = errors.New("segment: verify: more damage than is told of")

// Verify reads every byte of every live file, beside other work, and tells what is not as it was written: sums of runs, the chain over blocks,
// order and places, directories and their copies, the root that the manifest has of each file, the manifest. progress, which may be nil, is
// called now and then; an error of it ends the check and is returned. Files that a Commit removes meanwhile are checked too.
func (s *Store) Verify(progress func(done, total int64) error) ([]Damage, error) {
	pin := s.Cursor(0, 0)
	defer pin.Close()
	v := &verifier{s: s, progress: progress, br: bufio.NewReaderSize(nil, verifyReadBytes)}
	if pin.err != nil {
		return nil, pin.err
	}
	v.checkManifest()
	s.mu.RLock()
	files := make([]*file, 0, len(s.files))
	for _, id := range sortedIDs(s.files) {
		files = append(files, s.files[id])
		v.total += s.files[id].Bytes
	}
	s.mu.RUnlock()
	for _, f := range files {
		if err := v.file(f); errors.Is(err, errEnough) {
			break
		} else if err != nil {
			return v.found, fmt.Errorf("segment: verify: %w", err)
		}
	}
	return v.found, nil
}

type verifier struct {
	s           *Store
	progress    func(done, total int64) error
	done, total int64
	told        int64
	found       []Damage
	br          *bufio.Reader // of the blocks of the file that is checked
}

// fileCheck is the check of one file.
type fileCheck struct {
	*verifier
	f     *file
	h     vfs.File
	meta  hash.Hash // the root, as it is read
	sum   hash.Hash
	chain [chainBytes]byte
	sure  bool  // chain is what the next block goes on from
	blks  int64 // number of the next block; unknownBlock after an index that cannot be read
}

// tell adds a damage; err is what a decoder said, or a failed read.
func (v *verifier) tell(where CorruptError, err error) error {
	var c *CorruptError
	if err = corrupt(where, err); errors.As(err, &c) {
		d := *c
		if d.Next == 0 {
			d.Stream, d.Partition, d.Base, d.Next = where.Stream, where.Partition, where.Base, where.Next
		}
		v.found = append(v.found, d)
	} else {
		where.Expected, where.Found = "bytes that can be read", err.Error()
		v.found = append(v.found, where)
	}
	if len(v.found) >= DamageMax {
		return errEnough
	}
	return nil
}

func (v *verifier) read(n int64) error {
	v.done += n
	if v.progress == nil || v.done-v.told < verifyTellBytes && v.done < v.total {
		return nil
	}
	v.told = v.done
	return v.progress(v.done, v.total)
}

func (v *verifier) checkManifest() {
	v.s.commits.Lock()
	defer v.s.commits.Unlock()
	b, err := v.s.readWhole(path.Join(v.s.dir, manifestName), ManifestBytesMax)
	if err == nil {
		_, err = decodeManifest(b)
	}
	if err != nil {
		_ = v.tell(CorruptError{File: manifestName, Block: -1}, err) // the first of many
	}
}

func (v *verifier) file(f *file) error {
	name := f.ID.name()
	h, err := v.s.fs.Open(path.Join(v.s.dir, name), vfs.Read)
	if err != nil {
		return v.gone(f, err)
	}
	c := &fileCheck{verifier: v, f: f, h: h, meta: sha256.New(), sum: sha256.New()}
	err = c.check()
	return errors.Join(err, h.Close())
}

// gone tells of each piece of a file that is not there.
func (v *verifier) gone(f *file, err error) error {
	err = fmt.Errorf("%w", err)
	name := f.ID.name()
	if f.lost() {
		return v.tell(CorruptError{File: name, Block: -1}, err)
	}
	for i := range f.pieces {
		p := &f.pieces[i]
		if err := v.tell(CorruptError{File: name, Block: -1, Stream: p.stream, Partition: p.partition, Base: p.base, Next: p.next}, err); err != nil {
			return err
		}
	}
	return v.read(f.Bytes)
}

func (c *fileCheck) check() error {
	name := c.f.ID.name()
	before := len(c.found)
	head := make([]byte, headerBytes)
	err := c.full(head, 0)
	if err == nil {
		var h header
		if h, err = decodeHeader(head); err == nil && h.id != c.f.ID {
			err = bad(16, fmt.Sprintf("file %d", c.f.ID), h.id)
		}
	}
	if c.sure = err == nil; err != nil {
		if err := c.tell(CorruptError{File: name, Block: -1}, err); err != nil {
			return err
		}
	}
	c.chain = chainStart(head)
	c.meta.Write(head)
	f, entries, err := c.directory()
	if err != nil || entries == nil {
		return err
	}
	dataAt := int64(headerBytes)
	for i := range entries {
		if dataAt, err = c.piece(f, &entries[i], dataAt); err != nil {
			return err
		}
	}
	tail := f.foot.footerAt() - int64(f.foot.linesAt)
	if err := c.hashTail(int64(f.foot.linesAt), tail); err != nil {
		return err
	}
	if root := [32]byte(c.meta.Sum(nil)); len(c.found) == before && root != f.Root {
		return c.tell(CorruptError{File: name, Block: -1}, bad(0, fmt.Sprintf("root %x", f.Root), fmt.Sprintf("%x", root)))
	}
	return c.read(tail + footerBytes + headerBytes)
}

// directory reads the file's directory, and the copy beside, and returns the entries of one that is whole: none when there is none.
func (c *fileCheck) directory() (*file, []entry, error) {
	f := &file{File: c.f.File}
	entries, err := readDirectory(c.h, f, f.Bytes)
	if err != nil {
		if err := c.tell(CorruptError{File: f.ID.name(), Block: -1}, err); err != nil {
			return nil, nil, err
		}
	}
	beside := &file{File: c.f.File}
	copied, err := c.s.besideDirectory(beside)
	if err == nil && entries != nil && beside.foot != f.foot {
		err = bad(0, "the footer of the segment file", "another")
	}
	if err != nil {
		copied = nil
		if err := c.tell(CorruptError{File: f.ID.directory(), Block: -1}, err); err != nil {
			return nil, nil, err
		}
	}
	if entries == nil {
		return beside, copied, nil
	}
	return f, entries, nil
}

// full reads all of b.
func (c *fileCheck) full(b []byte, at int64) error {
	n, err := c.h.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return bad(int64(n), fmt.Sprintf("%d bytes more", len(b)-n), "the end of the file")
	}
	return err
}

func (c *fileCheck) hashTail(at, n int64) error {
	b := make([]byte, min(n, verifyReadBytes))
	for n > 0 {
		b = b[:min(n, int64(len(b)))]
		if err := c.full(b, at); err != nil {
			return c.tell(CorruptError{File: c.f.ID.name(), Offset: at, Block: -1}, err)
		}
		c.meta.Write(b)
		at, n = at+int64(len(b)), n-int64(len(b))
	}
	return nil
}

// piece checks a piece that must begin at dataAt, and returns where the next must.
func (c *fileCheck) piece(f *file, e *entry, dataAt int64) (int64, error) {
	where := CorruptError{File: f.ID.name(), Block: -1, Stream: e.stream, Partition: e.partition, Base: e.base, Next: e.next}
	b := make([]byte, int64(e.lines)*lineBytes)
	where.Offset = int64(f.foot.linesAt) + int64(e.line)*lineBytes
	if err := c.full(b, where.Offset); err != nil {
		return 0, c.tell(where, err)
	}
	lines := make([]line, 0, e.lines)
	for i := range int(e.lines) {
		l, err := decodeLine(b[i*lineBytes:], f.ID, e.part(), e.line+uint32(i))
		if err != nil {
			where.Offset += int64(i) * lineBytes
			c.sure = false
			return c.afterBadLine(f, e), c.tell(where, err)
		}
		lines = append(lines, l)
	}
	total := entry{stream: e.stream, partition: e.partition, dataAt: uint32(dataAt), line: e.line, lines: e.lines, block: lines[0].block}
	before := len(c.found)
	for i := range lines {
		l := &lines[i]
		end := e.next
		if i+1 < len(lines) {
			end = lines[i+1].base
		}
		if c.blks == unknownBlock {
			c.blks = int64(l.block)
		}
		if int64(l.dataAt) != dataAt || int64(l.block) != c.blks {
			where.Offset += int64(i) * lineBytes
			if err := c.tell(where, bad(40, fmt.Sprintf("byte %d, block %d", dataAt, c.blks), fmt.Sprintf("byte %d, block %d", l.dataAt, l.block))); err != nil {
				return 0, err
			}
		}
		if err := c.line(e, l, end, &total); err != nil {
			return 0, err
		}
		dataAt = int64(l.indexAt) + int64(l.bytes)
	}
	total.next = max(total.next, e.next)
	if len(c.found) == before && total != *e {
		return dataAt, c.tell(where, bad(0, fmt.Sprintf("%+v", *e), fmt.Sprintf("%+v", total)))
	}
	return dataAt, nil
}

// afterBadLine is where the piece behind e begins, as the directory has it.
func (c *fileCheck) afterBadLine(f *file, e *entry) int64 {
	next := *e
	for i := range f.foot.pieces {
		b := make([]byte, entryBytes)
		if c.full(b, f.foot.dirAt()+int64(i)*entryBytes) != nil {
			break
		}
		if x, err := decodeEntry(b); err == nil && x.line == e.line+e.lines {
			next = x
			break
		}
	}
	if next.line == e.line {
		return int64(f.foot.linesAt)
	}
	c.blks = int64(next.block)
	return int64(next.dataAt)
}

// line checks an index block and the blocks before it.
func (c *fileCheck) line(e *entry, l *line, end uint64, total *entry) error {
	where := CorruptError{File: c.f.ID.name(), Offset: int64(l.indexAt), Block: -1, Stream: e.stream, Partition: e.partition, Base: l.base, Next: end}
	b := make([]byte, l.bytes)
	err := c.full(b, int64(l.indexAt))
	c.meta.Write(b)
	var x *indexBlock
	if err == nil {
		x, err = checkIndex(b, l, end)
	}
	if err != nil {
		// Which blocks there are is not known, nor what the next one goes on from.
		c.sure = false
		c.blks = unknownBlock
		if err := c.read(int64(l.indexAt) + int64(l.bytes) - int64(l.dataAt)); err != nil {
			return err
		}
		return c.tell(where, err)
	}
	c.br.Reset(io.NewSectionReader(c.h, int64(l.dataAt), int64(l.indexAt)-int64(l.dataAt)))
	for i := range x.blocks {
		if err := c.block(e, x, &x.blocks[i]); err != nil {
			return err
		}
		c.blks++
	}
	first, last := &x.runs[0], &x.runs[len(x.runs)-1]
	if total.runs == 0 {
		total.base, total.seqFirst, total.timeFirst, total.maxFirst, total.batch = first.base, first.seq, first.timeMS, first.maxTimeMS, first.batch
	}
	total.next, total.seqLast, total.timeLast, total.maxLast = last.next, last.seq, last.timeMS, last.maxTimeMS
	total.runs += uint32(len(x.runs))
	total.bytes += uint64(l.indexAt - l.dataAt)
	return c.read(int64(l.indexAt) + int64(l.bytes) - int64(l.dataAt))
}

// block checks the sums of a block's runs, and that it is the one that belongs here.
func (c *fileCheck) block(e *entry, x *indexBlock, r *blockRef) error {
	runs := x.runs[r.first:r.end]
	c.sum.Reset()
	c.sum.Write(c.chain[:])
	whole := true
	var bytes int64
	for i := range runs {
		run := &runs[i]
		bytes += int64(run.bytes)
		sum, err := c.sumRun(int64(run.bytes))
		if err == nil && sum != run.crc {
			err = bad(0, fmt.Sprintf("CRC %08x over %d bytes", run.crc, run.bytes), fmt.Sprintf("%08x", sum))
		}
		if err == nil {
			continue
		}
		whole = false
		where := CorruptError{
			File: c.f.ID.name(), Offset: int64(run.at), Block: int64(run.block), Stream: e.stream, Partition: e.partition, Base: run.base, Next: run.next,
		}
		if err := c.tell(where, err); err != nil {
			return err
		}
		// Whatever was read of it, go on with the next run.
		next := int64(run.at) + int64(run.bytes)
		last := x.runs[len(x.runs)-1]
		c.br.Reset(io.NewSectionReader(c.h, next, int64(last.at)+int64(last.bytes)-next))
	}
	chain := chainNext(c.sum, blockDescriptor(e.part(), runs[0].base, runs[len(runs)-1].next, bytes))
	wrong := whole && c.sure && chain != r.chain
	// What follows is judged by what should be here, so that one wrong block is told of once.
	c.chain, c.sure = r.chain, true
	if !wrong {
		return nil
	}
	where := CorruptError{
		File: c.f.ID.name(), Offset: int64(runs[0].at), Block: int64(runs[0].block), Stream: e.stream, Partition: e.partition,
		Base: runs[0].base, Next: runs[len(runs)-1].next,
	}
	return c.tell(where, bad(0, fmt.Sprintf("chain value %x", r.chain), fmt.Sprintf("%x: this block, or the one before, is not what was written", chain)))
}

// sumRun reads n bytes into the block's hash and returns their CRC.
func (c *fileCheck) sumRun(n int64) (crc uint32, err error) {
	for n > 0 {
		b, err := c.br.Peek(int(min(n, verifyReadBytes)))
		if len(b) == 0 {
			if errors.Is(err, io.EOF) {
				err = bad(0, fmt.Sprintf("%d bytes more", n), "the end of the file")
			}
			return crc, err
		}
		crc = crc32.Update(crc, castagnoli, b)
		c.sum.Write(b)
		n -= int64(len(b))
		if _, err := c.br.Discard(len(b)); err != nil {
			return crc, err
		}
	}
	return crc, nil
}
