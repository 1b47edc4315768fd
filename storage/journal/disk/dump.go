package disk

import (
	"leat/storage/journal"
	"leat/storage/vfs"
)

// Frame is what Dump says about a frame.
type Frame struct {
	File       string
	Offset     int64
	Kind       string // data, seal, open
	Seq        journal.Seq
	Epoch      journal.Epoch
	Place      journal.Place
	SyncedSeq  journal.Seq // the last Seq known synced when this frame was written
	FactsBytes int64
	DataBytes  int64
	FactsCRC   uint32
	DataCRC    uint32
	PrevHash   uint64
	Hash       uint64
	Facts      []byte // as they were appended; valid until the call returns
}

func frameOf(f *file, off int64, h *frameHeader, hash uint64) Frame {
	return Frame{
		File: f.name, Offset: off, Kind: h.kind.String(), Seq: h.seq, Epoch: h.epoch, Place: h.place, SyncedSeq: h.prev.seq,
		FactsBytes: h.factsBytes, DataBytes: h.dataBytes, FactsCRC: h.factsCRC, DataCRC: h.dataCRC, PrevHash: h.prev.hash, Hash: hash,
	}
}

// Dump calls fn for every whole frame of the journal in dir, seals and opens included, in order. The journal must not be open. What is not
// whole is in the report, as with Check. It stops at the first error of fn.
func Dump(fsys vfs.FS, dir string, fn func(Frame) error) (*Report, error) {
	r := &Report{}
	err := walk(fsys, dir, r, nil, fn)
	return r, err
}
