package http

import (
	"context"
	"encoding/json"
	nethttp "net/http"
	"strconv"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/clock"
	"leat/link"
)

// GET /v1/links; GET, PUT, DELETE /v1/links/{name}; POST /v1/links/{name}/switch. What a link does is package link. docs/link.md is for who uses it.

// linkPut is what a PUT takes: it replaces the settings. A password that is not mentioned stays.
type linkPut struct {
	Name string `json:"name"`
	link.Settings
	Password *string `json:"password"`
}

// linkJSON is a link as the API shows it.
type linkJSON struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	link.Settings
	By       string         `json:"by,omitempty"`
	Created  string         `json:"created"`
	Changed  string         `json:"changed"`
	Revision uint64         `json:"revision"`
	State    *linkStateJSON `json:"state,omitempty"`
}

type linkStateJSON struct {
	State      string              `json:"state"`
	Why        string              `json:"why,omitempty"`
	Since      string              `json:"since,omitempty"`
	Topics     int                 `json:"topics"`
	Groups     int                 `json:"groups"`
	Lag        int64               `json:"lag"`
	Copied     int64               `json:"copied"`
	Bytes      int64               `json:"bytes"`
	Lost       int64               `json:"lost"`
	Stopped    []linkStoppedJSON   `json:"stopped,omitempty"`
	Partitions []linkPartitionJSON `json:"partitions,omitempty"`
}

type linkStoppedJSON struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

type linkPartitionJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
}

func (g *Gateway) linkJSON(d *broker.Document, inFull bool) (linkJSON, error) {
	out := linkJSON{
		Name: d.Name, Namespace: d.Namespace, By: d.By, Revision: d.Revision,
		Created: d.Created.UTC().Format(time.RFC3339Nano), Changed: d.Changed.UTC().Format(time.RFC3339Nano),
	}
	var err error
	if out.Settings, err = link.Of(d); err != nil {
		return out, err
	}
	if out.Mode == "" {
		out.Mode = link.ModeCopy
	}
	s, some := g.link.State(d.Namespace, d.Name)
	if !some || out.Mode == link.ModeSwitched { // its worker is on the way out
		return out, nil
	}
	state := &linkStateJSON{State: s.State, Why: s.Why, Topics: s.Topics, Groups: s.Groups, Lag: s.Lag, Copied: s.Copied, Bytes: s.Bytes, Lost: s.Lost}
	if !s.Since.IsZero() {
		state.Since = s.Since.UTC().Format(time.RFC3339Nano)
	}
	for _, x := range s.Stopped {
		state.Stopped = append(state.Stopped, linkStoppedJSON{x.What, x.Why})
	}
	if inFull {
		for _, p := range s.Partitions {
			state.Partitions = append(state.Partitions, linkPartitionJSON{p.Topic, int32(p.Partition), int64(p.Next), int64(p.End), int64(p.End - p.Next)})
		}
	}
	out.State = state
	return out, nil
}

// withLinks refuses where nothing links.
func (x *call) withLinks() error {
	if x.g.link == nil {
		return fault.New(fault.Unsupported, "link", "", "this program does not link")
	}
	return x.onlyParams()
}

func listLinks(x *call) error {
	if err := x.withLinks(); err != nil {
		return err
	}
	all, err := x.g.broker.ListDocuments(x.r.Context(), x.caller(), broker.KindLink)
	if err != nil {
		return err
	}
	out := make([]linkJSON, 0, len(all))
	for _, d := range all {
		l, err := x.g.linkJSON(d, false)
		if err != nil {
			return err
		}
		out = append(out, l)
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Links []linkJSON `json:"links"`
	}{out})
}

func getLink(x *call) error {
	if err := x.withLinks(); err != nil {
		return err
	}
	d, err := x.g.broker.GetDocument(x.r.Context(), x.caller(), broker.KindLink, x.params[0])
	if err != nil {
		return err
	}
	return x.answerLink(nethttp.StatusOK, d)
}

