// Inbox receives webhooks and does the work of each once, however often it comes and whenever it is killed: the id of a delivery is the same
// for all attempts, and it is kept in the same step as the work. Here the work is a line in a file, and the id stands in that line; with a
// database it is a row in the same transaction (inbox.py).
//
//	cd examples && go run ./inbox -listen 127.0.0.1:9000 -rows rows.txt
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "where webhooks come in")
	name := flag.String("rows", "rows.txt", "what was done: id, tab, data")
	flag.Parse()

	text, _ := os.ReadFile(*name)
	text = text[:bytes.LastIndexByte(text, '\n')+1] // a line that was cut off by a kill was not done
	done := map[string]bool{}
	for line := range bytes.Lines(text) {
		id, _, _ := bytes.Cut(line, []byte("\t"))
		done[string(id)] = true
	}
	rows, err := os.OpenFile(*name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	if err := rows.Truncate(int64(len(text))); err != nil {
		log.Fatal(err)
	}
	if _, err := rows.Seek(0, io.SeekEnd); err != nil {
		log.Fatal(err)
	}

	var one sync.Mutex
	http.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("webhook-id")
		data, err := io.ReadAll(r.Body)
		if err != nil || id == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		one.Lock()
		defer one.Unlock()
		if !done[id] {
			if _, err := fmt.Fprintf(rows, "%s\t%s\n", id, data); err != nil || rows.Sync() != nil {
				log.Fatal("the row may not be there: begin again with what is") // and the delivery comes again
			}
			done[id] = true
		}
		w.WriteHeader(http.StatusNoContent)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}
