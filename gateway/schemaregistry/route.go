package schemaregistry

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"leat/internal/clock"
)

// A route is a method and a path. Segments in braces are any.
type route struct {
	method, path string
	run          func(ctx context.Context, x *call) (any, error)

	segments []string
	quick    bool // it waits for nothing, and needs no time to stop at
}

func (r *route) name() string { return r.method + " /" + r.path }

// routes are all there are. The first one that fits is taken.
var routes []*route

func init() {
	add := func(method, path string, run func(context.Context, *call) (any, error)) *route {
		r := &route{method: method, path: path, run: run, segments: strings.Split(path, "/")}
		routes = append(routes, r)
		return r
	}
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	add(get, "", getRoot)
	add(post, "", getRoot)

	add(get, "subjects", listSubjects)
	add(post, "subjects/{subject}", lookup)
	add(del, "subjects/{subject}", deleteSubject)
	add(get, "subjects/{subject}/metadata", latestWithMetadata)
	add(get, "subjects/{subject}/versions", listVersions)
	add(post, "subjects/{subject}/versions", register)
	add(get, "subjects/{subject}/versions/{version}", getVersion)
	add(del, "subjects/{subject}/versions/{version}", deleteVersion)
	add(get, "subjects/{subject}/versions/{version}/schema", getVersionText)
	add(get, "subjects/{subject}/versions/{version}/referencedby", referencedBy)

	add(get, "schemas", listSchemas)
	add(get, "schemas/types", schemaTypes)
	add(get, "schemas/ids/{id}", getByID).quick = true // what consumers ask for
	add(get, "schemas/ids/{id}/schema", getTextByID)
	add(get, "schemas/ids/{id}/subjects", subjectsOfID)
	add(get, "schemas/ids/{id}/versions", versionsOfID)
	add(get, "schemas/guids/{guid}", getByGUID)
	add(get, "schemas/guids/{guid}/ids", idsOfGUID)

	add(post, "compatibility/subjects/{subject}/versions", compatible)
	add(post, "compatibility/subjects/{subject}/versions/{version}", compatible)

	for _, path := range []string{"config", "config/{subject}"} {
		add(get, path, getConfig)
		add(put, path, putConfig)
		add(del, path, deleteConfig)
	}
	for _, path := range []string{"mode", "mode/{subject}"} {
		add(get, path, getMode)
		add(put, path, putMode)
		add(del, path, deleteMode)
	}
	add(get, "contexts", listContexts)
	add(del, "contexts/{context}", deleteContext)
	add(get, "v1/metadata/id", metadataID)
	add(get, "v1/metadata/version", metadataVersion)
	add(get, "v1/metadata/deployment", metadataDeployment)

	add(get, "contracts", listContracts)
	add(get, "contracts/{name}", getContract)
	add(put, "contracts/{name}", putContract)
	add(del, "contracts/{name}", deleteContract)

	add(get, "quarantine", listQuarantine)
	add(get, "quarantine/{offset}", getQuarantined)
	add(post, "quarantine/replay", replayQuarantined)
	add(post, "quarantine/drop", dropQuarantined)
}

// find is the route of a path that is split at its slashes, or the methods that the path has.
func find(method string, in []string) (found *route, vars map[string]string, methods []string) {
	for _, r := range routes {
		v, ok := r.fits(in)
		if !ok {
			continue
		}
		if r.method == method || method == http.MethodHead && r.method == http.MethodGet {
			return r, v, nil
		}
		if !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	return nil, nil, methods
}

func (r *route) fits(in []string) (vars map[string]string, ok bool) {
	if len(in) != len(r.segments) {
		return nil, false
	}
	for i, s := range r.segments {
		if s != in[i] && (in[i] == "" || !strings.HasPrefix(s, "{")) {
			return nil, false
		}
	}
	vars = map[string]string{}
	for i, s := range r.segments {
		if strings.HasPrefix(s, "{") {
			vars[strings.Trim(s, "{}")] = in[i]
		}
	}
	return vars, true
}

// split is an escaped path as its plain segments: a subject may have slashes of its own.
func split(escaped string) ([]string, bool) {
	in := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, s := range in {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, false
		}
		in[i] = plain
	}
	return in, true
}

// handle answers a request, and says which route it took.
func (g *Gateway) handle(x *call) (*route, error) {
	if err := g.guard(x.r); err != nil {
		return nil, x.refuse(err)
	}
	in, ok := split(x.r.URL.EscapedPath())
	if !ok {
		return nil, x.refuse(errPath)
	}
	x.query = x.r.URL.Query()
	// /contexts/.c/subjects/s is /subjects/:.c:s
	context := ""
	if len(in) > 2 && in[0] == "contexts" {
		context, in = in[1], in[2:]
	}
	r, vars, methods := find(x.r.Method, in)
	switch {
	case r == nil && len(methods) == 0:
		return nil, x.refuse(errPath)
	case r == nil:
		x.w.Header().Set("Allow", strings.Join(append(methods, http.MethodOptions), ", "))
		return nil, x.refuse(&problem{http.StatusMethodNotAllowed, http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed"})
	}
	ctx, cancel := g.timeFor(x.r.Context(), r)
	defer cancel()
	x.vars = vars
	x.inContext(context)
	if err := x.negotiate(); err != nil {
		return r, x.refuse(err)
	}
	if err := x.login(ctx); err != nil {
		return r, x.refuse(err)
	}
	v, err := r.run(ctx, x)
	if err != nil {
		return r, x.refuse(err)
	}
	return r, x.answer(http.StatusOK, v)
}

// timeFor bounds what a request may take. What waits for nothing needs no bound, unless somebody has to log in.
func (g *Gateway) timeFor(ctx context.Context, r *route) (context.Context, context.CancelFunc) {
	if r.quick && !g.b.UsersExist() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, clock.Now().Add(g.cfg.CallTimeout))
}
