// Yardstick is what HTTP rows are held against: an empty net/http server that is durable and nothing else.
//
// # What
//
// It reads a request's body, appends it to a file that was zero-filled before the port opened, makes one fdatasync for all bodies that
// arrived meanwhile, and answers 201 with a fixed body. It parses, checks, indexes and names nothing; at the end of the file it starts anew.
//
// # Promises
//
// No answer before the sync of its body. A failed write or sync ends the process.
//
// # Imports
//
// The standard library.
//
// # Where to start
//
// group, which is all there is.
//
// # How tested
//
// By conformance/bench: its test posts to it and looks into the file.
package main

import (
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	bodyBytesMax  = 16 << 20
	groupBytesMax = 16 << 20
	queued        = 1024 // bodies that wait for the next group
)

// entry is a body that waits for its sync.
type entry struct {
	body []byte
	done chan struct{}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:48080", "")
	name := flag.String("file", "yardstick.log", "file that is written")
	size := flag.Int64("size", 1<<30, "bytes of the file")
	answer := flag.String("answer", `{"ref":"orders/0/1234","id":"orders/0/1234","position":"AAAAAAAAAAAAAAAA","duplicate":false}`, "body of the answer")
	flag.Parse()
	if *size < groupBytesMax+bodyBytesMax {
		log.Fatalf("-size must be at least %d", groupBytesMax+bodyBytesMax)
	}
	f, err := filled(*name, *size)
	if err != nil {
		log.Fatal(err)
	}
	in := make(chan entry, queued)
	go group(f, *size, in)
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	s := &http.Server{Handler: handler(in, []byte(*answer)), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(s.Serve(l))
}

// filled makes a file whose blocks have all been written.
func filled(name string, size int64) (*os.File, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	zero := make([]byte, 1<<20)
	for n := int64(0); n < size; n += int64(len(zero)) {
		if _, err := f.Write(zero[:min(int64(len(zero)), size-n)]); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, f.Sync()
}

func handler(in chan<- entry, answer []byte) http.Handler {
	bodies := sync.Pool{New: func() any { return new([]byte) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 || r.ContentLength > bodyBytesMax {
			http.Error(w, "give a Content-Length", http.StatusLengthRequired)
			return
		}
		b := bodies.Get().(*[]byte)
		if int64(cap(*b)) < r.ContentLength {
			*b = make([]byte, r.ContentLength)
		}
		*b = (*b)[:r.ContentLength]
		if _, err := io.ReadFull(r.Body, *b); err != nil {
			http.Error(w, "half a body", http.StatusBadRequest)
			return
		}
		e := entry{body: *b, done: make(chan struct{})}
		in <- e
		<-e.done
		bodies.Put(b)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(answer) // a client that has gone needs none
	})
}

// group writes and syncs for all that wait.
func group(f *os.File, size int64, in <-chan entry) {
	var buf []byte
	var waiting []entry
	at := int64(0)
	for e := range in {
		buf, waiting = append(buf[:0], e.body...), append(waiting[:0], e)
	more:
		for len(buf) < groupBytesMax {
			select {
			case e = <-in:
				buf, waiting = append(buf, e.body...), append(waiting, e)
			default:
				break more
			}
		}
		if at+int64(len(buf)) > size {
			at = 0
		}
		if _, err := f.WriteAt(buf, at); err != nil {
			log.Fatal(err)
		}
		if err := datasync(f); err != nil {
			log.Fatal(err)
		}
		at += int64(len(buf))
		for _, e := range waiting {
			close(e.done)
		}
	}
}
