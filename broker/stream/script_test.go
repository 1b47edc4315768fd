package stream_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/broker/stream"
	"leat/storage/state"
	statemem "leat/storage/state/memory"
)

var update = flag.Bool("update", false, "rewrite the scripts with what happens now")

// A script is a conversation: a line that begins with ">" is said to the machine, the lines below are what it answers. Others are prose.
//
//	> clock 5000                        the time of day, ms
//	> create versioned 2                a stream with that key mode and so many partitions
//	> change 1 versioned 3              stream 1
//	> delete 1
//	> append 1/0 a b                    records to stream 1, partition 0; key=value has a key, key:none=value expects, too
//	> append 1/0 producer=5/0/0 a b     of producer 5, epoch 0, sequence 0
//	> atomic 1/0 a | 1/1 b              several batches, all or none
//	> append 1/0 of=t producer=5/0/0 a  with the transaction of t; of=t!: without announcing the partition
//	> init t 5000 [5/0]                 a named producer, whose transactions may take so many ms, that says who it was
//	> enlist t 5/0 1/0 1/1 cursor=9     partitions and subscriptions of its transaction
//	> defer t 5/0 9 1/0=7 [!]           a position of subscription 9; !: without announcing it
//	> end t 5/0 commit|abort [bump]
//	> expire                            all that is due
//	> trim 1/0 5 time | 1/1 7           records of stream 1 before these offsets, all or none; why is request unless it is said
//	> format 1                          of the data directory, from here on
//	> publish                           the open frame becomes durable and is folded
//	> lose                              the open frame is lost: head becomes what is published
//	> state                             what is published
type script struct {
	t     *testing.T
	store *statemem.Store
	state *stream.State
	fold  *stream.Folder
	head  *stream.Head
	frame *fact.Frame
	seq   uint64 // published
	now   int64
	kept  map[string]uint64 // records of each key, by stream and key
	out   strings.Builder
}

func keptKey(id record.StreamID, key []byte) string { return fmt.Sprintf("%d/%s", id, key) }

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, store: statemem.New(), state: stream.NewState()}
			s.fold = stream.NewFolder(s.state)
			s.kept = map[string]uint64{}
			s.fold.OnKey = func(id record.StreamID, key []byte, _ *stream.HistoryEntry) { s.kept[keptKey(id, key)]++ }
			s.head = stream.NewHead(s.state.Clone(), 0)
			prose := true
			for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
				switch {
				case strings.HasPrefix(line, "> "):
					s.say("%s", line)
					s.run(strings.Fields(line[2:]))
					prose = false
				case line == "" || prose || strings.HasPrefix(line, "# "):
					s.say("%s", line)
					prose = prose || line == ""
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(s.out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if s.out.String() != string(text) {
				t.Fatalf("the machine says something else (go test -update rewrites it):\n%s", s.out.String())
			}
		})
	}
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) open() *fact.Frame {
	if s.frame == nil {
		s.frame = &fact.Frame{}
		s.frame.Reset(fact.Head{TimeMS: s.head.OpenFrame(s.seq+1, s.now)})
	}
	return s.frame
}

