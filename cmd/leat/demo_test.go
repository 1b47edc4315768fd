package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the processes of a demo: called as a node it serves the fake API, called as a role of the shop it says
// what a role says.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(standInNode(os.Args[2:]))
	}
	if len(os.Args) > 1 && slices.Contains(demoRoles, os.Args[1]) {
		os.Exit(standInRole(os.Args[1]))
	}
	os.Exit(m.Run())
}

func untilTold() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
}

func standInNode(args []string) int {
	var address string
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.String("data", "", "")
	fs.Func("listen", "", func(s string) error {
		if a, ok := strings.CutPrefix(s, "http="); ok {
			address = a
		}
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return 2
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f := &fake{streams: map[string]*fakeStream{}, users: map[string]map[string]any{}, changed: make(chan struct{}), gone: make(chan struct{})}
	m := http.NewServeMux()
	m.Handle("/", f.mux())
	m.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ready") })
	s := &http.Server{Handler: m}
	go func() { _ = s.Serve(l) }()
	untilTold()
	return 0
}

func standInRole(role string) int {
	fmt.Printf("{\"ready\":true,\"count\":0}\n{\"ready\":true,\"count\":%d,\"note\":\"(%s)\"}\n", len(role), role)
	if role == os.Getenv("LEAT_TEST_DIES") {
		time.Sleep(200 * time.Millisecond)
		fmt.Fprintln(os.Stderr, "the horse has bolted")
		return 1
	}
	untilTold()
	return 0
}

func TestDemo_RunsUntilItsTimeAndStopsEverything(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:8080") // so that a port has to be replaced; when it is busy already, all the better
	if err == nil {
		defer busy.Close()
	}
	var out, errs safeBuffer
	a := &app{out: &out, err: &errs, terminal: true, env: os.Getenv}
	if err := a.demo(t.Context(), demoOptions{node: self, shop: self, data: t.TempDir(), rate: 5, duration: 2 * time.Second}); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	for _, want := range []string{"/v1/streams/orders/events", "bin/leat read", "Ctrl-C", "orders 6 (orders) · payments 8 (payments) · shipments 9 (shipments) · stock 5 (stock)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
	if !strings.Contains(errs.String(), "127.0.0.1:8080 is busy") {
		t.Errorf("the busy port is not told: %s", errs.String())
	}
}

func TestDemo_SaysWhoDiedAndWhy(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LEAT_TEST_DIES", "payments")
	var out, errs safeBuffer
	a := &app{out: &out, err: &errs, env: os.Getenv}
	err = a.demo(t.Context(), demoOptions{node: self, shop: self, rate: 5, duration: 20 * time.Second})
	code := a.exit(t.Context(), err)
	if code != exitFailed || !strings.Contains(errs.String(), "payments ended") || !strings.Contains(errs.String(), "the horse has bolted") {
		t.Errorf("code %d, %s", code, errs.String())
	}
}

func TestDemo_WithoutTheShop(t *testing.T) {
	var errs safeBuffer
	a := &app{out: &errs, err: &errs, env: os.Getenv}
	a.exit(t.Context(), a.demo(t.Context(), demoOptions{node: "leat", shop: "no/such/shop", rate: 1}))
	if !strings.Contains(errs.String(), "next: make demo builds it") {
		t.Error(errs.String())
	}
}
