package amqp091

import (
	"net"

	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// What is written goes through one buffer. Whoever finds nobody writing writes what there is, his own and what others have added; who finds
// somebody writing only adds:
//
//	reader    add, write ────────────┐   go on reading
//	consumer     add                 ├→  a goroutine writes the rest, in one write, and again as long as more has come
//	confirms        add              ┘
//
// So the slower the socket, the larger the writes, and nobody holds mu while he writes. Whoever adds while outputBytesMax wait, waits too.
// All of it is guarded by mu.

// outputBytesMax is how much may wait to be written before those wait who add to it.
const outputBytesMax = 512 << 10

// flush has what was added written. mu is held, and is let go of meanwhile.
func (k *conn) flush() error {
	if k.writing {
		for k.writing && k.w.Len() > outputBytesMax && k.broke == nil {
			k.room.Wait()
		}
		return k.broke
	}
	if k.w.Len() == 0 || k.broke != nil {
		return k.broke
	}
	k.writing = true
	k.writeOnce()
	if k.w.Len() > 0 && k.broke == nil {
		go k.writeRest()
		return nil
	}
	k.writing = false
	k.room.Broadcast()
	return k.broke
}

// writeOnce writes what there is. mu is held, and let go of while it writes; writing keeps others from doing the same.
func (k *conn) writeOnce() {
	k.w, k.spare = k.spare, k.w
	k.mu.Unlock()
	err := k.put(&k.spare)
	k.sent.Store(clock.Now().UnixNano())
	k.mu.Lock()
	k.spare.Reset()
	if err != nil && k.broke == nil {
		k.broke = err
		_ = k.c.Close() // the reader finds out
	}
	k.room.Broadcast()
}

func (k *conn) writeRest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.w.Len() > 0 && k.broke == nil {
		k.writeOnce()
	}
	k.writing = false
	k.room.Broadcast()
}

// put writes all of w.
func (k *conn) put(w *wire.Writer) error {
	k.bytesWritten.Add(int64(w.Len()))
	k.writes.Add(1)
	k.pieces = w.Pieces(k.pieces[:0])
	if len(k.pieces) == 1 {
		_, err := k.c.Write(k.pieces[0])
		return err
	}
	if k.c.TLSState() != nil { // each piece would be a record of its own
		k.joined = w.AppendTo(k.joined[:0])
		_, err := k.c.Write(k.joined)
		return err
	}
	bufs := net.Buffers(k.pieces)
	_, err := k.c.WriteBuffers(bufs)
	clear(k.pieces)
	return err
}

// written waits until nothing is being written any more.
func (k *conn) written() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.writing {
		k.room.Wait()
	}
}

// rest lets go of memory when nothing has been written for a while.
func (k *conn) rest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.writing && k.w.Len() == 0 {
		k.w.Free()
		k.spare.Free()
		k.joined = nil
	}
}
