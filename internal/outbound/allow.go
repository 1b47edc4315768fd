package outbound

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// rule is one entry of Config.Allow:
//
//	10.1.0.0/16              every address of a range
//	10.1.2.3  fd00::5        one address; the only form that opens a cloud's metadata
//	10.1.2.3:8080  [::1]:80  one address at one port
//	hooks.internal           whatever the name leads to, metadata excepted
//	hooks.internal:8080      the same at one port
//	*.internal               every name below internal, and not internal itself
type rule struct {
	prefix netip.Prefix // of addresses, or
	host   string       // lower case, without its final dot
	below  bool         // host and all names below it, itself excepted
	port   uint16       // 0 is any
}

type rules []rule

func parseRules(entries []string) (rules, error) {
	rs := make(rules, 0, len(entries))
	for _, e := range entries {
		r, err := parseRule(e)
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func parseRule(e string) (rule, error) {
	if p, err := netip.ParsePrefix(e); err == nil {
		if p != p.Masked() {
			return rule{}, fmt.Errorf("allow: %s has bits set beyond its length; %s is the range", e, p.Masked())
		}
		if p.Addr().Is4In6() {
			return rule{}, fmt.Errorf("allow: %s is written as IPv6; write the IPv4 range", e)
		}
		return rule{prefix: p}, nil
	}
	if a, err := netip.ParseAddr(strings.Trim(e, "[]")); err == nil {
		return exact(a, 0), nil
	}
	if ap, err := netip.ParseAddrPort(e); err == nil && ap.Port() != 0 {
		return exact(ap.Addr(), ap.Port()), nil
	}
	var r rule
	name, port, hasPort := strings.Cut(e, ":")
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return rule{}, badRule(e)
		}
		r.port = uint16(n)
	}
	name, r.below = strings.CutPrefix(name, "*.")
	r.host = foldHost(name)
	if !hostName(r.host) {
		return rule{}, badRule(e)
	}
	return r, nil
}

func badRule(e string) error {
	return fmt.Errorf("allow: %q is no range (10.0.0.0/8), no address (10.0.0.1, 10.0.0.1:80) and no name (hooks.internal, *.internal)", e)
}

func exact(a netip.Addr, port uint16) rule {
	a = meant(a)
	return rule{prefix: netip.PrefixFrom(a, a.BitLen()), port: port}
}

// hostName is letters, digits, - _ and dots between them. What looks like an address is none: ParseAddr has refused it.
func hostName(s string) bool {
	if s == "" || len(s) > 253 || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func foldHost(h string) string { return strings.TrimSuffix(strings.ToLower(h), ".") }

// allow reports whether a rule opens the special address a, which is as meant gives it.
func (r rules) allow(host string, a netip.Addr, port uint16) bool {
	host = foldHost(host)
	for i := range r {
		e := &r[i]
		if e.port != 0 && e.port != port {
			continue
		}
		if e.host == "" {
			if e.prefix.Contains(a) && (!metadata[a] || e.prefix.IsSingleIP()) {
				return true
			}
			continue
		}
		if metadata[a] {
			continue
		}
		if e.below && strings.HasSuffix(host, "."+e.host) || !e.below && host == e.host {
			return true
		}
	}
	return false
}
