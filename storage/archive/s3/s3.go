package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"leat/storage/archive"
)

// ObjectBytesMax is the largest object that a store takes with one PUT.
const ObjectBytesMax = 5 << 30

// pageMost is what stores give at most.
const pageMost = 1000

// Config is where the store is. Access and Secret empty: the environment (AWS_ACCESS_KEY_ID, …), the files of the AWS tools, or the machine's own
// role, in this order.
type Config struct {
	Endpoint string // host or host:port
	Insecure bool   // plain HTTP
	Region   string // "" asks the store
	Bucket   string // must exist
	Prefix   string // "" or a folder in the bucket
	Access   string
	Secret   string
	Session  string // token of temporary keys
	PageMax  int    // names that a List asks for at a time; 0 is what the store gives, mostly 1,000
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Endpoint == "" || strings.Contains(c.Endpoint, "://"):
		return fmt.Errorf("archive: endpoint is %q: must be HOST or HOST:PORT", c.Endpoint)
	case c.Bucket == "":
		return errors.New("archive: bucket must be given")
	case c.PageMax < 0 || c.PageMax > pageMost:
		return fmt.Errorf("archive: page_max is %d: must be from 0 to %d", c.PageMax, pageMost)
	case (c.Access == "") != (c.Secret == ""):
		return errors.New("archive: access and secret go together")
	case c.Prefix != "" && archive.CheckName(strings.TrimSuffix(c.Prefix, "/")) != nil:
		return fmt.Errorf("archive: prefix is %q: must be a path of letters, digits and ._-", c.Prefix)
	}
	return nil
}

// Bucket is objects below a prefix. See archive.Bucket for the contract of its methods.
type Bucket struct {
	core        minio.Core
	bucket      string
	prefix      string // "" or ends in a slash
	page        int    // 0 is the store's
	conditional bool   // the store knows If-None-Match
}

var _ archive.Bucket = (*Bucket)(nil)

// tries is how often one request is made: the archive tries again by itself, with pauses that show.
const tries = 1

// Open finds out whether the bucket is there and whether the store takes a name conditionally. For that it puts a probe twice.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	creds := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
	if c.Access != "" {
		creds = credentials.NewStaticV4(c.Access, c.Secret, c.Session)
	}
	client, err := minio.New(c.Endpoint, &minio.Options{Creds: creds, Secure: !c.Insecure, Region: c.Region, MaxRetries: tries})
	if err != nil {
		return nil, fmt.Errorf("archive: s3: %w", err)
	}
	b := &Bucket{core: minio.Core{Client: client}, bucket: c.Bucket, page: c.PageMax}
	if c.Prefix != "" {
		b.prefix = strings.TrimSuffix(c.Prefix, "/") + "/"
	}
	if err := b.probe(ctx); err != nil {
		return nil, fmt.Errorf("archive: s3: bucket %s at %s: %w", c.Bucket, c.Endpoint, err)
	}
	return b, nil
}

// probeName is of an object that stays in the bucket.
const probeName = "leat-archive"

var probeText = []byte("An archive of Leat. This object shows that the store takes a name only once.\n")

// probe puts the same object twice: a store that knows the condition refuses at least the second.
func (b *Bucket) probe(ctx context.Context) error {
	b.conditional = true
	for range 2 {
		err := b.put(ctx, probeName, bytes.NewReader(probeText), int64(len(probeText)))
		switch {
		case errors.Is(err, archive.ErrExists):
			return nil
		case status(err) == http.StatusNotImplemented || status(err) == http.StatusBadRequest:
			b.conditional = false
			return b.put(ctx, probeName, bytes.NewReader(probeText), int64(len(probeText)))
		case err != nil:
			return err
		}
	}
	b.conditional = false
	return nil
}

// Conditional says whether the store refuses a name that is taken, so that two writers cannot harm each other.
func (b *Bucket) Conditional() bool { return b.conditional }

