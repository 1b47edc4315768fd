package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"leat/conformance/port"
)

// The group registry is a schema registry with many subjects: registered by clients at once, asked for by id, and there again after a restart. Of ten
// schemas seven are Avro records, two JSON Schema, one an Avro record that refers to one of a hundred others; each has about 400 bytes of text.

const (
	registryClients = 64
	registryReaders = 32
	registryShared  = 100 // schemas that others refer to
)

func registryWorks() []work {
	return []work{{"registry", "schema registry: 100,000 subjects", func(*bench) string { return "" }, (*bench).registry}}
}

func (b *bench) registry(ctx context.Context) error {
	what := number(float64(b.streams)) + " subjects"
	put := b.row("registry-put", fmt.Sprintf("schemas registered, %s, %d clients, durable", what, registryClients), "schemas/s", "", 5000)
	get := b.row("registry-get", fmt.Sprintf("schemas by id, %d clients", registryReaders), "requests/s", "", 50_000)
	rss := b.row("registry-memory", "memory, "+what+", when they were registered", "MiB resident", "", 150)
	again := b.row("registry-start", "start with "+what, "s", "", 2)
	idle := b.row("registry-idle", "memory, "+what+", after the start", "MiB resident", "", 150)
	rss.less, again.less, idle.less = true, true, true

	p := &proc{}
	var err error
	if p.sqs, err = port.Free(); err != nil { // the port of the registry, as rawHTTP dials it
		return err
	}
	at := p.sqs
	if p, err = b.startNode(ctx, asShipped, p, "--listen", "schema-registry="+at); err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	began := time.Now()
	if err := registryPut(ctx, at, b.streams); err != nil {
		return err
	}
	put.one(float64(b.streams) / time.Since(began).Seconds())
	rate, err := registryGet(ctx, at, b.streams, b.workFor/2)
	if err != nil {
		return err
	}
	get.one(rate)
	if err := memoryOf(p, rss); err != nil {
		return err
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	again.one(p.took.Seconds())
	if rate, err = registryGet(ctx, at, b.streams, b.workFor/2); err != nil {
		return err
	}
	get.one(rate)
	return memoryOf(p, idle)
}

func memoryOf(p *proc, row *row) error {
	time.Sleep(idleFor)
	bytes, err := p.rss()
	if err == nil {
		row.one(float64(bytes) / (1 << 20))
	}
	return err
}

// registrySchema is the body of a request that registers the n-th schema.
func registrySchema(n int) []byte {
	fields := fmt.Sprintf(`{"name":"id","type":"string"},{"name":"amount","type":"double","doc":"in the currency of the account"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},`+
		`{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["ONE","TWO","THREE"]}},{"name":"note_%d","type":["null","string"],"default":null}`, n)
	body := map[string]any{}
	switch {
	case n < registryShared:
		body["schema"] = fmt.Sprintf(`{"type":"record","name":"Shared%d","namespace":"shop","fields":[{"name":"street","type":"string"},{"name":"city","type":"string"}]}`, n)
	case n%10 < 2:
		body["schemaType"] = "JSON"
		body["schema"] = fmt.Sprintf(`{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order%d","type":"object","required":["id","amount"],"properties":{"id":{"type":"string","maxLength":64},`+
			`"amount":{"type":"number","minimum":0},"at":{"type":"string","format":"date-time"},"kind":{"enum":["ONE","TWO","THREE"]},"note_%d":{"type":["string","null"]}},"additionalProperties":false}`, n, n)
	case n%10 == 2:
		shared := n % registryShared
		body["schema"] = fmt.Sprintf(`{"type":"record","name":"Order%d","namespace":"shop","fields":[%s,{"name":"to","type":"shop.Shared%d"}]}`, n, fields, shared)
		body["references"] = []map[string]any{{"name": fmt.Sprintf("shop.Shared%d", shared), "subject": registrySubject(shared), "version": 1}}
	default:
		body["schema"] = fmt.Sprintf(`{"type":"record","name":"Order%d","namespace":"shop","fields":[%s]}`, n, fields)
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of texts
	}
	return text
}

func registrySubject(n int) string { return fmt.Sprintf("team-%02d.orders-%06d-value", n%50, n) }

// registryPut registers n schemas, those that others refer to first.
func registryPut(ctx context.Context, at string, n int) error {
	if err := registryClientsDo(ctx, at, registryClients, 0, min(n, registryShared)); err != nil {
		return err
	}
	return registryClientsDo(ctx, at, registryClients, registryShared, n)
}

func registryClientsDo(ctx context.Context, at string, clients, from, to int) error {
	var next atomic.Int64
	next.Store(int64(from))
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c, err := dialHTTP(ctx, &proc{http: at})
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			for n := int(next.Add(1)) - 1; n < to && err == nil; n = int(next.Add(1)) - 1 {
				body := registrySchema(n)
				head := "POST /subjects/" + registrySubject(n) + "/versions HTTP/1.1\r\nHost: " + at + "\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
				_, err = c.do(append([]byte(head), body...))
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// registryGet asks for schemas by id, one after the other, with no order in the ids.
func registryGet(ctx context.Context, at string, n int, d time.Duration) (float64, error) {
	var done atomic.Int64
	errs := make([]error, registryReaders)
	var wg sync.WaitGroup
	began := time.Now()
	until := began.Add(d)
	for i := range registryReaders {
		wg.Go(func() {
			c, err := dialHTTP(ctx, &proc{http: at})
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			var body []byte
			for k := i; time.Now().Before(until) && err == nil; k += 7919 {
				body, err = c.do(getRequest(&proc{http: at}, "/schemas/ids/"+strconv.Itoa(1+k%n)))
				if err == nil && !strings.Contains(string(body), `"schema":`) {
					err = fmt.Errorf("no schema: %.300s", body)
				}
				done.Add(1)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
