package gateway

import (
	"net"
	"syscall"
)

// nearAlgorithm is the congestion control of connections that stay within the machine. Every kernel has it and lets everybody choose it (tcp(7),
// tcp_allowed_congestion_control).
const nearAlgorithm = "reno"

// near spares a connection from this machine what is meant for networks. Where the system's default paces what it sends, as BBR does, every piece of a large
// answer waits for a timer, though nothing between two sockets of one machine can be congested.
func near(conn net.Conn) {
	peer, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !peer.IP.IsLoopback() {
		return
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// It is no fault when the kernel has no choice: the connection works as it is.
	_ = socket.Control(func(fd uintptr) {
		_ = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, nearAlgorithm)
	})
}
