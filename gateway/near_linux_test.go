package gateway

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A connection from this machine is not paced, whatever the system does with others.
func TestNear_ChoosesTheAlgorithm(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := Wrap(l, Options{Name: "test", Protocol: "test", Limits: Default()})
	defer func() { _ = in.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	got, err := in.accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Close() }()
	socket, err := got.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var name string
	if cerr := socket.Control(func(fd uintptr) {
		name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if name != nearAlgorithm {
		t.Errorf("the connection is controlled by %q", name)
	}
}
