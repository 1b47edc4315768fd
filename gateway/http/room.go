package http

import (
	"strconv"
	"sync"
	"unsafe"

	"leat/broker"
	"leat/broker/record"
)

// room is the memory that the events of a request are read into: what is allocated once for many requests and not for each event. A
// call takes one when it needs it and gives it back when it has been answered; the broker keeps nothing of what it is handed
// (broker.EventsAppend says so).
type room struct {
	events     []broker.EventEntry
	ids        []string
	conditions []broker.Condition
	headers    []record.Header // of all events, one behind the other
	text       []byte          // ids that were made for them, likewise
}

// roomKeepEvents is how many events' worth of memory is kept for the next request.
const roomKeepEvents = 1024

var rooms = sync.Pool{New: func() any { return new(room) }}

// takeRoom gives the call its room.
func (x *call) takeRoom() *room {
	if x.room == nil {
		x.room = rooms.Get().(*room)
	}
	return x.room
}

// freeRoom gives it back, empty: nothing of a request is to be found in the next one, or kept alive by it.
func (x *call) freeRoom() {
	r := x.room
	if x.room = nil; r == nil || cap(r.events) > roomKeepEvents || cap(r.conditions) > roomKeepEvents || cap(r.headers) > 16*roomKeepEvents {
		return
	}
	clear(r.events)
	clear(r.ids)
	clear(r.conditions)
	clear(r.headers)
	r.events, r.ids, r.conditions, r.headers, r.text = r.events[:0], r.ids[:0], r.conditions[:0], r.headers[:0], r.text[:0]
	rooms.Put(r)
}

// roomHeaders is how many headers are made room for at a time.
const roomHeaders = 64

// headerRoom is an empty slice with room for n headers. keep says how many of them are used.
func (r *room) headerRoom(n int) []record.Header {
	if cap(r.headers)-len(r.headers) < n { // those before stay where they are
		r.headers = make([]record.Header, 0, max(n, roomHeaders, 2*cap(r.headers)))
	}
	at := len(r.headers)
	return r.headers[at : at : at+n]
}

func (r *room) keepHeaders(n int) { r.headers = r.headers[:len(r.headers)+n] }

// newID is an id for an event that came without one. It is as long-lived as the room.
func (r *room) newID(g *Gateway) string {
	at := len(r.text)
	r.text = append(append(r.text, g.prefix...), '-')
	r.text = strconv.AppendUint(r.text, g.made.Add(1), 36)
	return unsafe.String(&r.text[at], len(r.text)-at)
}
