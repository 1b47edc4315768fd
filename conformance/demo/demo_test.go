package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestShop_WhatIsPaidIsShippedAndShelvesNeverRunEmpty(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	shelves := shelf{}
	declined, filled := 0, 0
	for n := range 10_000 {
		o := newOrder(r, "t", n)
		p := pay(o)
		sh, ok := ship(p)
		if ok != p.Accepted || ok && (sh.Order != o.Order || sh.Quantity != o.Quantity || sh.Article != o.Article) {
			t.Fatalf("order %+v, payment %+v, shipment %+v %v", o, p, sh, ok)
		}
		if !ok {
			declined++
			continue
		}
		more, low := shelves.take(sh)
		if low {
			filled++
			if more.Article != sh.Article || more.Now != stockFull || more.Added <= 0 {
				t.Fatalf("shelf filled with %+v after %+v", more, sh)
			}
		}
		if n := shelves[sh.Article]; n < stockLow || n > stockFull {
			t.Fatalf("%d of %s are left", n, sh.Article)
		}
	}
	if declined == 0 || filled == 0 {
		t.Errorf("%d declined, %d filled: a demo should show both", declined, filled)
	}
}

// TestPublish_SendsTheSameEventAgain: an answer that says "later" is followed by the same id, not a new event.
func TestPublish_SendsTheSameEventAgain(t *testing.T) {
	var ids []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("Ce-Id"))
		if len(ids) == 1 {
			w.WriteHeader(503)
			return
		}
		var o order
		if json.NewDecoder(r.Body).Decode(&o) != nil || o.Order != "x" || r.Header.Get("Ce-Partitionkey") != "x" {
			w.WriteHeader(400)
		}
	}))
	defer s.Close()
	if err := publish(t.Context(), s.URL, "orders", "shop.order.placed", "placed-x", "x", order{Order: "x"}); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("ids %q, want the same twice", ids)
	}
	if err := publish(t.Context(), s.URL, "orders", "k", "id", "other key", order{Order: "y"}); !errors.As(err, new(permanent)) {
		t.Errorf("a refusal is answered with %v, want one that is not tried again", err)
	}
}

// TestStock_GoesOnAfterTheLastEvent: the node ends the stream in the middle; the follower asks for what comes after.
func TestStock_GoesOnAfterTheLastEvent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			cancel() // the shelf was filled: done
			return
		}
		n := int(asked.Add(1))
		if want := fmt.Sprintf("p%d", n-1); n > 1 && r.Header.Get("Last-Event-ID") != want {
			t.Errorf("asked to go on after %q, want %q", r.Header.Get("Last-Event-ID"), want)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, ": hello\nid: p%d\ndata: {\"type\":\"shop.shipment.sent\",\"data\":{\"order\":\"o%d\",\"article\":\"lamp\",\"quantity\":30}}\n\n", n, n)
	}))
	defer s.Close()
	st := &status{}
	if err := stock(ctx, options{http: s.URL}, st); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	if asked.Load() < 2 || !st.ready.Load() {
		t.Errorf("asked %d times, ready %v", asked.Load(), st.ready.Load())
	}
}