// Put is one PUT.
func (b *Bucket) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	if err := check(name); err != nil {
		return err
	}
	if size > ObjectBytesMax {
		return fmt.Errorf("archive: put %s: %d bytes, at most %d", name, size, int64(ObjectBytesMax))
	}
	if !b.conditional {
		_, err := b.core.StatObject(ctx, b.bucket, b.prefix+name, minio.StatObjectOptions{})
		if err == nil {
			return fmt.Errorf("%w: %s", archive.ErrExists, name)
		} else if status(err) != http.StatusNotFound {
			return fmt.Errorf("archive: put %s: %w", name, err)
		}
	}
	if err := b.put(ctx, name, content, size); err != nil {
		return fmt.Errorf("archive: put %s: %w", name, err)
	}
	return nil
}

func (b *Bucket) put(ctx context.Context, name string, content io.Reader, size int64) error {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true}
	if b.conditional {
		o.SetMatchETagExcept("*")
	}
	body := &counted{r: content}
	_, err := b.core.Client.PutObject(ctx, b.bucket, b.prefix+name, body, size, o)
	switch {
	case err == nil && body.n < size:
		return fmt.Errorf("%w: content ends %d bytes early", io.ErrUnexpectedEOF, size-body.n)
	case status(err) == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %s", archive.ErrExists, name)
	}
	return err
}

// counted hides from the client that content could be read twice, and counts.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Get is one GET, with a range unless all is wanted.
func (b *Bucket) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := check(name); err != nil {
		return nil, err
	}
	var o minio.GetObjectOptions
	var err error
	switch {
	case n == 0:
		return io.NopCloser(strings.NewReader("")), nil // there is no range of nothing
	case n > 0:
		err = o.SetRange(off, off+n-1)
	case off > 0:
		err = o.SetRange(off, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("archive: get %s: %w", name, err)
	}
	r, _, _, err := b.core.GetObject(ctx, b.bucket, b.prefix+name, o)
	switch {
	case err == nil:
		return r, nil
	case status(err) == http.StatusRequestedRangeNotSatisfiable:
		return io.NopCloser(strings.NewReader("")), nil // it begins behind the end
	case status(err) == http.StatusNotFound && minio.ToErrorResponse(err).Code != minio.NoSuchBucket:
		return nil, fmt.Errorf("%w: %s", archive.ErrNotFound, name)
	}
	return nil, fmt.Errorf("archive: get %s: %w", name, err)
}

// List asks page by page.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[archive.Object, error] {
	return func(yield func(archive.Object, error) bool) {
		o := minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true, MaxKeys: b.page}
		if after != "" {
			o.StartAfter = b.prefix + after
		}
		for found := range b.core.ListObjectsIter(ctx, b.bucket, o) {
			if found.Err != nil {
				yield(archive.Object{}, fmt.Errorf("archive: list %s: %w", prefix, found.Err))
				return
			}
			name := strings.TrimPrefix(found.Key, b.prefix)
			if name == probeName {
				continue
			}
			if !yield(archive.Object{Name: name, Size: found.Size}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // the client may end quietly
			yield(archive.Object{}, fmt.Errorf("archive: list %s: %w", prefix, err))
		}
	}
}

// Delete is one DELETE; stores answer the same when there is nothing.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	if err := check(name); err != nil {
		return err
	}
	err := b.core.RemoveObject(ctx, b.bucket, b.prefix+name, minio.RemoveObjectOptions{})
	if err != nil && status(err) != http.StatusNotFound {
		return fmt.Errorf("archive: delete %s: %w", name, err)
	}
	return nil
}

// check keeps objects away from the probe.
func check(name string) error {
	if name == probeName {
		return fmt.Errorf("%w: %q is the bucket's own", archive.ErrBadName, name)
	}
	return archive.CheckName(name)
}

// status is the HTTP status of a refusal, or 0.
func status(err error) int {
	var r minio.ErrorResponse
	if errors.As(err, &r) {
		return r.StatusCode
	}
	return 0
}
