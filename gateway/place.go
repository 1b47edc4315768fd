package gateway

import (
	"syscall"

	"leat/internal/clock"
)

// Place is where bytes lie that can go to a socket without coming through the program.
type Place interface {
	Len() int
	// SendTo sends n bytes, from one of them on: all, or with an error that says why not, within the write deadline.
	SendTo(socket syscall.RawConn, from, n int) (sent int, err error)
}

// WritesPlaces reports whether WritePlace works: with TLS, bytes have to be read to be sent.
func (c *Conn) WritesPlaces() bool {
	if _, ok := c.Conn.(*link); !ok {
		return false
	}
	_, ok := c.link.Conn.(syscall.Conn)
	return ok
}

// WritePlace is Write of what lies at p. Each PieceBytes may take WriteTimeout.
func (c *Conn) WritePlace(p Place) error {
	socket, err := c.link.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	for from, end := 0, p.Len(); from < end; {
		if err := c.SetWriteDeadline(clock.Now().Add(c.link.l.opts.Limits.WriteTimeout)); err != nil {
			return err
		}
		n, err := p.SendTo(socket, from, min(PieceBytes, end-from))
		c.link.wrote(int64(n), err)
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}
