// Package port finds addresses for servers that are told where to listen.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Below what systems give to connections that go out (from 32768 on, or 49152): a free one of those may be taken by a client before the server listens, and
// while a server that was killed is started again.
const (
	first = 20_000
	count = 10_000
)

// Free is an address on loopback where nobody listens now.
func Free() (string, error) {
	for _, n := range rand.Perm(count) {
		addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(first+n))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port from 20000 to 29999")
}
