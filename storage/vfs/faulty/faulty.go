package faulty

import (
	"io"
	"sync"

	"leat/storage/vfs"
)

// Op is a kind of call.
type Op int

const (
	Open Op = iota
	Remove
	Rename
	List
	MkdirAll
	SyncDir
	Lock
	Free
	ReadAt
	WriteAt // WriteV too
	Sync
	Truncate
	Size
	opCount
)

var opNames = [opCount]string{
	"Open", "Remove", "Rename", "List", "MkdirAll", "SyncDir", "Lock", "Free", "ReadAt", "WriteAt", "Sync", "Truncate", "Size",
}

func (o Op) String() string { return opNames[o] }

// Changes says whether the call changes what is on the disk.
func (o Op) Changes() bool {
	switch o {
	case Remove, Rename, SyncDir, WriteAt, Sync, Truncate:
		return true
	}
	return false
}

// Call is one call that is made, or was.
type Call struct {
	Op     Op
	Name   string // of the file; the new one of a Rename
	Number int    // among all calls, from 1
	Nth    int    // among the calls of that kind, from 1
}

// Fault is what goes wrong with a call. The zero Fault is nothing.
type Fault struct {
	Err     error // returned instead of making the call
	Written int64 // a write puts down so many bytes before it fails with Err
	FlipBit int   // a read succeeds with this bit flipped, counted from 1 over the bytes read; beyond them nothing is flipped
}

// Rule decides before a call. It is called by many goroutines, one at a time.
type Rule func(Call) Fault

// NthCall fails the n-th of all calls, and only that one.
func NthCall(n int, err error) Rule {
	return func(c Call) Fault {
		if c.Number == n {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// NthOf fails the n-th call of a kind, and only that one.
func NthOf(op Op, n int, err error) Rule {
	return func(c Call) Fault {
		if c.Op == op && c.Nth == n {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// FS is a file system whose calls can fail. It is safe for many goroutines.
type FS struct {
	base vfs.FS

	mu     sync.Mutex
	rule   Rule
	watch  func(Call, error)
	number int
	counts [opCount]int
}

// New wraps a file system.
func New(base vfs.FS) *FS { return &FS{base: base} }

// SetRule sets what goes wrong from now on; nil is nothing.
func (f *FS) SetRule(r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rule = r
}

// Watch sets who is told of each call after it returned, on the caller's goroutine. It may use the base file system, and must not use this one.
func (f *FS) Watch(w func(Call, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = w
}

// Count returns how many calls of that kind were made.
func (f *FS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Calls returns how many calls were made.
func (f *FS) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number
}

func (f *FS) before(op Op, name string) (Call, Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number++
	f.counts[op]++
	c := Call{Op: op, Name: name, Number: f.number, Nth: f.counts[op]}
	if f.rule == nil {
		return c, Fault{}
	}
	return c, f.rule(c)
}

func (f *FS) after(c Call, err error) {
	f.mu.Lock()
	w := f.watch
	f.mu.Unlock()
	if w != nil {
		w(c, err)
	}
}

// do makes a call unless it is to fail.
func (f *FS) do(op Op, name string, call func() error) error {
	c, fault := f.before(op, name)
	err := fault.Err
	if err == nil {
		err = call()
	}
	f.after(c, err)
	return err
}

// Open opens a file whose calls can fail.
func (f *FS) Open(name string, how vfs.How) (vfs.File, error) {
	var h vfs.File
	err := f.do(Open, name, func() (err error) { h, err = f.base.Open(name, how); return })
	if err != nil {
		return nil, err
	}
	return &file{fs: f, base: h, name: name}, nil
}

func (f *FS) Remove(name string) error {
	return f.do(Remove, name, func() error { return f.base.Remove(name) })
}

func (f *FS) Rename(oldName, newName string) error {
	return f.do(Rename, newName, func() error { return f.base.Rename(oldName, newName) })
}

func (f *FS) List(dir string) (names []string, err error) {
	err = f.do(List, dir, func() (err error) { names, err = f.base.List(dir); return })
	return names, err
}

func (f *FS) MkdirAll(dir string) error {
	return f.do(MkdirAll, dir, func() error { return f.base.MkdirAll(dir) })
}

func (f *FS) SyncDir(dir string) error {
	return f.do(SyncDir, dir, func() error { return f.base.SyncDir(dir) })
}

func (f *FS) Lock(name string) (l io.Closer, err error) {
	err = f.do(Lock, name, func() (err error) { l, err = f.base.Lock(name); return })
	return l, err
}

func (f *FS) Free(dir string) (n int64, err error) {
	err = f.do(Free, dir, func() (err error) { n, err = f.base.Free(dir); return })
	return n, err
}

type file struct {
	fs   *FS
	base vfs.File
	name string
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	c, fault := f.fs.before(ReadAt, f.name)
	if err = fault.Err; err == nil {
		n, err = f.base.ReadAt(p, off)
		if bit := fault.FlipBit - 1; bit >= 0 && bit/8 < n {
			p[bit/8] ^= 1 << (bit % 8)
		}
	}
	f.fs.after(c, err)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.write([][]byte{p}, off, func() (int64, error) { n, err := f.base.WriteAt(p, off); return int64(n), err })
	return int(n), err
}

func (f *file) WriteV(pieces [][]byte, off int64) (int64, error) {
	return f.write(pieces, off, func() (int64, error) { return f.base.WriteV(pieces, off) })
}

func (f *file) write(pieces [][]byte, off int64, whole func() (int64, error)) (n int64, err error) {
	c, fault := f.fs.before(WriteAt, f.name)
	switch {
	case fault.Err == nil:
		n, err = whole()
	case fault.Written > 0:
		var all []byte
		for _, p := range pieces {
			all = append(all, p...)
		}
		some, werr := f.base.WriteAt(all[:min(fault.Written, int64(len(all)))], off)
		if n, err = int64(some), fault.Err; werr != nil {
			err = werr
		}
	default:
		err = fault.Err
	}
	f.fs.after(c, err)
	return n, err
}

func (f *file) Sync() error {
	c, fault := f.fs.before(Sync, f.name)
	err := fault.Err
	if err == nil {
		err = f.base.Sync()
	} else if l, ok := f.base.(interface{ LoseUnsynced() }); ok {
		l.LoseUnsynced()
	}
	f.fs.after(c, err)
	return err
}

func (f *file) Truncate(size int64) error {
	return f.fs.do(Truncate, f.name, func() error { return f.base.Truncate(size) })
}

func (f *file) Size() (n int64, err error) {
	err = f.fs.do(Size, f.name, func() (err error) { n, err = f.base.Size(); return })
	return n, err
}

func (f *file) Close() error { return f.base.Close() }
