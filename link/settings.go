package link

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/url"
	"path"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"leat/broker"
	"leat/broker/fault"
)

// Limits of settings.
const (
	PatternsMax     = 100 // of topics, and of groups
	patternBytesMax = 249
	caBytesMax      = 64 << 10
	passwordMax     = 1024
)

// Modes are what is wanted of a link.
const (
	ModeCopy     = "copy"     // go on
	ModePause    = "pause"    // copy nothing for now; nobody else may append either
	ModeSwitched = "switched" // over: what was copied stands by itself
)

// Settings are what may be told about a link. The password is kept apart.
type Settings struct {
	From   string   `json:"from"`             // kafka://host:port,host:port
	Topics []string `json:"topics,omitempty"` // patterns with *; without any: all but internal ones
	Groups []string `json:"groups,omitempty"` // patterns with *; without any: all
	SASL   *SASL    `json:"sasl,omitempty"`
	TLS    *TLS     `json:"tls,omitempty"`
	Mode   string   `json:"mode,omitempty"` // "" is ModeCopy
}

// SASL is how to log in there.
type SASL struct {
	Mechanism string `json:"mechanism"` // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	User      string `json:"user"`
}

// TLS is how to know the cluster. What is empty is as the machine has it.
type TLS struct {
	CA         string `json:"ca,omitempty"`          // certificates, PEM
	ServerName string `json:"server_name,omitempty"` // instead of the host's
}

// Scheme is what From begins with.
const Scheme = "kafka://"

// Of reads the settings of a document.
func Of(d *broker.Document) (s Settings, err error) {
	err = json.Unmarshal(d.Told, &s)
	return s, err
}

// Check refuses settings that cannot mean anything.
func (s *Settings) Check(password string) error {
	if _, err := s.seeds(); err != nil {
		return err
	}
	for _, l := range []struct {
		name     string
		patterns []string
	}{{"topics", s.Topics}, {"groups", s.Groups}} {
		if len(l.patterns) > PatternsMax {
			return wrong(l.name, "%d patterns; %d are the most", len(l.patterns), PatternsMax)
		}
		for _, p := range l.patterns {
			if p == "" || len(p) > patternBytesMax || strings.ContainsAny(p, `[]\?/`) {
				return wrong(l.name, "%q is no pattern: a name in which * stands for any characters", p)
			}
		}
	}
	switch s.Mode {
	case "", ModeCopy, ModePause, ModeSwitched:
	default:
		return wrong("mode", "mode %q is none of copy, pause", s.Mode)
	}
	if len(password) > passwordMax {
		return wrong("password", "the password has %d bytes; %d are the most", len(password), passwordMax)
	}
	if s.SASL == nil && password != "" {
		return wrong("sasl", "there is a password and no sasl.user")
	}
	if s.SASL != nil {
		if s.SASL.User == "" {
			return wrong("sasl", "sasl.user is missing")
		}
		if _, err := s.mechanism(password); err != nil {
			return err
		}
	}
	_, err := s.tls()
	return err
}

func wrong(field, format string, args ...any) error {
	return fault.New(fault.Invalid, "link", field, format, args...)
}

// seeds are the addresses in From.
func (s *Settings) seeds() ([]string, error) {
	rest, ok := strings.CutPrefix(s.From, Scheme)
	if !ok || rest == "" {
		return nil, wrong("from", "%q is no address of a cluster; write kafka://host:9092, with more hosts behind commas", s.From)
	}
	seeds := strings.Split(strings.TrimSuffix(rest, "/"), ",")
	for i, at := range seeds {
		if u, err := url.Parse("//" + at); err != nil || u.Host != at || u.Hostname() == "" {
			return nil, wrong("from", "%q is no host and port; user and password go into sasl", at)
		}
		if _, _, err := net.SplitHostPort(at); err != nil {
			seeds[i] = net.JoinHostPort(strings.Trim(at, "[]"), "9092")
		}
	}
	return seeds, nil
}

func (s *Settings) mechanism(password string) (sasl.Mechanism, error) {
	switch s.SASL.Mechanism {
	case "PLAIN":
		return plain.Auth{User: s.SASL.User, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.SASL.User, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.SASL.User, Pass: password}.AsSha512Mechanism(), nil
	default:
		return nil, wrong("sasl", "sasl.mechanism %q is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", s.SASL.Mechanism)
	}
}

func (s *Settings) tls() (*tls.Config, error) {
	if s.TLS == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.TLS.ServerName}
	if s.TLS.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if len(s.TLS.CA) > caBytesMax || !c.RootCAs.AppendCertsFromPEM([]byte(s.TLS.CA)) {
			return nil, wrong("tls", "tls.ca has no certificate in PEM, or more than %d bytes", caBytesMax)
		}
	}
	return c, nil
}

// reach are the options of a client that says who it is.
func (s *Settings) reach(name, password string) ([]kgo.Opt, error) {
	seeds, err := s.seeds()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID("leat-link-" + name), kgo.DialTimeout(dialTime), kgo.RetryTimeout(requestTime), kgo.MetadataMinAge(metadataMin)}
	if s.SASL != nil {
		m, err := s.mechanism(password)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	c, err := s.tls()
	if err != nil {
		return nil, err
	}
	if c != nil {
		opts = append(opts, kgo.DialTLSConfig(c))
	}
	return opts, nil
}

// matches reports whether one of the patterns has the name; without patterns any name is meant that no system has made for itself.
func matches(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return !strings.HasPrefix(name, "__")
	}
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}
