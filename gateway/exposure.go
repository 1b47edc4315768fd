package gateway

import (
	"fmt"
	"net"
	"net/netip"
)

// CheckExposure refuses an address that others than this machine can reach while nobody has to say who they are. Names other than
// localhost count as reachable: what they resolve to may change.
func CheckExposure(listener, addr string, usersExist, insecure bool) error {
	if usersExist || insecure || Loopback(addr) {
		return nil
	}
	return fmt.Errorf("listener %s: %s can be reached by other machines and no users exist, so anyone could read and write everything; "+
		"add a user (leat user add NAME), listen on 127.0.0.1 only, or start with --insecure if the network is all the protection you want", listener, addr)
}

// Loopback reports whether host:port can be reached from this machine only.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
