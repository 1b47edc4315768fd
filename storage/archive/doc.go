// Package archive keeps a second copy of a shard somewhere else, a second or so behind, and brings it back to any moment since.
//
// # What
//
//	journal ──▶ Shipper ──▶ packs: all frames, in order          ┐
//	                                                             ├─ Bucket ──▶ Plan ──▶ Fetch (files), WriteJournal (frames)
//	program ──▶ Checkpoints ──▶ checkpoints: files, and a Seq    ┘
//
// Bucket is the place; the folders dir and s3 are the two kinds, archivetest is the suite both pass. A restore is the newest checkpoint at or
// before the wanted moment, and the frames after it. Frames and files are bytes here: what they mean is the caller's.
//
// # Promises
//
// Archived is only ever said of what the bucket has acknowledged, without a hole before it. A frame lies in one pack, whole, as the journal
// had it. The bucket's failures never stop the journal; State shows them. What is restored was verified against CRCs and the chain of
// hashes, and anything missing or damaged is an error with its name, never a shorter history. An archive takes frames of one lineage only.
//
// # Imports
//
// journal, vfs, internal/clock; zstd.
//
// # Where to start
//
// docs/formats/archive.md and pack.go for the bytes; ship.go, then plan.go.
//
// # How tested
//
// A shipper that is stopped at every call of a faulty bucket, restores of every prefix compared with the journal, damage at every byte of a
// pack, fuzz targets for what is decoded, a benchmark of exposure.
package archive