func (s *script) run(w []string) {
	switch w[0] {
	case "clock":
		s.now, _ = strconv.ParseInt(w[1], 10, 64)
	case "create":
		mode, _ := stream.ParseKeyMode(w[1])
		n, _ := strconv.Atoi(w[2])
		s.say("stream %d", s.head.Create(n, mode, s.open()))
	case "change":
		mode, _ := stream.ParseKeyMode(w[2])
		n, _ := strconv.Atoi(w[3])
		if err := s.head.Change(number(w[1]), n, mode, s.open()); err != nil {
			s.say("%s: %s", err.Kind, err.Text)
		}
	case "count":
		var keys []stream.KeyCount
		for _, v := range w[4:] {
			key, n, _ := strings.Cut(v, "=")
			count, _ := strconv.ParseUint(n, 10, 64)
			keys = append(keys, stream.KeyCount{Key: []byte(key), Count: count})
		}
		building, _ := strconv.ParseUint(w[2], 10, 64)
		through, _ := strconv.ParseUint(w[3], 10, 64)
		if !s.head.Counted(number(w[1]), building, through, keys, s.open()) {
			s.say("the stream was changed meanwhile")
		}
	case "built":
		building, _ := strconv.ParseUint(w[2], 10, 64)
		if !s.head.Built(number(w[1]), building, s.open()) {
			s.say("the stream was changed meanwhile")
		}
	case "delete":
		s.head.Delete(number(w[1]), s.open())
	case "trim":
		s.trim(w[1:])
	case "format":
		s.head.Format, _ = strconv.Atoi(w[1])
	case "append":
		s.append(false, w[1:])
	case "atomic":
		s.append(true, w[1:])
	case "publish":
		s.publish()
	case "lose":
		s.frame = nil
		s.head = stream.NewHead(s.state.Clone(), s.seq)
	case "init", "enlist", "defer", "end", "expire":
		s.transact(w)
	case "state":
		s.tell()
	default:
		s.t.Fatalf("what is %q?", w[0])
	}
}

func number(w string) record.StreamID {
	n, _ := strconv.Atoi(w)
	return record.StreamID(n)
}

func (s *script) trim(words []string) {
	var cuts []stream.Cut
	var of record.StreamID
	for part := range strings.SplitSeq(strings.Join(words, " "), " | ") {
		w := strings.Fields(part)
		id, p, _ := strings.Cut(w[0], "/")
		n, _ := strconv.Atoi(p)
		before, _ := strconv.ParseInt(w[1], 10, 64)
		c := stream.Cut{Partition: record.PartitionID(n), Before: record.Offset(before), Gone: stream.Point{Seq: s.seq, Record: uint32(before)}, Why: stream.WhyRequest}
		if len(w) > 2 {
			c.Why = map[string]stream.Why{"time": stream.WhyTime, "bytes": stream.WhyBytes}[w[2]]
		}
		of, cuts = number(id), append(cuts, c)
	}
	o := &stream.Origin{Principal: "ann"}
	if cuts[0].Why != stream.WhyRequest {
		o = nil
	}
	if err := s.head.Trim(of, cuts, o, s.open()); err != nil {
		s.say("%s: %s", err.Kind, err.Text)
	}
}

func (s *script) append(atomic bool, words []string) {
	c := &stream.Append{Atomic: atomic}
	for part := range strings.SplitSeq(strings.Join(words, " "), " | ") {
		w := strings.Fields(part)
		id, p, _ := strings.Cut(w[0], "/")
		n, _ := strconv.Atoi(p)
		e := stream.Entry{Stream: number(id), Partition: record.PartitionID(n)}
		if st := s.state.Streams[e.Stream]; st != nil {
			e.Mode = st.Keys
		}
		producer := ""
		var records []record.Record
		for _, v := range w[1:] {
			if of, ok := strings.CutPrefix(v, "producer="); ok {
				producer = of
				continue
			}
			if of, ok := strings.CutPrefix(v, "of="); ok {
				c.Transactor = stream.TransactorName{Name: strings.TrimSuffix(of, "!")}
				c.Implicit = strings.HasSuffix(of, "!")
				continue
			}
			records = append(records, s.record(c, &e, len(records), v))
		}
		e.Batch, _ = record.BuildBatch(records)
		if producer != "" {
			var id int64
			var epoch int16
			var seq int32
			if _, err := fmt.Sscanf(producer, "%d/%d/%d", &id, &epoch, &seq); err != nil {
				s.t.Fatal(err)
			}
			record.StampProducer(e.Batch, id, epoch, seq)
			if c.Transactor.Name != "" {
				record.StampTransactional(e.Batch)
			}
		}
		e.Header, _ = record.ParseBatchHeader(e.Batch)
		c.Entries = append(c.Entries, e)
	}
	s.head.Append(c, s.seq, s.open())
	for _, f := range c.Failed {
		s.say("condition: key %s is at %d, expected %s", c.Slots[f.Slot].Key, f.Current, f.Expect)
	}
	switch {
	case c.Stale != stream.Fresh:
		s.say("stale")
	case len(c.Failed) > 0:
		s.say("nothing recorded")
	default:
		for _, o := range c.Outcomes {
			switch {
			case o.Err != nil:
				s.say("%s: %s", o.Err.Kind, o.Err.Text)
			case o.Duplicate:
				s.say("duplicate of offset %d", o.Base)
			case len(o.Versions) > 0:
				s.say("offset %d, versions %v", o.Base, o.Versions)
			default:
				s.say("offset %d", o.Base)
			}
		}
	}
}

