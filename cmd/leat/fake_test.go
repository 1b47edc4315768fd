package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// startNode gives the tests a node: today a small HTTP API of the same shape. What it answers is what the issue and openapi.json fix and no
// more, so that a real node can stand in its place.
func startNode(t *testing.T) (url string) {
	t.Helper()
	f := &fake{streams: map[string]*fakeStream{}, users: map[string]map[string]any{}, changed: make(chan struct{}), gone: make(chan struct{})}
	s := httptest.NewServer(f.mux())
	t.Cleanup(func() { close(f.gone); s.CloseClientConnections(); s.Close() })
	return s.URL
}

type fakeStream struct {
	config   map[string]any
	events   []map[string]any
	versions map[string]uint64
}

type fake struct {
	mu      sync.Mutex
	streams map[string]*fakeStream
	users   map[string]map[string]any
	changed chan struct{}
	gone    chan struct{}
}

func (f *fake) mux() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/streams", f.locked(func(w http.ResponseWriter, r *http.Request) {
		var rows []map[string]any
		for name := range f.streams {
			rows = append(rows, map[string]any{"name": name, "partitions": 1})
		}
		slices.SortFunc(rows, func(a, b map[string]any) int { return strings.Compare(a["name"].(string), b["name"].(string)) })
		after, page, next := r.URL.Query().Get("from"), []any{}, any(nil)
		for _, row := range rows { // two on a page, so that paging is seen
			if row["name"].(string) <= after {
				continue
			}
			if len(page) == 2 {
				next = page[1].(map[string]any)["name"]
				break
			}
			page = append(page, row)
		}
		answer(w, 200, map[string]any{"streams": page, "next": next})
	}))
	m.HandleFunc("PUT /v1/streams/{s}", f.locked(func(w http.ResponseWriter, r *http.Request) {
		var config map[string]any
		if json.NewDecoder(r.Body).Decode(&config) != nil {
			refuse(w, 400, "The request is wrong", "not JSON", "body")
			return
		}
		st := f.stream(r.PathValue("s"))
		st.config = config
		answer(w, 201, map[string]any{"name": r.PathValue("s"), "config": config})
	}))
	m.HandleFunc("GET /v1/streams/{s}", f.locked(f.have(func(w http.ResponseWriter, r *http.Request, st *fakeStream) {
		answer(w, 200, map[string]any{"name": r.PathValue("s"), "config": st.config, "partitions": []any{map[string]any{"partition": 0, "start": 0, "end": len(st.events)}}})
	})))
	m.HandleFunc("DELETE /v1/streams/{s}", f.locked(f.have(func(w http.ResponseWriter, r *http.Request, _ *fakeStream) {
		delete(f.streams, r.PathValue("s"))
		w.WriteHeader(204)
	})))
	m.HandleFunc("POST /v1/streams/{s}/truncate", f.locked(f.have(func(w http.ResponseWriter, r *http.Request, st *fakeStream) {
		var doc map[string]any
		if json.NewDecoder(r.Body).Decode(&doc) != nil {
			refuse(w, 400, "The request is wrong", "not JSON", "body")
			return
		}
		answer(w, 200, map[string]any{"asked": doc, "partitions": []any{map[string]any{"partition": 0, "start": len(st.events), "end": len(st.events)}}})
	})))
	m.HandleFunc("POST /v1/streams/{s}/events", f.locked(f.publish))
	m.HandleFunc("GET /v1/streams/{s}/events", f.read)
	m.HandleFunc("GET /v1/streams/{s}/latest", f.locked(f.have(latestOf)))
	m.HandleFunc("GET /v1/events/{s}/{p}/{o}", f.locked(f.have(func(w http.ResponseWriter, r *http.Request, st *fakeStream) {
		o, _ := strconv.Atoi(r.PathValue("o"))
		if o >= len(st.events) {
			refuse(w, 404, "Not there", "no event "+r.URL.Path, "ref")
			return
		}
		answer(w, 200, st.events[o])
	})))
	m.HandleFunc("POST /v1/append", f.locked(f.append))
	m.HandleFunc("GET /v1/users", f.locked(func(w http.ResponseWriter, r *http.Request) {
		var rows []any
		for name, u := range f.users {
			rows = append(rows, map[string]any{"name": name, "grants": u["grants"], "quota": u["quota"]})
		}
		answer(w, 200, map[string]any{"users": rows})
	}))
	m.HandleFunc("/v1/users/{u}", f.locked(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("u")
		u, ok := f.users[name]
		switch {
		case r.Method == "PUT":
			var doc map[string]any
			if json.NewDecoder(r.Body).Decode(&doc) != nil || !ok && doc["password"] == nil && doc["new_token"] == nil && doc["new_access_key"] == nil {
				refuse(w, 400, "The request is wrong", "a new user needs a password", "password")
				return
			}
			if doc["password"] == nil {
				doc["password"] = u["password"]
			}
			f.users[name] = doc
			row := map[string]any{"name": name, "grants": doc["grants"]}
			if doc["new_token"] == true {
				row["token"] = "t0ken"
			}
			if doc["new_access_key"] == true {
				row["access_key"], row["secret_key"], doc["access_keys"] = "LKIA1", "s3cret", []any{"LKIA1"}
			}
			answer(w, 200, row)
		case !ok:
			refuse(w, 404, "Not there", "no user "+name, "name")
		case r.Method == "DELETE":
			delete(f.users, name)
			w.WriteHeader(204)
		default:
			answer(w, 200, map[string]any{"name": name, "grants": u["grants"], "quota": u["quota"], "access_keys": u["access_keys"]})
		}
	}))
	return m
}

