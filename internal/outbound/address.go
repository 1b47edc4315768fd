package outbound

import (
	"fmt"
	"net/netip"
)

// BlockedError says that an endpoint's name led to an address that may not be reached.
type BlockedError struct {
	Host string         // as the URL has it
	Addr netip.AddrPort // what it led to
	Why  string         // which kind of address that is
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("%s leads to %s, %s: add it to outbound.allow if it should be reached", e.Host, e.Addr, e.Why)
}

// special is every range that is not a place on the public Internet: the IANA special-purpose registries, and what has been abused. IPv6
// is the other way round: only 2000::/3 is public, less what stands here.
var special = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a carrier's shared address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address of a protocol"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},

	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("2001::/32"), "a Teredo address, which holds another one"},
	{netip.MustParsePrefix("2001::/23"), "an address of a protocol"},
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("2002::/16"), "a 6to4 address, which holds another one"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
}

var (
	publicV6 = netip.MustParsePrefix("2000::/3")
	// nat64 addresses stand for the IPv4 address in their last four bytes; networks without IPv4 reach all of it that way.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// metadata are addresses at which a cloud hands credentials to whoever asks from inside. They are opened by a rule for exactly that
// address only: 0.0.0.0/0 or 169.254.0.0/16 in a configuration does not mean them.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"): true, // AWS, Azure, Google, Oracle, DigitalOcean and others
	netip.MustParseAddr("169.254.170.2"):   true, // AWS containers
	netip.MustParseAddr("169.254.170.23"):  true, // AWS pods
	netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
	netip.MustParseAddr("fd00:ec2::23"):    true, // AWS pods
	netip.MustParseAddr("fd20:ce::254"):    true, // Google
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba
	netip.MustParseAddr("168.63.129.16"):   true, // Azure's host; it looks public
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle
}

// meant is the address that packets to a end up at: zones and IPv4 inside IPv6 are taken off.
func meant(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// kind says what is special about an address, and nothing for a public one. a is as meant gives it.
func kind(a netip.Addr) string {
	if metadata[a] {
		return "a cloud's metadata address"
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return s.why
		}
	}
	if a.Is6() {
		if !publicV6.Contains(a) {
			return "a reserved address"
		}
		// ISATAP: the interface id 0000:5efe or 0200:5efe is followed by an IPv4 address.
		if b := a.As16(); b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
			return "an ISATAP address, which holds another one"
		}
	}
	return ""
}

// check is asked with the address that is about to be connected to.
func (r rules) check(host string, to netip.AddrPort) error {
	a := meant(to.Addr())
	why := kind(a)
	if why == "" || r.allow(host, a, to.Port()) {
		return nil
	}
	return &BlockedError{Host: host, Addr: to, Why: why}
}
