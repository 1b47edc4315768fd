// Package journal is the contract of the log engine: frames appended in order by one owner, durable on return, never altered.
//
// # What
//
// Journal is the interface; the engines are in the folders below: disk is a ring of recycled files, memory is for tests, simulation and
// nodes that keep nothing. journaltest is the suite that all of them pass.
//
//	Trim ──▶ ┊ frame 1041 │ frame 1042 │ frame 1045 │  ◀── Append (Seq grows, need not be dense)
//	         ┊                                       ▲
//	       start                                   Tail: the last durable frame
//
// # Promises
//
// A frame is there whole or not at all. An append whose outcome is not known says so, and after opening again it is there or it never
// will be. What cannot be read back as it was written is an error with file and offset, never other bytes.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// journal.go, then disk/doc.go and docs/formats/journal.md.
//
// # How tested
//
// journaltest on every engine; crash clones and faults in disk.
package journal
