package broker

import (
	"slices"

	"leat/broker/filter/address"
	"leat/broker/record"
	"leat/broker/shard"
	"leat/broker/stream"
	"leat/broker/subscription"
)

// reachKeptMax is how many runs of a batch the memory for finding them keeps room for.
const reachKeptMax = 8192

// reach finds out whom the records of one entry reach, in runs of those that reach the same.
func (x *matching) reach(index *address.Index, recall *address.Recall, e *stream.Entry, typ string) ([]shard.Reach, error) {
	x.runs, x.classes = x.runs[:0], x.classes[:0]
	var one [1]address.ID
	next := e.Header.BaseOffset
	hole := func(to record.Offset) { // offsets of a copy at which nothing is: they reach nobody
		if to > next {
			x.runs = append(x.runs, shard.Reach{Amount: subscription.Amount{Count: int64(to - next)}, Plain: true})
		}
		next = to + 1
	}
	err := record.EachRecord(e.Batch, record.DefaultInflateLimits(), func(k int, rec *record.Record) error {
		x.rec.Of(e.Stream, rec, typ, &x.scratch)
		id, reached, known, at := recall.Find(index, &x.rec)
		var ids []address.ID
		switch {
		case known && reached:
			one[0] = id
			ids = one[:]
		case !known:
			if x.m.Match(index, &x.rec) {
				ids = x.m.IDs()
			}
			recall.Keep(at, ids)
		}
		hole(rec.Offset)
		x.join(ids, subscription.Amount{Count: 1, Bytes: share(len(e.Batch), int64(e.Header.Count), int64(k))}, plain(rec))
		return nil
	})
	x.rec = address.Record{} // it refers to the caller's memory
	if err != nil {
		return nil, err
	}
	hole(e.Header.LastOffset() + 1)
	// What goes on with the command is as large as it has to be: two pieces of memory, however many runs there are.
	runs, classes := slices.Clone(x.runs), slices.Clone(x.classes)
	for i := range runs {
		n := len(runs[i].Classes)
		runs[i].Classes, classes = classes[:n:n], classes[n:]
	}
	if clear(x.runs); cap(x.runs) > reachKeptMax {
		x.runs, x.classes = nil, nil
	}
	return runs, nil
}

// join adds a record to the last run, or begins one.
func (x *matching) join(ids []address.ID, n subscription.Amount, plain bool) {
	if k := len(x.runs) - 1; k >= 0 && x.runs[k].Plain == plain && sameClasses(x.runs[k].Classes, ids) {
		x.runs[k].Count++
		x.runs[k].Bytes += n.Bytes
		return
	}
	from := len(x.classes)
	for _, id := range ids {
		x.classes = append(x.classes, subscription.ClassID(id))
	}
	x.runs = append(x.runs, shard.Reach{Classes: x.classes[from:], Amount: n, Plain: plain})
}
