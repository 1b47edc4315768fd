package stream

import (
	"encoding/binary"
	"errors"
	"fmt"

	"leat/broker/fact"
	"leat/broker/record"
	"leat/storage/state"
)

// Load reads the State that the rows of a store hold.
func Load(st state.Store) (*State, error) {
	s := NewState()
	if v, err := st.Get(countersKey); err == nil {
		b := fact.ReadBody(v)
		s.NextStream, s.NextProducer, s.NextOrigin = record.StreamID(b.Uvarint()), int64(b.Uvarint()), uint32(b.Uvarint())
		if err := b.Err(); err != nil {
			return nil, fmt.Errorf("load counters: %w", err)
		}
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	if v, err := st.Get(timeKey); err == nil {
		s.TimeMS, _ = binary.Varint(v)
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	for _, step := range []struct {
		prefix byte
		row    func(key, value []byte) error
	}{
		{state.PrefixStream, s.loadStream},
		{state.PrefixPartition, s.loadPartition},
		{state.PrefixProducer, s.loadProducer},
		{state.PrefixOrigin, s.loadOrigin},
		{state.PrefixTransactor, s.loadTransactor},
	} {
		if err := eachRow(st, step.prefix, step.row); err != nil {
			return nil, fmt.Errorf("load rows %q: %w", step.prefix, err)
		}
	}
	s.sortOpen()
	return s, nil
}

func eachRow(st state.Store, prefix byte, row func(key, value []byte) error) error {
	lo := []byte{prefix}
	it, err := st.Iter(lo, state.After(lo))
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		if err := row(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Err()
}

func (s *State) loadStream(key, value []byte) error {
	if len(key) != 5 {
		return fmt.Errorf("key of %d bytes", len(key))
	}
	b := fact.ReadBody(value)
	n := b.Uvarint()
	flags := b.Fixed(2)
	var since, building, target uint64
	if b.Rest() > 0 {
		since, building, target = b.Uvarint(), b.Uvarint(), b.Uvarint()
	}
	var terms uint64
	if flags[1]&streamTerms != 0 {
		terms = b.Uvarint()
	}
	if err := b.Err(); err != nil {
		return err
	}
	if n > PartitionsMax {
		return fmt.Errorf("%d partitions", n)
	}
	id := record.StreamID(binary.BigEndian.Uint32(key[1:]))
	s.evolveStream(id, int(n), KeyMode(flags[0]), 0, false)
	st := s.Streams[id]
	st.Keyed, st.Converted = flags[1]&streamKeyed != 0, flags[1]&streamConverted != 0
	st.TermsSince, st.TermsPartial = terms, flags[1]&streamTermsPartial != 0
	st.KeysSince, st.Building, st.Target, st.Partial = since, building, KeyMode(target), flags[1]&streamPartial != 0
	return nil
}

func (s *State) at(key []byte, length int) (*Partition, error) {
	if len(key) != length {
		return nil, fmt.Errorf("key of %d bytes", len(key))
	}
	p := s.Partition(record.StreamID(binary.BigEndian.Uint32(key[1:])), record.PartitionID(binary.BigEndian.Uint32(key[5:])))
	if p == nil {
		return nil, fmt.Errorf("row of a partition that does not exist: %x", key)
	}
	return p, nil
}

func (s *State) loadPartition(key, value []byte) error {
	p, err := s.at(key, 9)
	if err != nil {
		return err
	}
	b := fact.ReadBody(value)
	p.Start, p.Next, p.Bytes, p.MaxTimeMS = record.Offset(b.Uvarint()), record.Offset(b.Uvarint()), int64(b.Uvarint()), b.Varint()
	if b.Rest() > 0 {
		p.Gone = readPoint(b)
	}
	if b.Rest() > 0 {
		p.Marked, p.LastAborted = true, record.Offset(b.Uvarint())
	}
	return b.Err()
}

func (s *State) loadProducer(key, value []byte) error {
	p, err := s.at(key, 17)
	if err != nil {
		return err
	}
	b := fact.ReadBody(value)
	pr := &Producer{Epoch: int16(b.Varint()), LastMS: b.Varint(), Count: int(min(b.Uvarint(), ProducerBatchesKept))}
	for i := range pr.Count {
		pr.Recent[i] = Sent{int32(b.Uvarint()), int32(b.Uvarint()), record.Offset(b.Uvarint())}
	}
	if p.Producers == nil {
		p.Producers = map[int64]*Producer{}
	}
	p.Producers[int64(binary.BigEndian.Uint64(key[9:]))] = pr
	return b.Err()
}

func (s *State) loadOrigin(_, value []byte) error {
	n, o, err := readOrigin(value)
	if err != nil {
		return err
	}
	s.evolveOrigin(n, o)
	return nil
}

// LoadOrigin reads the origin with that number; false when there is none.
func LoadOrigin(st state.Store, n uint32) (Origin, bool, error) {
	v, err := st.Get(binary.BigEndian.AppendUint32([]byte{state.PrefixOrigin}, n))
	if errors.Is(err, state.ErrNotFound) {
		return Origin{}, false, nil
	}
	if err != nil {
		return Origin{}, false, err
	}
	_, o, err := readOrigin(v)
	return o, err == nil, err
}
