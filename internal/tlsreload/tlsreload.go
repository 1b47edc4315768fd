package tlsreload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"leat/internal/clock"
)

// Config names the files.
type Config struct {
	CertFile     string        // PEM, leaf first
	KeyFile      string        // PEM
	ClientCAFile string        // PEM; empty asks clients for no certificate
	ClientAuth   ClientAuth    // with ClientCAFile
	NextProtos   []string      // ALPN, e.g. h2 and http/1.1; empty is none
	Poll         time.Duration // how often files are looked at; 0 is PollDefault
}

// ClientAuth is what is asked of clients when there is a client CA.
type ClientAuth uint8

const (
	RequireClient ClientAuth = iota // a certificate that the CA signed, or no connection
	AcceptClient                    // the same, or none at all
)

// Limits of Poll.
const (
	PollDefault = 10 * time.Second
	PollLeast   = 10 * time.Millisecond
	PollMost    = time.Hour
)

// FileBytesMax bounds each file.
const FileBytesMax = 4 << 20

// Reloader holds what was read last.
type Reloader struct {
	cfg     Config
	log     *slog.Logger
	current atomic.Pointer[tls.Config]

	mu   sync.Mutex // one reload at a time
	seen [3]stamp   // of the files at the last attempt
}

// stamp tells one state of a file from another. Kubernetes swaps a symlink: the time of what it leads to changes with it.
type stamp struct {
	mtime time.Time
	bytes int64
}

// Open reads the files. They must be right this first time.
func Open(cfg Config, log *slog.Logger) (*Reloader, error) {
	if cfg.Poll == 0 {
		cfg.Poll = PollDefault
	}
	if cfg.Poll < PollLeast || cfg.Poll > PollMost {
		return nil, fmt.Errorf("tls: poll is %v; it must be from %v to %v", cfg.Poll, PollLeast, PollMost)
	}
	r := &Reloader{cfg: cfg, log: log}
	seen, err := r.stamps()
	if err != nil {
		return nil, err
	}
	r.seen = seen
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// Config is for tls.Server and for net/http; it may be shared by listeners. Each handshake gets what was read last.
func (r *Reloader) Config() *tls.Config {
	c := r.current.Load().Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current.Load(), nil }
	return c
}

// Run looks at the files every Poll until ctx ends.
func (r *Reloader) Run(ctx context.Context) {
	for clock.Sleep(ctx, r.cfg.Poll) == nil {
		r.Check()
	}
}

// Check looks at the files now, and reports whether they were read anew.
func (r *Reloader) Check() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, err := r.stamps()
	if err == nil && seen == r.seen {
		return false
	}
	changed := seen != r.seen
	r.seen = seen
	if err == nil {
		err = r.load()
	}
	if err != nil {
		// A pair that is being replaced does not fit together for a moment; the next change of either file is tried again.
		if changed {
			r.log.Error("TLS files cannot be used; the certificate that was read before stays", "error", err)
		}
		return false
	}
	r.log.Info("TLS files were read anew", "cert", r.cfg.CertFile)
	return true
}

func (r *Reloader) files() [3]string {
	return [3]string{r.cfg.CertFile, r.cfg.KeyFile, r.cfg.ClientCAFile}
}

// stamps are taken before the files are read, so that a change in between is seen the next time.
func (r *Reloader) stamps() (seen [3]stamp, err error) {
	for i, f := range r.files() {
		if f == "" {
			continue
		}
		info, e := os.Stat(f)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("tls: %w", e))
			continue
		}
		if info.Size() > FileBytesMax {
			err = errors.Join(err, fmt.Errorf("tls: %s has %d bytes; at most %d", f, info.Size(), FileBytesMax))
		}
		seen[i] = stamp{info.ModTime(), info.Size()}
	}
	return seen, err
}

func (r *Reloader) load() error {
	pair, err := tls.LoadX509KeyPair(r.cfg.CertFile, r.cfg.KeyFile)
	if err != nil {
		return fmt.Errorf("tls: certificate %s with key %s: %w", r.cfg.CertFile, r.cfg.KeyFile, err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   r.cfg.NextProtos,
	}
	if r.cfg.ClientCAFile != "" {
		pem, err := os.ReadFile(r.cfg.ClientCAFile)
		if err != nil {
			return fmt.Errorf("tls: client CA: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls: client CA: %s holds no certificate in PEM form", r.cfg.ClientCAFile)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
		if r.cfg.ClientAuth == AcceptClient {
			c.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	r.current.Store(c)
	return nil
}
