package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	postgresConns  = 64 // they share syncs, as an application's pool does
	postgresInsert = `INSERT INTO events (stream, key, type, data) VALUES ($1, $2, $3, $4) RETURNING position`
	postgresTable  = `CREATE TABLE IF NOT EXISTS events (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream text NOT NULL, key text,
type text NOT NULL, time timestamptz NOT NULL DEFAULT now(), data bytea NOT NULL)`
)

// postgresPeer is an events table, synchronous_commit on as shipped, one insert a transaction over a pool of connections.
func postgresPeer() peer {
	return peer{
		name: "PostgreSQL", scale: 4,
		start: func(b *bench, ctx context.Context) (*proc, error) {
			p := &proc{}
			dir, err := b.place(&p.http)
			if err != nil {
				return nil, err
			}
			other, err := asOther(dir)
			if err != nil {
				return nil, err
			}
			p.as = other
			initdb, err := postgresBin("initdb")
			if err != nil {
				return nil, err
			}
			server, err := postgresBin("postgres")
			if err != nil {
				return nil, err
			}
			data := filepath.Join(dir, "data")
			format := exec.CommandContext(ctx, initdb, "-D", data, "-U", "bench", "--auth=trust", "--no-locale", "--encoding=UTF8")
			format.SysProcAttr, format.Dir = other, dir
			if out, err := format.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("initdb: %w: %s", err, out)
			}
			_, port, err := net.SplitHostPort(p.http)
			if err != nil {
				return nil, err
			}
			p, err = launch(ctx, "PostgreSQL", dir, postgresReady, p, server, "-D", data, "-p", port, "-k", dir, "-c", "listen_addresses=127.0.0.1",
				"-c", fmt.Sprintf("max_connections=%d", postgresConns+10))
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		produce: func(ctx context.Context, p *proc, n int) (float64, error) { return postgresProduce(ctx, p, n) },
		consume: postgresConsume, acks: postgresAcks,
	}
}

func postgresURL(p *proc) string {
	return fmt.Sprintf("postgres://bench@%s/postgres?sslmode=disable&pool_max_conns=%d&pool_min_conns=%d", p.http, postgresConns, postgresConns)
}

func postgresReady(p *proc) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, fmt.Sprintf("postgres://bench@%s/postgres?sslmode=disable", p.http))
	if err != nil {
		return false
	}
	_, err = c.Exec(ctx, postgresTable)
	return errors.Join(err, c.Close(ctx)) == nil
}

func postgresPool(ctx context.Context, p *proc) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, postgresURL(p))
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

func postgresProduce(ctx context.Context, p *proc, n int) (float64, error) {
	pool, err := postgresPool(ctx, p)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	value := bytes.Repeat([]byte("x"), peerEventBytes)
	var next atomic.Int64
	errs := make([]error, postgresConns)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range errs {
		wg.Go(func() {
			for next.Add(1) <= int64(n) && errs[i] == nil {
				var position int64
				errs[i] = pool.QueryRow(ctx, postgresInsert, peerStream, nil, "bench", value).Scan(&position)
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds(), errors.Join(errs...)
}

// postgresConsume reads in order of position, by a cursor's worth of rows at a time, as a poller of an events table does.
func postgresConsume(ctx context.Context, p *proc, n int) (float64, error) {
	const page = 10_000
	c, err := pgx.Connect(ctx, fmt.Sprintf("postgres://bench@%s/postgres?sslmode=disable", p.http))
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close(ctx) }()
	began := time.Now()
	last := int64(0)
	for got := 0; got < n; {
		rows, err := c.Query(ctx, `SELECT position, stream, key, type, time, data FROM events WHERE position > $1 AND stream = $2 ORDER BY position LIMIT $3`, last, peerStream, page)
		if err != nil {
			return 0, err
		}
		before := got
		for rows.Next() {
			raw := rows.RawValues()
			if err := pgxScanPosition(rows, &last); err != nil || len(raw[5]) != peerEventBytes {
				rows.Close()
				return 0, fmt.Errorf("an event of %d bytes: %w", len(raw[5]), err)
			}
			got++
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return 0, err
		}
		if got == before {
			return 0, fmt.Errorf("%d of %d events are there", got, n)
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func pgxScanPosition(rows pgx.Rows, last *int64) error {
	return rows.Scan(last, nil, nil, nil, nil, nil)
}

func postgresAcks(ctx context.Context, p *proc, d time.Duration) (*histogram, error) {
	pool, err := postgresPool(ctx, p)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	value := bytes.Repeat([]byte("x"), peerEventBytes)
	h := &histogram{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	err = pace(ctx, latencyRate, d, func() {
		began := time.Now()
		wg.Go(func() {
			var position int64
			err := pool.QueryRow(ctx, postgresInsert, "latency", nil, "bench", value).Scan(&position)
			took := int64(time.Since(began))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			h.add(took)
		})
	})
	wg.Wait()
	return h, errors.Join(err, failed)
}
