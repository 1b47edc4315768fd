package state

import (
	"bytes"
	"errors"
)

// Every key starts with one of these bytes. docs/formats/state.md draws them; the code that makes rows of facts lives in the broker.
const (
	PrefixStore      byte = 0x00
	PrefixArrivals   byte = 'a'
	PrefixSub        byte = 'b'
	PrefixCatalog    byte = 'c'
	PrefixDedup      byte = 'd'
	PrefixRoute      byte = 'e'
	PrefixSource     byte = 'f'
	PrefixProducer   byte = 'i'
	PrefixChunk      byte = 'k'
	PrefixMeta       byte = 'm'
	PrefixOrigin     byte = 'o'
	PrefixPartition  byte = 'p'
	PrefixRun        byte = 'r'
	PrefixStream     byte = 's'
	PrefixTransactor byte = 't'
	PrefixCarried    byte = 'u'
	PrefixVersion    byte = 'v'
	PrefixReached    byte = 'x'
	PrefixAborted    byte = 'y'
)

// Entry describes one prefix. Key and Value list the parts in order: uN is a big-endian unsigned number of N bits, varint is an
// unsigned LEB128, escaped is AppendEscaped, rest is what is left.
type Entry struct {
	Prefix byte
	Name   string
	Key    string
	Value  string
	About  string
}

// Keyspace is the table of all prefixes, in the order of their bytes.
var Keyspace = []Entry{
	{PrefixStore, "store", `"mark"`, "seq u64, place u64", "the store's own: the mark of the last apply"},
	{PrefixArrivals, "arrivals", "stream u32, partition u32, route u32", "end, count, bytes varint", "how many records of a partition took a route, up to an end; route 0: all of them"},
	{PrefixSub, "subscription", "subscription u32", "class varint, policy", "a subscription by number"},
	{PrefixCatalog, "catalog", "kind escaped, namespace escaped, name escaped", "id, revision varint; kind, namespace, name, document, each with its length", "named things and the documents gateways own"},
	{PrefixDedup, "dedup", "minute u64, hash 16 bytes", "stream, partition, offset, seq, batch, record varint, time varint", "(source, id) first seen in that minute; whole minutes are deleted as ranges"},
	{PrefixRoute, "route", "route u32", "route, count varint, then the classes as differences", "a set of what subscriptions look for, by number"},
	{PrefixSource, "source", "subscription u32, stream u32, partition u32", "start, since, floor, counts varint", "how far a subscription is with a partition"},
	{PrefixProducer, "producer", "stream u32, partition u32, producer u64", "epoch, time, count varint, then first, last sequence and base offset of each", "idempotent producers of a partition"},
	{PrefixChunk, "chunk", "subscription u32, stream u32, partition u32, chunk u64", "two bitmaps of 1,024 offsets: done, handed", "what is exceptional above a floor"},
	{PrefixMeta, "meta", "name rest", "by name", "single facts about the shard: next ids, time of the last frame"},
	{PrefixOrigin, "origin", "origin u32", "number varint, principal, listener, protocol, client", "who appends, by small number"},
	{PrefixPartition, "partition", "stream u32, partition u32", "start, next, bytes varint, max time varint", "ends of a partition"},
	{PrefixRun, "run", "stream u32, partition u32, base offset u64", "records, place, seq, batch, offset, bytes varint, append time, max time varint, origin varint", "batches of a partition that lie together in one frame"},
	{PrefixStream, "stream", "stream u32", "partitions varint, key mode u8, flags u8", "a stream by number"},
	{PrefixTransactor, "transactor", "namespace escaped, name escaped", "producer, epoch, what it was, timeout, phase, times, partitions, positions", "producers that make transactions, with the one that is open"},
	{PrefixCarried, "carried", "subscription u32, stream u32, partition u32, offset u64", "attempts, due, and what is needed to hand the record over", "records that are remembered one by one: delayed, retried, kept elsewhere"},
	{PrefixVersion, "key version", "stream u32, key escaped", "version varint", "how many records a key had when its stream began to number keys"},
	{PrefixReached, "reached", "stream u32, partition u32, block u64, kind u8, then offset u64 or route u32", "0: what a frame has of a block; 1: a page of a block, by route", "which records of a block of 16,384 offsets took which routes"},
	{PrefixAborted, "aborted", "stream u32, partition u32, offset u64 of the marker", "producer, records before the marker, offsets to what was stable varint", "transactions of which nobody is to see the records"},
}

// Escaped parts. A part of any bytes must sort as it does alone, whatever follows it in the key, and must not run into what
// follows. So its zero bytes are marked and its end is written as less than any byte that could go on:
//
//	byte 0x00  ->  0x00 0xFF
//	end        ->  0x00 0x01
//
//	"ab"       ->  61 62 00 01
//	"ab\x00"   ->  61 62 00 FF 00 01
//	"abc"      ->  61 62 63 00 01
//
// Order is kept: where one part is a prefix of the other, 00 01 meets 00 FF or a byte above zero, and is less than either.

// ErrEscape is what AppendDecoded returns for bytes that AppendEscaped cannot have written.
var ErrEscape = errors.New("state: key part is not escaped as it should be")

// AppendEscaped appends part to dst in the form that keeps its order inside a longer key, and returns the result.
func AppendEscaped(dst, part []byte) []byte {
	for {
		i := bytes.IndexByte(part, 0)
		if i < 0 {
			return append(append(dst, part...), 0x00, 0x01)
		}
		dst = append(append(dst, part[:i]...), 0x00, 0xFF)
		part = part[i+1:]
	}
}

// AppendDecoded appends the part that src starts with to dst, unescaped, and returns it and what follows in src.
func AppendDecoded(dst, src []byte) (part, rest []byte, err error) {
	for {
		i := bytes.IndexByte(src, 0)
		if i < 0 || i+1 == len(src) {
			return dst, src, ErrEscape
		}
		dst = append(dst, src[:i]...)
		mark := src[i+1]
		src = src[i+2:]
		switch mark {
		case 0x01:
			return dst, src, nil
		case 0xFF:
			dst = append(dst, 0)
		default:
			return dst, src, ErrEscape
		}
	}
}

// After returns the first key that is greater than every key with that prefix, or nil when there is none: the hi that makes
// Iter(prefix, After(prefix)) walk exactly the keys with that prefix.
func After(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			hi := bytes.Clone(prefix[:i+1])
			hi[i]++
			return hi
		}
	}
	return nil
}
