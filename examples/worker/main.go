// Worker takes events of a subscription, does something with each, and acknowledges it. Told to stop (SIGTERM), it takes no more, finishes what it
// has, and ends: so an autoscaler may start and stop any number of them, and nothing is lost or done in vain.
//
//	cd examples && go run ./worker -url http://localhost:8080 -subscription billing
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type delivery struct {
	Handle  string          `json:"handle"`
	ID      string          `json:"id"` // the same for all attempts: what is done twice can be noticed by it
	Attempt int             `json:"attempt"`
	Event   json.RawMessage `json:"event"`
}

func main() {
	url := flag.String("url", "http://localhost:8080", "of the node")
	name := flag.String("subscription", "billing", "whose events")
	took := flag.Duration("takes", 10*time.Millisecond, "how long the work on an event takes")
	flag.Parse()
	base := *url + "/v1/subscriptions/" + *name

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	for stop.Err() == nil {
		var got struct {
			Deliveries []delivery `json:"deliveries"`
		}
		// A receive that is broken off by the signal hands what was meant for this worker to another one at once.
		if err := post(stop, base+"/receive", map[string]any{"max": 10, "wait": "20s", "lease": "30s"}, &got); err != nil {
			if stop.Err() == nil {
				log.Print("receive: ", err)
				time.Sleep(time.Second)
			}
			continue
		}
		var done []string
		for _, d := range got.Deliveries {
			work(d, *took)
			done = append(done, d.Handle)
		}
		if len(done) == 0 {
			continue
		}
		// Not with the context of the signal: what is done is said to be done, also while stopping.
		if err := post(context.Background(), base+"/ack", map[string]any{"handles": done}, nil); err != nil {
			log.Print("ack: ", err) // they come again when their leases have run out
		}
	}
}

// work is yours: here it waits, and prints the delivery's id.
func work(d delivery, took time.Duration) {
	time.Sleep(took)
	fmt.Println(d.ID, d.Attempt)
}

func post(ctx context.Context, url string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
