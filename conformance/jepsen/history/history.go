package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Kinds of lines.
const (
	KindInit   = "init"   // a producer knows its id and epoch: From before it asked, At when it was told
	KindBegin  = "begin"  // a transaction begins: its records, before the first one is sent
	KindEnd    = "end"    // its end is about to be asked for: Commit, and the offsets that were acknowledged
	KindEnded  = "ended"  // the answer: Outcome
	KindRead   = "read"   // a reader was given records of a partition
	KindReader = "reader" // a reader begins or comes back: Committed says which of them it sees
)

// Outcomes of a transaction.
const (
	Committed = "committed"
	Aborted   = "aborted"
	Unknown   = "unknown"
)

// Part is a partition.
type Part struct {
	Topic     string `json:"t"`
	Partition int32  `json:"p"`
}

func (p Part) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Seen is a record as a reader was given it: what Head left of its value.
type Seen struct {
	Offset int64  `json:"o"`
	Value  string `json:"v"`
}

// Input is a record that a transaction consumed. Its output is the record of the same place among the transaction's.
type Input struct {
	Part
	Offset int64  `json:"o"`
	Value  string `json:"v"`
}

// Ack is the answer to one record: its place among those of the transaction, and its offset.
type Ack struct {
	Record int   `json:"r"`
	Offset int64 `json:"o"`
}

// Line is one thing that somebody did or saw. Who is one instance of a producer, or a reader over all its lives; N numbers the transactions of an instance.
type Line struct {
	Kind      string  `json:"k"`
	Who       string  `json:"w"`
	Name      string  `json:"name,omitempty"` // transactional id; none: the record is no part of a transaction
	N         int     `json:"n,omitempty"`
	At        int64   `json:"at"` // ns since 1970, on the one machine that all run on
	From      int64   `json:"from,omitempty"`
	Producer  int64   `json:"producer,omitempty"`
	Epoch     int16   `json:"epoch,omitempty"`
	Records   []Part  `json:"records,omitempty"`
	Inputs    []Input `json:"inputs,omitempty"`
	Commit    bool    `json:"commit,omitempty"`
	Acks      []Ack   `json:"acks,omitempty"`
	Outcome   string  `json:"outcome,omitempty"`
	Error     string  `json:"error,omitempty"`
	Committed bool    `json:"committed,omitempty"`
	Place     *Part   `json:"part,omitempty"` // of a reading
	Seen      []Seen  `json:"seen,omitempty"`
}

// Writer appends lines to a file, each with one write: they outlive a process that is killed.
type Writer struct {
	f *os.File
	b bytes.Buffer
}

// Open opens a file to append to. What a killed process has left of a last line is cut off.
func Open(path string) (*Writer, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	whole := int64(bytes.LastIndexByte(b, '\n') + 1)
	if err := f.Truncate(whole); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = f.Seek(whole, 0)
	return &Writer{f: f}, err
}

// Add writes a line. One goroutine at a time.
func (w *Writer) Add(l *Line) error {
	if l.At == 0 {
		l.At = time.Now().UnixNano()
	}
	w.b.Reset()
	if err := json.NewEncoder(&w.b).Encode(l); err != nil {
		return err
	}
	_, err := w.f.Write(w.b.Bytes())
	return err
}

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }

// Load reads a file; a last line without its end is left out.
func Load(path string) (ls []Line, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	for n := 1; len(b) > 0; n++ {
		one, rest, _ := bytes.Cut(b, []byte{'\n'})
		var l Line
		if err := json.Unmarshal(one, &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		ls, b = append(ls, l), rest
	}
	return ls, nil
}

// LoadAll reads the files of a folder.
func LoadAll(dir string) (ls []Line, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	for _, f := range files {
		some, err := Load(f)
		if err != nil {
			return nil, err
		}
		ls = append(ls, some...)
	}
	return ls, err
}

// paddingMax is the most bytes that follow the head of a value.
const paddingMax = 400

// Value is what record i of transaction n of an instance holds: its head, and bytes that follow from it.
//
//	p3.2 17 4 ddddddddd
func Value(who string, n, i int) []byte {
	b := append([]byte(who), ' ')
	b = append(strconv.AppendInt(b, int64(n), 10), ' ')
	b = append(strconv.AppendInt(b, int64(i), 10), ' ')
	return append(b, padding(n, i)...)
}

func padding(n, i int) []byte {
	return bytes.Repeat([]byte{'a' + byte((n+i)%26)}, (n*131+i*17)%paddingMax)
}

// Head is a value without what follows from its head, as it stands in lines. A value that is none of ours stays whole.
func Head(value []byte) string {
	who, n, i, err := parse(string(value))
	if err != nil || !bytes.Equal(value, Value(who, n, i)) {
		return "? " + string(value)
	}
	return headOf(who, n, i)
}

func headOf(who string, n, i int) string { return who + " " + strconv.Itoa(n) + " " + strconv.Itoa(i) }

func parse(head string) (who string, n, i int, err error) {
	f := strings.SplitN(head, " ", 4)
	if len(f) < 3 {
		return "", 0, 0, fmt.Errorf("%.60q is none of ours", head)
	}
	n, err1 := strconv.Atoi(f[1])
	i, err2 := strconv.Atoi(f[2])
	return f[0], n, i, errors.Join(err1, err2)
}
