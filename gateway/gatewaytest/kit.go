package gatewaytest

import (
	"errors"
	"net"
	"testing"
	"time"

	"leat/gateway"
)

// Kit is what a gateway brings to the suite. New, Hello and Exchange are required.
type Kit struct {
	// New makes the gateway on a fresh broker, with one user who may do everything if users is true. Whatever it starts
	// it stops with t.Cleanup.
	New func(t *testing.T, users bool) gateway.Gateway

	// Hello is one well-formed request (or greeting) that is answered without a login.
	Hello []byte
	// Exchange acts as a client on a new connection: it sends a request and reads the whole answer. It must work without a login.
	// The suite sets a deadline on c.
	Exchange func(c net.Conn) error

	// Login does something that needs a login, on a gateway with users: with good, as the user; else without a login or with
	// a wrong one. It returns nil when it was allowed, an error that is ErrRefused when it was refused as the protocol
	// says. nil where the protocol has no login: the gateway must then be declared so with NoLogin.
	Login   func(c net.Conn, good bool) error
	NoLogin bool

	// Long sends a request that is answered after a while that is shorter than DrainTimeout, calls sent, and reads the answer. Where
	// it is nil the suite cannot see whether a drain waits.
	Long func(c net.Conn, sent func()) error

	// Garbage is tried in addition to the suite's own.
	Garbage [][]byte
	// Oversize claims lengths that are over a limit, or counts that would need much memory, and sends little.
	Oversize [][]byte
	// Abilities are what clients may look for.
	Abilities []Ability

	// IdleConns is how many idle connections are opened, default 500; IdleBytesMax is what one may cost in memory on both
	// sides of the test, default 64 KiB.
	IdleConns    int
	IdleBytesMax int
	// MemoryMax is by how much one oversize sample may let the heap grow, default 16 MiB.
	MemoryMax int64
}

// Ability is something that a client of the protocol may ask for.
type Ability struct {
	Name    string
	Offered bool
	// Try asks for it on a new connection: nil when it was granted, an error that is ErrRefused when it was refused as the
	// protocol says, any other error when something else happened.
	Try func(c net.Conn) error
}

// ErrRefused is what clients of a Kit return when the gateway said no in its own words.
var ErrRefused = errors.New("gatewaytest: refused")

// patience is how long the suite waits for what should happen at once.
const patience = 10 * time.Second

// limits are short, so that time-outs are seen within a test.
func limits() gateway.Config {
	c := gateway.Default()
	c.HandshakeTimeout = 500 * time.Millisecond
	c.ReadTimeout = 300 * time.Millisecond
	c.WriteTimeout = 300 * time.Millisecond
	c.DrainTimeout = 3 * time.Second
	return c
}
