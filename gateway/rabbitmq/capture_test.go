package rabbitmq

import (
	"bufio"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCaptures sends what rabbitmqadmin and others sent to RabbitMQ, byte for byte and in order, and wants the statuses that RabbitMQ answered.
// A file has a header of lines with #, then the bytes in hex:
//
//	# client: rabbitmqadmin 3.10.8
//	# answer: 201
//	505554202f6170…
func TestCaptures(t *testing.T) {
	a := serve(t, newGateway(t, false))
	address := strings.TrimSuffix(strings.TrimPrefix(a.base, "http://"), "/api/")
	files, err := filepath.Glob("testdata/captures/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, request := 0, []byte(nil)
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if status, is := strings.CutPrefix(line, "# answer: "); is {
				want, _ = strconv.Atoi(status)
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			b, err := hex.DecodeString(line)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			request = append(request, b...)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		body, _ := io.ReadAll(r.Body)
		if r.StatusCode != want {
			t.Errorf("%s: %d %s, RabbitMQ said %d", filepath.Base(file), r.StatusCode, body, want)
		}
		_ = r.Body.Close()
		_ = c.Close()
	}
}
