package outbound

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var silent = log.New(io.Discard, "", 0)

func tlsOld() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} //nolint:gosec // what is refused
}

// names is a DNS server behind a pipe: it answers every question for an A record with what say returns, and has no AAAA.
func names(say func(asked int32) []string) *net.Resolver {
	var asked atomic.Int32
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				// Over a stream, each message has its length before it.
				var n [2]byte
				if _, err := io.ReadFull(server, n[:]); err != nil {
					return
				}
				q := make([]byte, binary.BigEndian.Uint16(n[:]))
				if _, err := io.ReadFull(server, q); err != nil {
					return
				}
				end := 12 // of the question: labels, a zero, type, class
				for q[end] != 0 {
					end += int(q[end]) + 1
				}
				end += 5
				a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
				if binary.BigEndian.Uint16(q[end-4:]) == 1 {
					for _, ip := range say(asked.Add(1)) {
						a[7]++
						a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
						b := netip.MustParseAddr(ip).As4()
						a = append(a, b[:]...)
					}
				}
				if _, err := server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

func TestDial_NameThatChangesItsMind(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // so that each delivery connects anew
	})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	// 127.0.0.2 plays the public address; everything else of this machine is private.
	c := local(t, func(c *Config) {
		c.Allow = []string{"127.0.0.2"}
		c.Resolver = names(func(asked int32) []string {
			if asked == 1 {
				return []string{"127.0.0.2"}
			}
			return []string{"127.0.0.1"}
		})
	})
	if !reachable("127.0.0.2:" + port) {
		// The server listens on 127.0.0.1 alone: put another one where the first look-up leads.
		l, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err != nil {
			t.Skip("this machine has no 127.0.0.2")
		}
		defer l.Close()
		go http.Serve(l, s.Config.Handler)
	}
	e := endpoint(t, c, "http://rebind.example:"+port+"/", nil)
	r := send(t, e, "x").expect(t, Delivered, 200)
	if r.Remote.Addr() != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("it went to %v", r.Remote)
	}
	r = send(t, e, "x").expect(t, Blocked, 0)
	if r.Reached || !strings.Contains(r.Err.Error(), "rebind.example leads to 127.0.0.1:"+port+", a loopback address") {
		t.Errorf("%v", r.Err)
	}
	if f := c.Figures(); f.Blocked != 1 {
		t.Errorf("%+v", f)
	}
}

func reachable(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestDial_OfSeveralAddressesOnlyPublicOnesAreTried(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	c := local(t, func(c *Config) {
		c.Allow = []string{"127.0.0.1"}
		c.Resolver = names(func(int32) []string { return []string{"10.0.0.1", "169.254.169.254", "127.0.0.1"} })
	})
	r := send(t, endpoint(t, c, "http://several.example:"+port, nil), "x").expect(t, Delivered, 200)
	if r.Remote.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("it went to %v", r.Remote)
	}
}

func TestDial_NameThatIsNotThere(t *testing.T) {
	c := local(t, func(c *Config) { c.Resolver = names(func(int32) []string { return nil }) })
	r := send(t, endpoint(t, c, "http://nobody.example", nil), "x").expect(t, Retry, 0)
	if r.Phase != PhaseResolve || r.Reached {
		t.Errorf("%v: %v", r.Phase, r.Err)
	}
}

func TestDial_ConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	stall := raw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := local(t, func(c *Config) { c.ConnsMax, c.ConnectTimeout = 2, 2*time.Second })

	// An idle connection makes room for one that is needed.
	for range 4 {
		send(t, endpoint(t, c, s.URL, nil), "x").expect(t, Delivered, 200)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan Result, 2)
	for range 2 {
		e := endpoint(t, c, stall, nil)
		go func() { done <- e.Try(ctx, &Request{}) }()
	}
	until(t, "both are in use", func() bool { return c.Figures().Conns == 2 && c.Figures().Dials >= 6 })
	// Both are in use now: the third is told so, and no endpoint is blamed.
	e := endpoint(t, c, s.URL, nil)
	send(t, e, "x").expect(t, Unsent, 0)
	if f := e.Figures(); f.Failures != 0 || c.Figures().NoRoom != 1 || c.Figures().Conns > 2 {
		t.Errorf("%+v %+v", f, c.Figures())
	}
	cancel()
	<-done
	<-done
	until(t, "none is in use", func() bool { return c.Figures().Conns == 0 })
	send(t, e, "x").expect(t, Delivered, 200)
}
