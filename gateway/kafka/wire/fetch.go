package wire

import "encoding/binary"

// Versions of Fetch that are understood.
const (
	FetchVersionMin      int16 = 4
	FetchVersionMax      int16 = 17
	fetchVersionFlexible int16 = 12
	fetchVersionID       int16 = 13 // topics are named by their id
)

// Fetch is a decoded request. One value is reused; its names are slices of the frame.
//
//	replica int32 (to 14) | wait int32 | min bytes int32 | max bytes int32 | isolation int8 | session int32, its epoch int32 (7+) | [topic] |
//	[forgotten topic] (7+) | rack string (11+) | tags
//	topic:     name string, id uuid instead (13+) | [partition] | tags; a forgotten one has indexes, int32, for partitions
//	partition: index int32 | leader epoch int32 (9+) | offset int64 | last epoch int32 (12+) | log start int64 (5+) | max bytes int32 | tags
type Fetch struct {
	Version      int16
	MaxWaitMS    int32
	MinBytes     int32
	MaxBytes     int32
	Committed    bool // isolation level read_committed
	SessionID    int32
	SessionEpoch int32
	Topics       []Topic
	Parts        []FetchPart

	Forgotten      []Topic // what the session is to forget: topics whose runs are of ForgottenParts
	ForgottenParts []int32
}

// FetchPart is what is wanted of one partition.
type FetchPart struct {
	Partition   int32
	LeaderEpoch int32 // -1: not known
	Offset      int64
	MaxBytes    int32
}

// Flexible reports whether the request, hence its response, is in the flexible encoding.
func (f *Fetch) Flexible() bool { return f.Version >= fetchVersionFlexible }

// ByID reports whether the request, and its response, name topics by their ids.
func (f *Fetch) ByID() bool { return f.Version >= fetchVersionID }

// Decode reads the body of a request, replacing what was in f.
func (f *Fetch) Decode(version int16, body []byte) error {
	*f = Fetch{
		Version: version, SessionEpoch: -1, Topics: f.Topics[:0], Parts: f.Parts[:0], Forgotten: f.Forgotten[:0], ForgottenParts: f.ForgottenParts[:0],
	}
	r := NewReader(body, f.Flexible())
	if version <= 14 {
		r.Int32() // replica id: nobody replicates from here
	}
	f.MaxWaitMS = r.Int32()
	f.MinBytes = r.Int32()
	f.MaxBytes = r.Int32()
	f.Committed = r.Int8() == 1
	if version >= 7 {
		f.SessionID = r.Int32()
		f.SessionEpoch = r.Int32()
	}
	byID := version >= fetchVersionID
	for n := r.Array(topicMin(byID)); n > 0 && !r.bad; n-- {
		t := r.topic(byID, len(f.Parts))
		for n := r.Array(16); n > 0 && !r.bad; n-- {
			f.Parts = append(f.Parts, decodeFetchPart(&r, version))
		}
		r.Tags()
		t.Count = len(f.Parts) - t.First
		f.Topics = append(f.Topics, t)
	}
	if version >= 7 {
		for n := r.Array(topicMin(byID)); n > 0 && !r.bad; n-- {
			t := r.topic(byID, len(f.ForgottenParts))
			for n := r.Array(4); n > 0 && !r.bad; n-- {
				f.ForgottenParts = append(f.ForgottenParts, r.Int32())
			}
			r.Tags()
			t.Count = len(f.ForgottenParts) - t.First
			f.Forgotten = append(f.Forgotten, t)
		}
	}
	if version >= 11 {
		r.String()
	}
	r.Tags()
	return r.End()
}

func decodeFetchPart(r *Reader, version int16) FetchPart {
	p := FetchPart{Partition: r.Int32(), LeaderEpoch: -1}
	if version >= 9 {
		p.LeaderEpoch = r.Int32()
	}
	p.Offset = r.Int64()
	if version >= 12 {
		r.Int32()
	}
	if version >= 5 {
		r.Int64()
	}
	p.MaxBytes = r.Int32()
	r.Tags()
	return p
}

// FetchResponse builds the pieces of a response: everything but the record batches goes into one buffer, which is cut where batches
// belong, so that they are sent from where they lie, in memory or in a file, and never copied. One value is reused.
//
//	throttle int32 | error int16, session int32 (7+) | [topic] | tags
//	topic:     name, id instead (13+) | [partition] | tags
//	partition: index int32 | error int16 | high watermark int64 | last stable int64 | log start int64 (5+) | [aborted] |
//	           preferred replica int32 (11+) | records nullable bytes | tags: 1 = leader int32, its epoch int32, tags (12+)
type FetchResponse struct {
	version int16
	flex    bool
	buf     []byte
	cuts    []cut
	extra   int // bytes of batches
	apart   int // of those that are not in memory
}

