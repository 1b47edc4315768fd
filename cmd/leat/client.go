package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	defaultURL = "http://127.0.0.1:8080"

	answerBytesMax  = 64 << 20 // of one answer that is read as a whole
	problemBytesMax = 1 << 20
	connectTimeout  = 10 * time.Second // until the answer begins
)

// client speaks the HTTP API.
type client struct {
	base string
	http *http.Client
	auth string // value of Authorization, or ""
	ns   string
}

// problem is a problem document (RFC 9457) as a node answers it.
type problem struct {
	Type       string          `json:"type"`
	Title      string          `json:"title"`
	Status     int             `json:"status"`
	Detail     string          `json:"detail"`
	Kind       string          `json:"kind"`
	Field      string          `json:"field"`
	Pointer    string          `json:"pointer"`
	Subject    string          `json:"subject"`
	Failed     json.RawMessage `json:"failed"` // the conditions that did not hold
	RetryAfter string          `json:"-"`
}

func (p *problem) Error() string {
	var b strings.Builder
	switch {
	case p.Detail != "" && p.Title != "":
		b.WriteString(p.Title + ": " + p.Detail)
	default:
		b.WriteString(p.Title + p.Detail)
	}
	if p.Field != "" && !strings.Contains(p.Detail, p.Field) {
		b.WriteString(" (" + p.Field + ")")
	}
	if p.Pointer != "" {
		b.WriteString(" at " + p.Pointer)
	}
	if len(p.Failed) > 0 {
		b.WriteString(" " + string(p.Failed))
	}
	return b.String()
}

// client makes the client that flags and environment ask for.
func (a *app) client() (*client, error) {
	base := first(a.url, a.env("LEAT_URL"), defaultURL)
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usageError("%q is not the address of a node: it looks like %s", base, defaultURL)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = connectTimeout
	c := &client{base: strings.TrimRight(base, "/"), http: &http.Client{Transport: transport}, ns: a.namespace}
	if u.User != nil { // http://user:password@host
		c.base = strings.TrimRight(strings.Replace(base, u.User.String()+"@", "", 1), "/")
		password, _ := u.User.Password()
		c.auth = basic(u.User.Username(), password)
	}
	switch token := first(a.token, a.env("LEAT_TOKEN")); {
	case a.user != "":
		name, password, given := strings.Cut(a.user, ":")
		if !given {
			if password, err = a.password("password of " + name + ": "); err != nil {
				return nil, err
			}
		}
		c.auth = basic(name, password)
	case token != "":
		c.auth = "Bearer " + token
	}
	return c, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// password takes LEAT_PASSWORD, or asks on the terminal without showing what is typed.
func (a *app) password(question string) (string, error) {
	if p := a.env("LEAT_PASSWORD"); p != "" {
		return p, nil
	}
	file, ok := a.in.(interface{ Fd() uintptr })
	if !ok || !a.talking {
		return "", usageError("no password: give NAME:PASSWORD or set LEAT_PASSWORD")
	}
	fmt.Fprint(a.err, question)
	b, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(a.err)
	return string(b), err
}

// open sends a request and returns the answer with its body open. A refusal is returned as *problem.
func (c *client) open(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("User-Agent", "leat/"+version)
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	if c.ns != "" {
		req.Header.Set("Leat-Namespace", c.ns)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, readProblem(res)
}

// readProblem makes the best of an answer that is a refusal: it may come from a proxy in between and be anything.
func readProblem(res *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, problemBytesMax))
	if err != nil {
		return err
	}
	p := &problem{}
	var r struct { // of the schema registry
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &r) == nil && r.Code != 0 {
		p = &problem{Title: "refused (" + strconv.Itoa(r.Code) + ")", Detail: r.Message}
	} else if json.Unmarshal(text, p) != nil || p.Title == "" {
		p = &problem{Title: res.Status, Detail: strings.TrimSpace(string(text[:min(len(text), 200)]))}
	}
	p.Status, p.RetryAfter = res.StatusCode, res.Header.Get("Retry-After")
	return p
}

// call sends in as JSON (nil sends nothing) and reads the answer into out (nil ignores it).
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	header, body := http.Header{"Accept": {"application/json"}}, io.Reader(nil)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		header.Set("Content-Type", "application/json")
		body = bytes.NewReader(b)
	}
	res, err := c.open(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return readAnswer(res, out)
}

func readAnswer(res *http.Response, out any) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, answerBytesMax+1))
	if err != nil {
		return err
	}
	if len(b) > answerBytesMax {
		return fmt.Errorf("the answer has more than %d bytes; ask for less", answerBytesMax)
	}
	if out == nil || len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("what answers at %s is not a Leat node: %w", res.Request.URL.Redacted(), err)
	}
	return nil
}

// streamPath is the path of a stream's resource.
func streamPath(name string) string { return "/v1/streams/" + url.PathEscape(name) }

func userPath(name string) string { return "/v1/users/" + url.PathEscape(name) }