func (f *fake) locked(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, pw, ok := r.BasicAuth(); ok && pw != "right" {
			refuse(w, 401, "Who are you?", "the password is wrong", "Authorization")
			return
		}
		h(w, r)
	}
}

func (f *fake) have(h func(http.ResponseWriter, *http.Request, *fakeStream)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if st, ok := f.streams[r.PathValue("s")]; ok {
			h(w, r, st)
			return
		}
		refuse(w, 404, "Not there", "no stream "+r.PathValue("s")+"; did you mean orders?", "stream")
	}
}

func (f *fake) stream(name string) *fakeStream {
	if f.streams[name] == nil {
		f.streams[name] = &fakeStream{versions: map[string]uint64{}}
	}
	return f.streams[name]
}

// store appends an event and wakes followers.
func (f *fake) store(name string, e map[string]any) map[string]any {
	st := f.stream(name)
	st.events = append(st.events, e)
	key, _ := e["partitionkey"].(string)
	st.versions[key]++
	close(f.changed)
	f.changed = make(chan struct{})
	n := len(st.events)
	return map[string]any{"ref": fmt.Sprintf("%s/0/%d", name, n-1), "id": e["id"], "position": fmt.Sprint("p", n), "duplicate": false, "version": st.versions[key]}
}

// latestOf gives two keys on a page, so that paging is seen.
func latestOf(w http.ResponseWriter, r *http.Request, st *fakeStream) {
	q := r.URL.Query()
	newest := map[string]map[string]any{}
	for _, e := range st.events {
		if key, ok := e["partitionkey"].(string); ok && strings.HasPrefix(key, q.Get("prefix")) && "p"+key > q.Get("after") {
			newest[key] = e
		}
	}
	keys := slices.Sorted(maps.Keys(newest))
	limit, _ := strconv.Atoi(q.Get("limit"))
	events, next := []any{}, q.Get("after")
	for _, key := range keys[:min(len(keys), limit, 2)] {
		events, next = append(events, newest[key]), "p"+key
	}
	answer(w, 200, map[string]any{"events": events, "next": next, "caught_up": len(events) == len(keys)})
}

