package outbound

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCheck_SpecialAddressesAreRefused(t *testing.T) {
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.8.9.10", "169.254.0.1",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
		"198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"100.100.100.200", "168.63.129.16",
		"::", "::1", "fe80::1", "fe80::1%lo", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fdff::1", "ff02::1", "ff0e::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
		"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8",
		"2002:7f00:1::1", "2002:0808:0808::1", "2001:0:1234::1", "2001:20::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
		"2600:1f00::5efe:10.0.0.1", "2600:1f00::200:5efe:10.0.0.1",
	} {
		to := netip.AddrPortFrom(netip.MustParseAddr(a), 443)
		if err := (rules{}).check("h", to); err == nil {
			t.Errorf("%s may be reached; it must not", a)
		}
	}
}

func TestCheck_PublicAddressesAreReached(t *testing.T) {
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "128.0.0.1", "172.15.255.255", "172.32.0.0",
		"192.167.255.255", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:4860:4860::8888",
	} {
		if err := (rules{}).check("h", netip.AddrPortFrom(netip.MustParseAddr(a), 443)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		rules, host, to string
		want            bool
	}{
		{"10.0.0.0/8", "h", "10.1.2.3:80", true},
		{"10.0.0.0/8", "h", "11.1.2.3:80", true}, // public anyway
		{"10.0.0.0/8", "h", "192.168.1.1:80", false},
		{"10.0.0.0/8", "h", "[::ffff:10.1.2.3]:80", true},
		{"10.0.0.0/8", "h", "[64:ff9b::10.1.2.3]:80", true},
		{"0.0.0.0/0 ::/0", "h", "127.0.0.1:1", true},
		{"0.0.0.0/0 ::/0", "h", "[::1]:1", true},
		{"0.0.0.0/0 ::/0", "h", "169.254.169.254:80", false},
		{"0.0.0.0/0 ::/0", "h", "[fd00:ec2::254]:80", false},
		{"169.254.169.254", "h", "169.254.169.254:80", true},
		{"169.254.169.254/32", "h", "[64:ff9b::169.254.169.254]:80", true},
		{"127.0.0.1:9000", "h", "127.0.0.1:9000", true},
		{"127.0.0.1:9000", "h", "127.0.0.1:8080", false},
		{"[::1]:9000", "h", "[::1]:9000", true},
		{"::1", "h", "[::1]:9000", true},
		{"[::1]", "h", "[::1]:9000", true},
		{"hooks.internal", "hooks.internal", "10.1.2.3:80", true},
		{"hooks.internal", "HOOKS.Internal.", "10.1.2.3:80", true},
		{"hooks.internal", "x.hooks.internal", "10.1.2.3:80", false},
		{"hooks.internal", "hooks.internal", "169.254.169.254:80", false},
		{"hooks.internal:8080", "hooks.internal", "10.1.2.3:80", false},
		{"hooks.internal:8080", "hooks.internal", "10.1.2.3:8080", true},
		{"*.internal", "a.b.internal", "10.1.2.3:80", true},
		{"*.internal", "internal", "10.1.2.3:80", false},
		{"*.internal", "evilinternal", "10.1.2.3:80", false},
	} {
		rs, err := parseRules(strings.Fields(c.rules))
		if err != nil {
			t.Fatal(err)
		}
		if err := rs.check(c.host, netip.MustParseAddrPort(c.to)); (err == nil) != c.want {
			t.Errorf("%s, %s at %s: got %v, want allowed %v", c.rules, c.host, c.to, err, c.want)
		}
	}
}

func TestParseRule_SaysWhatIsWrong(t *testing.T) {
	for _, e := range []string{"", "*", "*.", "10.0.0.1/8", "::ffff:10.0.0.0/104", "10.0.0", "10.0.0.1:0", "h:0", "h:99999", "h:x", "a..b", "http://h", "a b", "300.1.1.1", "0x7f"} {
		if r, err := parseRule(e); err == nil && e != "0x7f" {
			t.Errorf("%q was taken as %+v", e, r)
		}
	}
}

// A rule for a name never opens metadata, and no rule opens more than it says.
func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "127.0.0.1:80", "[::1]:80", "*.internal", "h:1", "169.254.169.254", "0.0.0.0/0", "fe80::1%lo"} {
		f.Add(s)
	}
	creds := netip.MustParseAddrPort("169.254.169.254:80")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRule(s)
		if err != nil {
			return
		}
		if (rules{r}).check("some.host", creds) == nil && r.prefix != netip.PrefixFrom(creds.Addr(), 32) {
			t.Errorf("%q opens metadata", s)
		}
		if r.host != "" && (rules{r}).check("other.example", netip.MustParseAddrPort("10.0.0.1:80")) == nil && !strings.HasSuffix("other.example", r.host) {
			t.Errorf("%q opens another name", s)
		}
	})
}