func (x *call) answerLink(code int, d *broker.Document) error {
	doc, err := x.g.linkJSON(d, true)
	if err != nil {
		return err
	}
	x.w.Header().Set("ETag", `"`+strconv.FormatUint(d.Revision, 10)+`"`)
	return x.answerJSON(code, doc)
}

// putLink makes a link or replaces its settings. One that was switched stays so: what it copied stands by itself.
func putLink(x *call) error {
	if err := x.withLinks(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	var doc linkPut
	if err := decodeJSON("link", x.body.bytes, &doc); err != nil {
		return err
	}
	name := x.params[0]
	if doc.Name != "" && doc.Name != name {
		return wrong("link", "name", "the path says %q and the body %q", clip(name), clip(doc.Name)).at("/name")
	}
	if doc.Mode == link.ModeSwitched {
		return wrong("link", "mode", "a link is switched by POST …/switch").at("/mode")
	}
	revision, err := x.ifMatch()
	if err != nil {
		return err
	}
	d, created, err := x.g.broker.PutDocument(x.r.Context(), x.caller(), broker.KindLink, name, revision,
		func(old *broker.Document) (told json.RawMessage, secret []byte, err error) {
			if old != nil {
				if x.r.Header.Get("If-None-Match") == "*" {
					return nil, nil, fault.New(fault.Exists, "put", name, "there is a link of that name")
				}
				if was, err := link.Of(old); err == nil && was.Mode == link.ModeSwitched {
					return nil, nil, fault.New(fault.Conflict, "put", name, "the link was switched; delete it, and make another one")
				}
				secret = old.Secret
			}
			if doc.Password != nil {
				secret = []byte(*doc.Password)
			}
			if doc.SASL == nil {
				secret = nil
			}
			if err := doc.Check(string(secret)); err != nil {
				return nil, nil, err
			}
			told, err = json.Marshal(doc.Settings)
			return told, secret, err
		})
	if err != nil {
		return err
	}
	x.g.link.Wake()
	code := nethttp.StatusOK
	if created {
		code = nethttp.StatusCreated
		x.w.Header().Set("Location", "/v1/links/"+name)
	}
	return x.answerLink(code, d)
}

// deleteLink ends a link where it is: what it has copied stays, and takes appends from then on.
func deleteLink(x *call) error {
	if err := x.withLinks(); err != nil {
		return err
	}
	revision, err := x.ifMatch()
	if err != nil {
		return err
	}
	c := x.caller()
	if err := x.g.broker.DeleteDocument(x.r.Context(), c, broker.KindLink, x.params[0], revision); err != nil {
		return err
	}
	if err := x.g.link.Release(x.r.Context(), c, x.params[0]); err != nil {
		return err
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}

// switchWaitMax is how long a switch may wait for what is missing.
const switchWaitMax = 10 * time.Minute

func switchLink(x *call) error {
	if err := x.withLinks(); err != nil {
		return err
	}
	var doc struct {
		Wait span `json:"wait"`
	}
	if err := x.smallBody("switch", &doc); err != nil {
		return err
	}
	wait, err := doc.Wait.of("switch", "wait", 10*time.Second, 0, switchWaitMax)
	if err != nil {
		return err
	}
	x.body.free()
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(x.g.followers.ctx, cancel)()
	rc, now := nethttp.NewResponseController(x.w), clock.Now()
	_ = rc.SetReadDeadline(now.Add(2*wait + x.g.limits.ReadTimeout))   // fails when closed, and so will the answer
	_ = rc.SetWriteDeadline(now.Add(2*wait + x.g.limits.WriteTimeout)) // likewise
	if err := x.g.link.Switch(ctx, x.caller(), x.params[0], wait); err != nil {
		return err
	}
	d, err := x.g.broker.GetDocument(x.r.Context(), x.caller(), broker.KindLink, x.params[0])
	if err != nil {
		return err
	}
	return x.answerLink(nethttp.StatusOK, d)
}