// record reads key:expect=value, key=value or value.
func (s *script) record(c *stream.Append, e *stream.Entry, index int, text string) record.Record {
	key, value, keyed := strings.Cut(text, "=")
	if !keyed {
		return record.Record{Value: []byte(text)}
	}
	key, want, _ := strings.Cut(key, ":")
	u := stream.KeyUse{Index: int32(index), Slot: -1, Key: []byte(key), Event: index}
	switch want {
	case "":
	case "none":
		u.Expect.Kind = stream.ExpectNone
	case "exists":
		u.Expect.Kind = stream.ExpectExists
	default:
		u.Expect.Kind = stream.ExpectVersion
		u.Expect.Version, _ = strconv.ParseUint(want, 10, 64)
	}
	if e.Mode == stream.KeysVersioned {
		for i := range c.Slots {
			if c.Slots[i].Stream == e.Stream && string(c.Slots[i].Key) == key {
				u.Slot = int32(i)
			}
		}
		if u.Slot < 0 {
			u.Slot = int32(len(c.Slots))
			c.Slots = append(c.Slots, stream.Slot{Stream: e.Stream, Key: []byte(key), Version: s.version(e.Stream, []byte(key))})
		}
	}
	if e.Mode != stream.KeysOff {
		e.Keys = append(e.Keys, u)
	}
	return record.Record{Key: []byte(key), Value: []byte(value)}
}

// version resolves a key as shard.Published does: from its row, else by counting what a converted stream had kept.
func (s *script) version(id record.StreamID, key []byte) (n uint64) {
	if v, err := s.store.Get(stream.VersionKey(id, key)); err == nil {
		return fact.ReadBody(v).Uvarint()
	}
	return s.kept[keptKey(id, key)]
}

