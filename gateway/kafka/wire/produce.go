package wire

// Versions of Produce that Decode understands. 0 to 2 are decoded so that they can be refused by name: their record format is gone.
const (
	ProduceVersionMin      int16 = 0
	ProduceVersionServed   int16 = 3
	ProduceVersionMax      int16 = 13
	produceVersionFlexible int16 = 9
	ProduceVersionImplicit int16 = 12 // partitions need not be added to a transaction before
	produceVersionID       int16 = 13 // topics are named by their id
)

// Produce is a decoded request. One value is reused for all requests of a connection; its names and records are slices of the frame.
//
//	transactional id nullable string (3+) | acks int16 | timeout int32 | [topic]
//	topic:     name string, id uuid instead (13+) | [partition] | tags
//	partition: index int32 | records nullable bytes | tags
type Produce struct {
	Version    int16
	Transactor []byte // the transactional id; nil when null
	Acks       int16
	TimeoutMS  int32
	Topics     []Topic
	Parts      []ProducePart // of all topics, one after the other
}

// Topic is a name, or an id, and the run of partitions, Parts[First:First+Count], that belong to it.
type Topic struct {
	Name         []byte   // nil where the version names topics by id
	ID           [16]byte // zero where it names them by name
	First, Count int
}

// topicMin is the least that a topic takes up: its name's length or its id, and that of its partitions.
func topicMin(byID bool) int {
	if byID {
		return 17
	}
	return 3
}

// topic reads what a topic is named by.
func (r *Reader) topic(byID bool, first int) Topic {
	if byID {
		return Topic{ID: r.UUID(), First: first}
	}
	return Topic{Name: r.String(), First: first}
}

// appendTopic writes what a topic is named by.
func appendTopic(dst []byte, t *Topic, byID, flexible bool) []byte {
	if byID {
		return append(dst, t.ID[:]...)
	}
	return appendString(dst, t.Name, flexible)
}

// ProducePart is what is to be appended to one partition.
type ProducePart struct {
	Partition int32
	Records   []byte // nil when null
}

// Flexible reports whether the request, hence its response, is in the flexible encoding.
func (p *Produce) Flexible() bool { return p.Version >= produceVersionFlexible }

// Decode reads the body of a request, replacing what was in p.
func (p *Produce) Decode(version int16, body []byte) error {
	*p = Produce{Version: version, Topics: p.Topics[:0], Parts: p.Parts[:0]}
	r := NewReader(body, p.Flexible())
	if version >= 3 {
		p.Transactor = r.String()
	}
	p.Acks = r.Int16()
	p.TimeoutMS = r.Int32()
	byID := version >= produceVersionID
	for n := r.Array(topicMin(byID)); n > 0 && !r.bad; n-- {
		t := r.topic(byID, len(p.Parts))
		for n := r.Array(6); n > 0 && !r.bad; n-- {
			p.Parts = append(p.Parts, ProducePart{r.Int32(), r.Bytes()})
			r.Tags()
		}
		r.Tags()
		t.Count = len(p.Parts) - t.First
		p.Topics = append(p.Topics, t)
	}
	r.Tags()
	return r.End()
}

// ProduceResult is the answer for one partition. Offsets and times that are not known are -1.
type ProduceResult struct {
	Partition  int32
	Code       int16
	Base       int64
	AppendTime int64
	Start      int64
	Message    string        // of a refusal
	Errors     []RecordError // what is wrong with single records
}

// RecordError is what is wrong with one record of a batch.
type RecordError struct {
	Index   int32 // in the batch
	Message string
}

// AppendProduceResponse appends the body of a response: results are in the order of Parts.
//
//	[topic]: name, id instead (13+) | [partition] | tags;  throttle int32 (1+) | tags
//	partition: index int32 | error int16 | base int64 | append time int64 (2+) | log start int64 (5+) | [record error] (8+) | message (8+) | tags
//	record error: index int32 | message nullable string | tags
func AppendProduceResponse(dst []byte, version int16, topics []Topic, results []ProduceResult, throttleMS int32) []byte {
	flex := version >= produceVersionFlexible
	dst = appendArray(dst, len(topics), flex)
	for n := range topics {
		t := &topics[n]
		dst = appendTopic(dst, t, version >= produceVersionID, flex)
		dst = appendArray(dst, t.Count, flex)
		for i := range results[t.First : t.First+t.Count] {
			r := &results[t.First+i]
			dst = appendInt32(dst, r.Partition)
			dst = appendInt16(dst, r.Code)
			dst = appendInt64(dst, r.Base)
			if version >= 2 {
				dst = appendInt64(dst, r.AppendTime)
			}
			if version >= 5 {
				dst = appendInt64(dst, r.Start)
			}
			if version >= 8 {
				dst = appendArray(dst, len(r.Errors), flex)
				for i := range r.Errors {
					dst = appendInt32(dst, r.Errors[i].Index)
					dst = appendText(dst, r.Errors[i].Message, flex)
					dst = appendTags(dst, flex)
				}
				dst = appendText(dst, r.Message, flex)
			}
			dst = appendTags(dst, flex)
		}
		dst = appendTags(dst, flex)
	}
	if version >= 1 {
		dst = appendInt32(dst, throttleMS)
	}
	return appendTags(dst, flex)
}
