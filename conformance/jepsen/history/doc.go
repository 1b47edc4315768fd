// Package history holds what clients did and saw while things broke around them, and judges it.
//
// # What
//
// Each process writes a file of lines (Line), each before or after what it is about: what a transaction will hold before anything of it is sent, that its end
// is about to be asked for, what was answered; and of readers, every record. When all is over somebody reads everything once more (Final). Check compares:
//
//	lost          committed, and not there; or acknowledged at an offset that holds something else
//	torn          a part of a transaction is visible, another is not
//	aborted       visible, and its end was never asked for, or it was aborted
//	duplicated    stored twice; for one that was consumed, an output twice
//	reordered     not in the order in which its producer sent it
//	zombie        of an older epoch behind a marker; committed by an instance after a newer one of the same name was there
//	poll          a reader was given an offset again, or a greater one before; or something that is not stored there
//	unseen        a reader passed over a record, or never came to it
//	offset        a group's offset moved over a record without its output, or an output is there and the offset has not moved
//	compacted     of a compacted topic, the newest record of a name is not of its last transaction; or a record is left of one that was not committed
//	foreign       bytes that nobody sent
//
// An operation whose answer was lost may have happened: the whole of it, or nothing. That is the only thing that is let pass.
//
// Keys with versions are registers: Linearizable asks porcupine whether a history of reads and conditional appends, some of them with unknown outcome, can
// have happened one after the other.
//
// # Imports
//
// porcupine and the standard library.
//
// # Where to start
//
// history.go is what is written; check.go judges, state.go what compaction has left, visible.go computes what is to be visible from what is stored; read.go is
// about readers and groups. register.go is by itself.
//
// # How tested
//
// check_test.go shows the checker a right history, and the same one spoiled in each way; register_test.go likewise.
package history