func (s *script) publish() {
	f := s.open()
	s.frame = nil
	h, body, err := fact.ReadHead(f.Facts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.seq++
	rows := s.store.NewBatch()
	s.fold.Begin(stream.FrameInfo{Seq: s.seq, Place: s.seq, TimeMS: h.TimeMS}, rows)
	var kinds []string
	if err := fact.Each(body, func(x fact.Fact) error {
		kinds = append(kinds, x.Kind.String())
		_, err := s.fold.Apply(x)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	s.fold.End()
	if err := s.store.Apply(rows, state.Mark{Seq: s.seq, Place: s.seq}); err != nil {
		s.t.Fatal(err)
	}
	s.say("frame %d at %d: %s", s.seq, h.TimeMS, strings.Join(kinds, ", "))
	for _, t := range s.fold.Trims {
		s.say("  %d/%d begins at %d (%s, origin %d)", t.Stream, t.Partition, t.Start, t.Why, t.Origin)
	}
	s.checkLoad()
}

// checkLoad: the rows hold all of the state.
func (s *script) checkLoad() {
	again, err := stream.Load(s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	if got, want := describe(again), describe(s.state); got != want {
		s.t.Fatalf("rows give another state:\n%s\nfolded:\n%s", got, want)
	}
}

func (s *script) tell() { s.out.WriteString(describe(s.state)) }

func describe(st *stream.State) string {
	var b strings.Builder
	for id := record.StreamID(1); id < st.NextStream; id++ {
		x := st.Streams[id]
		if x == nil {
			fmt.Fprintf(&b, "stream %d is gone\n", id)
			continue
		}
		fmt.Fprintf(&b, "stream %d keeps keys %s, held some %v, converted %v\n", id, x.Keys, x.Keyed, x.Converted)
		if x.Building > 0 {
			fmt.Fprintf(&b, "  since frame %d its keys are being built, target %q, partial %v\n", x.Building, x.Target, x.Partial)
		}
		for i := range x.Partitions {
			p := &x.Partitions[i]
			if p.Start > 0 {
				fmt.Fprintf(&b, "  partition %d begins at %d, ends at %d; the last that is gone is of frame %d, %d\n", i, p.Start, p.Next, p.Gone.Seq, p.Gone.Record)
			} else {
				fmt.Fprintf(&b, "  partition %d ends at %d\n", i, p.Next)
			}
			if p.Marked {
				stable, seq := p.Stable()
				fmt.Fprintf(&b, "    stable before %d (frame %d), open %v, last aborted at %d\n", stable, int64(seq), p.Open, p.LastAborted)
			}
			for pid := range int64(100) {
				if pr := p.Producers[pid]; pr != nil {
					fmt.Fprintf(&b, "    producer %d: epoch %d, at %d, sent %v\n", pid, pr.Epoch, pr.LastMS, pr.Recent[:pr.Count])
				}
			}
		}
	}
	for _, t := range slices.SortedFunc(maps.Values(st.Transactors), func(x, y *stream.Transactor) int { return cmp.Compare(x.Name.Name, y.Name.Name) }) {
		fmt.Fprintf(&b, "%s is producer %d/%d, was %d/%d, %s, %d ms, begun at %d, changed at %d\n", t.Name.Name, t.Producer, t.Epoch, t.WasID, t.WasEpoch,
			[]string{"idle", "open", "committed", "aborted"}[t.Phase], t.TimeoutMS, t.BegunMS, t.ChangedMS)
		for _, e := range t.Places {
			fmt.Fprintf(&b, "    %d/%d from %d\n", e.Stream, e.Partition, e.First)
		}
		if len(t.Cursors) > 0 {
			fmt.Fprintf(&b, "    subscriptions %v: %v\n", t.Cursors, t.Deferred)
		}
	}
	return b.String()
}

// FuzzFolder: no fact makes a fold panic, whatever its body.
func FuzzFolder(f *testing.F) {
	f.Add(uint8(4), []byte{1, 2, 3}, uint8(7), []byte{1, 0, 0, 1, 70, 0, 1, 0, 0})
	f.Add(uint8(7), []byte{1, 0, 0, 1, 70, 0, 1, 0, 6, 0, 0}, uint8(8), []byte{1, 0, 1, 'k', 1})
	f.Add(uint8(7), []byte{1, 0, 0, 1, 70, 0, 1, 0, 0}, uint8(12), []byte{1, 0, 1, 1, 0, 0, 1, 0})
	f.Add(uint8(27), []byte{1, 0, 0, 1, 9, 0, 1, 't'}, uint8(29), []byte{1, 1, 1, 0, 0})
	f.Add(uint8(27), []byte{1, 0, 0, 1, 9, 0, 1, 't'}, uint8(31), []byte{1, 1, 1, 2, 0, 0})
	f.Add(uint8(9), []byte{2, 0}, uint8(11), []byte{1, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, k1 uint8, b1 []byte, k2 uint8, b2 []byte) {
		st := statemem.New()
		fold := stream.NewFolder(stream.NewState())
		rows := st.NewBatch()
		fold.Begin(stream.FrameInfo{Seq: 1, Place: 1, TimeMS: 1}, rows)
		for _, x := range []fact.Fact{{Kind: fact.StreamCreated, Version: 1, Body: []byte{1, 2, 4}}, {Kind: fact.Kind(k1), Version: 1, Body: b1}, {Kind: fact.Kind(k2), Version: 1, Body: b2}} {
			if _, err := fold.Apply(x); err != nil {
				rows.Discard()
				return
			}
		}
		fold.End()
	})
}