func (f *fake) publish(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	name := r.PathValue("s")
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents-batch+json") {
		var batch []map[string]any
		if err := json.Unmarshal(body, &batch); err != nil {
			refuse(w, 400, "The request is wrong", err.Error(), "body")
			return
		}
		var list []any
		for _, e := range batch {
			list = append(list, f.store(name, e))
		}
		answer(w, 201, list)
		return
	}
	e := map[string]any{"specversion": "1.0", "id": name + "/0/" + strconv.Itoa(len(f.stream(name).events)), "source": "/" + name, "type": name}
	for h, v := range r.Header {
		if a, ok := strings.CutPrefix(strings.ToLower(h), "ce-"); ok {
			e[a] = v[0]
		}
	}
	if want := r.Header.Get("Leat-Expected-Version"); want == "none" {
		if v := f.stream(name).versions[fmt.Sprint(e["partitionkey"])]; v > 0 {
			refuse(w, 409, "The version is another", fmt.Sprintf("the key has version %d", v), "Leat-Expected-Version")
			return
		}
	}
	if r.Header.Get("Content-Type") == "application/json" {
		e["data"] = json.RawMessage(body)
	} else {
		e["data"] = string(body)
	}
	answer(w, 201, f.store(name, e))
}

func (f *fake) append(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Events []map[string]any `json:"events"`
		If     []struct {
			Stream, Key string
			Version     any
		} `json:"if"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, 400, "The request is wrong", err.Error(), "body")
		return
	}
	for _, c := range in.If {
		has, want := f.stream(c.Stream).versions[c.Key], c.Version
		if want == "none" {
			want = float64(0)
		}
		if want != float64(has) {
			refuse(w, 409, "A condition failed", fmt.Sprintf("%s has version %d, not %v", c.Key, has, want), "if")
			return
		}
	}
	var list []any
	for _, e := range in.Events {
		list = append(list, f.store(e["stream"].(string), e))
	}
	answer(w, 201, map[string]any{"events": list})
}

// read answers pages of at most two events, so that paging is seen, and follows.
func (f *fake) read(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	st, ok := f.streams[r.PathValue("s")]
	f.mu.Unlock()
	if !ok {
		refuse(w, 404, "Not there", "no stream "+r.PathValue("s")+"; did you mean orders?", "stream")
		return
	}
	q := r.URL.Query()
	at := 0
	follow := r.Header.Get("Accept") == "text/event-stream"
	from := first(r.Header.Get("Last-Event-ID"), q.Get("from"))
	f.mu.Lock()
	if follow && (from == "" || from == "latest") {
		at = len(st.events)
	}
	f.mu.Unlock()
	if p, ok := strings.CutPrefix(from, "p"); ok {
		at, _ = strconv.Atoi(p)
	}
	if !follow {
		limit, _ := strconv.Atoi(q.Get("limit"))
		f.mu.Lock()
		end := min(at+min(limit, 2), len(st.events))
		answer(w, 200, map[string]any{"events": st.events[at:end], "next": fmt.Sprint("p", end), "caught_up": end == len(st.events)})
		f.mu.Unlock()
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Transfer-Encoding", "identity") // as a node does: no chunks, whose sizes would stand in the middle of events
	w.WriteHeader(200)
	_ = http.NewResponseController(w).Flush()
	for {
		f.mu.Lock()
		events, wait := st.events[at:], f.changed
		f.mu.Unlock()
		for _, e := range events {
			b, _ := json.Marshal(e)
			at++
			fmt.Fprintf(w, ": a comment\nid: p%d\ndata: %s\n\n", at, b)
		}
		if len(events) > 0 {
			_ = http.NewResponseController(w).Flush()
			if q.Get("where") == "break" { // the node goes away once an event was sent
				return
			}
		}
		select {
		case <-wait:
		case <-f.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, title, detail, field string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:leat:problem:x", "title": title, "status": code, "detail": detail, "field": field})
}
