package archive

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
)

// parallel calls do for 0..n-1, jobs at a time, and returns the first error. Nothing new is begun after an error.
func parallel(ctx context.Context, jobs, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, jobs)
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// ctxReader stops reading when ctx ends.
type ctxReader struct {
	ctx context.Context //nolint:containedctx // it is the length of one copy
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// hashReader fails at the end, before the last bytes are handed out, unless they were those that the hash was made of. A Put from it stores
// nothing else.
type hashReader struct {
	r    io.Reader
	name string
	want Hash
	left int64
	sum  hash.Hash
}

func newHashReader(r io.Reader, want Hash, f FileRef) io.Reader {
	return &hashReader{r: r, name: f.Name, want: want, left: f.Size, sum: sha256.New()}
}

func (r *hashReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.sum.Write(p[:n])
	r.left -= int64(n)
	if r.left == 0 && Hash(r.sum.Sum(nil)) != r.want || r.left > 0 && err == io.EOF { //nolint:errorlint // as io.Reader has it
		return 0, fmt.Errorf("archive: %s changed while it was read", r.name)
	}
	return n, err
}