// cut says that batches go out after buf[:at].
type cut struct {
	at      int
	batches []Piece
}

// Piece is a part of a frame: bytes, or what says where they lie.
type Piece struct {
	Bytes []byte
	Place Place // nil: Bytes are it
}

// Place is where bytes lie that are not in memory.
type Place interface{ Len() int }

// Len is how many bytes there are.
func (p *Piece) Len() int {
	if p.Place != nil {
		return p.Place.Len()
	}
	return len(p.Bytes)
}

// FetchResult is the answer for one partition.
type FetchResult struct {
	Partition           int32
	Code                int16
	High, Stable, Start int64 // -1 when not known
	Batches             []Piece
	Aborted             []Aborted
	Leader              *Leader // who leads now, where the client believes something else; nil: nothing to say
}

// Aborted is a transaction of which records are among the batches: those of the producer from First to its next marker.
type Aborted struct{ Producer, First int64 }

// Leader is the node that leads a partition, and since when.
type Leader struct{ Node, Epoch int32 }

// Begin starts a response, keeping the memory of the last one: the pieces that Buffers returned must not be in use any more. Session 0 is none.
func (f *FetchResponse) Begin(version int16, correlation int32, topCode int16, session int32, topics int) {
	*f = FetchResponse{version: version, flex: version >= fetchVersionFlexible, buf: f.buf[:0], cuts: f.cuts[:0]}
	f.buf = AppendResponseHeader(f.buf, correlation, f.flex)
	f.buf = appendInt32(f.buf, 0)
	if version >= 7 {
		f.buf = appendInt16(f.buf, topCode)
		f.buf = appendInt32(f.buf, session)
	}
	f.buf = appendArray(f.buf, topics, f.flex)
}

// Throttle says how long the client should keep away.
func (f *FetchResponse) Throttle(ms int32) {
	at := 8 // length, correlation id
	if f.flex {
		at++
	}
	binary.BigEndian.PutUint32(f.buf[at:], uint32(ms))
}

// Topic starts the next topic, of which so many partitions follow.
func (f *FetchResponse) Topic(t *Topic, partitions int) {
	f.buf = appendTopic(f.buf, t, f.version >= fetchVersionID, f.flex)
	f.buf = appendArray(f.buf, partitions, f.flex)
}

// Part adds a partition. The batches are kept, not copied.
func (f *FetchResponse) Part(p FetchResult) {
	f.buf = appendInt32(f.buf, p.Partition)
	f.buf = appendInt16(f.buf, p.Code)
	f.buf = appendInt64(f.buf, p.High)
	f.buf = appendInt64(f.buf, p.Stable)
	if f.version >= 5 {
		f.buf = appendInt64(f.buf, p.Start)
	}
	f.buf = appendArray(f.buf, len(p.Aborted), f.flex)
	for _, a := range p.Aborted {
		f.buf = appendTags(appendInt64(appendInt64(f.buf, a.Producer), a.First), f.flex)
	}
	if f.version >= 11 {
		f.buf = appendInt32(f.buf, -1)
	}
	n := 0
	for i := range p.Batches {
		b := &p.Batches[i]
		if n += b.Len(); b.Place != nil {
			f.apart += b.Len()
		}
	}
	f.buf = appendArray(f.buf, n, f.flex) // lengths of bytes look like those of arrays
	if n > 0 {
		f.cuts = append(f.cuts, cut{len(f.buf), p.Batches})
		f.extra += n
	}
	if p.Leader == nil || !f.flex {
		f.buf = appendTags(f.buf, f.flex)
		return
	}
	const leaderTag, leaderBytes = 1, 9
	f.buf = append(f.buf, 1, leaderTag, leaderBytes)
	f.buf = appendInt32(f.buf, p.Leader.Node)
	f.buf = appendInt32(f.buf, p.Leader.Epoch)
	f.buf = append(f.buf, 0)
}

// EndTopic ends a topic.
func (f *FetchResponse) EndTopic() { f.buf = appendTags(f.buf, f.flex) }

// Pieces ends the response and appends its pieces, a whole frame, to dst.
func (f *FetchResponse) Pieces(dst []Piece) []Piece {
	f.buf = appendTags(f.buf, f.flex)
	EndFrame(f.buf, 0, f.extra)
	from := 0
	for _, c := range f.cuts {
		dst = append(dst, Piece{Bytes: f.buf[from:c.at:c.at]})
		dst = append(dst, c.batches...)
		from = c.at
	}
	return append(dst, Piece{Bytes: f.buf[from:]})
}

// Len is the length of the whole frame so far.
func (f *FetchResponse) Len() int { return len(f.buf) + f.extra }

// InMemory is how much of that is in memory.
func (f *FetchResponse) InMemory() int { return f.Len() - f.apart }
