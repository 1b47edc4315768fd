package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"leat/storage/archive"
	"leat/storage/archive/dir"
	"leat/storage/archive/s3"
	osfs "leat/storage/vfs/os"
)

// ArchivePlace is where archives are, one for each lineage, so that a restored node never writes into the archive it came from:
//
//	<place>/lineages/<lineage>-f<format>.json   what a data directory is (leat.json), written once
//	<place>/<lineage>/shard-<n>/…               its archive
//
// <lineage> is in 32 hex digits.
type ArchivePlace struct {
	folder string     // of a folder
	store  *s3.Config // of an S3-compatible store
}

const lineagesFolder = "lineages"

// OpenArchivePlace reads a URL: file:///path, a path, or s3://bucket/prefix?endpoint=HOST:PORT&region=R&insecure=true. It does no I/O.
func OpenArchivePlace(text string, keys ArchiveKeys) (*ArchivePlace, error) {
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		if text == "" {
			return nil, errors.New("archive: the URL is empty")
		}
		return &ArchivePlace{folder: filepath.ToSlash(text)}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("archive: %q cannot be read as a URL", text) // url.Error would show what may be secret
	}
	switch {
	case scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/") && u.RawQuery == "":
		return &ArchivePlace{folder: path.Clean(u.Path)}, nil
	case scheme == "s3":
		return s3Place(u, keys)
	}
	return nil, fmt.Errorf("archive: %s is no place for an archive: write file:///path or s3://bucket/prefix?endpoint=HOST:PORT", u.Redacted())
}

func s3Place(u *url.URL, keys ArchiveKeys) (*ArchivePlace, error) {
	c := s3.Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Access: keys.AccessKey, Secret: keys.SecretKey, Session: keys.SessionToken}
	if u.User != nil {
		return nil, errors.New("archive: keys do not belong into the URL; set archive.keys or the environment")
	}
	for name, v := range u.Query() {
		var err error
		switch name {
		case "endpoint":
			c.Endpoint = v[0]
		case "region":
			c.Region = v[0]
		case "insecure":
			c.Insecure, err = strconv.ParseBool(v[0])
		default:
			err = errors.New("endpoint, region and insecure are known")
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %s in the URL: %w", name, err)
		}
	}
	if c.Endpoint == "" {
		c.Endpoint = "s3.amazonaws.com"
	}
	return &ArchivePlace{store: &c}, c.Validate()
}

func (p *ArchivePlace) String() string {
	if p.store == nil {
		return "file://" + p.folder
	}
	return "s3://" + path.Join(p.store.Bucket, p.store.Prefix) + "?endpoint=" + p.store.Endpoint
}

// bucket is a part of the place. It is opened when it is first used, so that a node starts although the store cannot be reached.
func (p *ArchivePlace) bucket(sub string) *laterBucket {
	return &laterBucket{open: func(ctx context.Context) (archive.Bucket, error) {
		if p.store == nil {
			return dir.New(osfs.New(), path.Join(p.folder, sub)), nil
		}
		c := *p.store
		c.Prefix = path.Join(c.Prefix, sub)
		return s3.Open(ctx, c)
	}}
}

// laterBucket is a bucket that is opened by its first use. It is safe for many goroutines.
type laterBucket struct {
	open func(context.Context) (archive.Bucket, error)
	mu   sync.Mutex
	b    archive.Bucket
}

func (l *laterBucket) get(ctx context.Context) (archive.Bucket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b == nil {
		b, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.b = b
	}
	return l.b, nil
}

func (l *laterBucket) Put(ctx context.Context, name string, content io.Reader, size int64) error {
	b, err := l.get(ctx)
	if err != nil {
		return err
	}
	return b.Put(ctx, name, content, size)
}

func (l *laterBucket) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Get(ctx, name, off, n)
}

func (l *laterBucket) List(ctx context.Context, prefix, after string) iter.Seq2[archive.Object, error] {
	b, err := l.get(ctx)
	if err != nil {
		return func(yield func(archive.Object, error) bool) { yield(archive.Object{}, err) }
	}
	return b.List(ctx, prefix, after)
}

func (l *laterBucket) Delete(ctx context.Context, name string) error {
	b, err := l.get(ctx)
	if err != nil {
		return err
	}
	return b.Delete(ctx, name)
}

// Close lets go of a folder's lock.
func (l *laterBucket) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.b.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ArchivedLineage is one archive of a place.
type ArchivedLineage struct {
	Lineage  archive.Lineage
	Identity Identity // as it was last written
}

// lineage is the whole lineage, as archives have it.
func (i *Identity) lineage() (l archive.Lineage, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(i.Lineage)
	if err == nil && len(raw) != len(l) {
		err = fmt.Errorf("%d bytes instead of %d", len(raw), len(l))
	}
	if err != nil {
		return l, fmt.Errorf("archive: the lineage %q: %w", i.Lineage, err)
	}
	return archive.Lineage(raw), nil
}

// register writes what the data directory is, unless that is there.
func (p *ArchivePlace) register(ctx context.Context, id Identity) error {
	l, err := id.lineage()
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	b := p.bucket(lineagesFolder)
	err = b.Put(ctx, fmt.Sprintf("%s-f%d.json", l, id.Format), bytes.NewReader(raw), int64(len(raw)))
	if errors.Is(err, archive.ErrExists) {
		err = nil
	}
	return errors.Join(err, b.Close())
}

// Lineages lists the archives of a place, oldest first.
func (p *ArchivePlace) Lineages(ctx context.Context) ([]ArchivedLineage, error) {
	b := p.bucket(lineagesFolder)
	var out []ArchivedLineage
	for o, err := range b.List(ctx, "", "") {
		if err != nil {
			return nil, fmt.Errorf("archive: %s: %w", p, err)
		}
		if !strings.HasSuffix(o.Name, ".json") || o.Size > identityBytesMax {
			continue
		}
		id, err := readArchivedIdentity(ctx, b, o)
		if err != nil {
			return nil, fmt.Errorf("archive: %s in %s: %w", o.Name, p, err)
		}
		l, err := id.lineage()
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && out[n-1].Lineage == l { // names are in order, so a newer format comes later
			out[n-1].Identity = id
			continue
		}
		out = append(out, ArchivedLineage{l, id})
	}
	sortLineages(out)
	return out, b.Close()
}

func readArchivedIdentity(ctx context.Context, b archive.Bucket, o archive.Object) (id Identity, err error) {
	r, err := b.Get(ctx, o.Name, 0, o.Size)
	if err != nil {
		return id, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, identityBytesMax))
	if err = errors.Join(err, r.Close()); err == nil {
		err = json.Unmarshal(raw, &id)
	}
	return id, err
}

// pick finds an archive by the beginning of its lineage; without one, the newest.
func (p *ArchivePlace) pick(ctx context.Context, prefix string) (*ArchivedLineage, error) {
	all, err := p.Lineages(ctx)
	if err != nil {
		return nil, err
	}
	var found []*ArchivedLineage
	for i := range all {
		if strings.HasPrefix(all[i].Lineage.String(), strings.ToLower(prefix)) {
			found = append(found, &all[i])
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("archive: there is no archive at %s", p)
	case len(found) == 0:
		return nil, fmt.Errorf("archive: %s has no lineage that begins with %s", p, prefix)
	case prefix == "":
		return found[len(found)-1], nil
	case len(found) > 1:
		return nil, fmt.Errorf("archive: %s has %d lineages that begin with %s", p, len(found), prefix)
	}
	return found[0], nil
}
