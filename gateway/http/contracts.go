package http

import (
	"cmp"
	"maps"
	nethttp "net/http"
	"slices"
	"strings"
	"time"

	"leat/broker"
)

// /v1/contracts/…: who was seen to produce and consume which type of event, and what is made of that and of schemas. docs/contracts.md is for who uses it.

// withinMax is how far back a question about the catalogue may look.
const withinMax = 10 * 365 * 24 * time.Hour

// catalogueQuery is what the parameters ask for.
func (x *call) catalogueQuery() (q broker.CatalogueQuery, err error) {
	if err := x.onlyParams("type", "stream", "service", "role", "within"); err != nil {
		return q, err
	}
	if types := x.query["type"]; len(types) > 1 {
		return q, wrong("catalogue", "type", "this query parameter may be given once")
	}
	q = broker.CatalogueQuery{Type: x.param("type"), Stream: x.param("stream"), Service: x.param("service"), Role: x.param("role")}
	if q.Role != "" && q.Role != "produces" && q.Role != "consumes" {
		return q, wrong("catalogue", "role", "%q is no role; produces and consumes are", clip(q.Role))
	}
	if text := x.param("within"); text != "" {
		if q.Within, err = time.ParseDuration(text); err != nil || q.Within <= 0 || q.Within > withinMax {
			return q, wrong("catalogue", "within", "%q is no time up to %s; text such as 24h is", clip(text), withinMax)
		}
	}
	return q, nil
}

func contractCatalogue(x *call) error {
	q, err := x.catalogueQuery()
	if err != nil {
		return err
	}
	x.w.Header()["Cache-Control"] = headerNoStore
	return x.answerJSON(nethttp.StatusOK, x.g.broker.Catalogue(x.caller(), q))
}

// GET /v1/contracts/coupling: how services hang together. quiet: after which time somebody counts as gone.
func contractCoupling(x *call) error {
	if err := x.onlyParams("quiet"); err != nil {
		return err
	}
	quiet := time.Duration(0)
	if text := x.param("quiet"); text != "" {
		var err error
		if quiet, err = time.ParseDuration(text); err != nil || quiet <= 0 || quiet > withinMax {
			return wrong("coupling", "quiet", "%q is no time up to %s; text such as 168h is", clip(text), withinMax)
		}
	}
	x.w.Header()["Cache-Control"] = headerNoStore
	return x.answerJSON(nethttp.StatusOK, x.g.broker.Coupling(x.caller(), quiet))
}

// GET /v1/contracts/asyncapi: the whole as an AsyncAPI 3.0 document.
func contractDocument(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	var o broker.DocumentOptions
	if x.g.opened != nil {
		open := x.g.opened()
		for _, name := range slices.Sorted(maps.Keys(open)) {
			l := open[name]
			host := cmp.Or(l.Advertise, l.Addr)
			protocol, _, _ := strings.Cut(name, "-")
			if name == "schema-registry" {
				o.Registry = map[bool]string{false: "http://", true: "https://"}[l.TLS] + host
			}
			o.Servers = append(o.Servers, broker.DocumentServer{Name: name, Protocol: protocol, Host: host, TLS: l.TLS})
		}
	}
	doc, err := x.g.broker.AsyncAPI(x.caller(), o)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h["Cache-Control"], h["Content-Type"] = headerNoStore, []string{"application/vnd.aai.asyncapi+json;version=3.0.0"}
	x.w.WriteHeader(nethttp.StatusOK)
	if x.r.Method != nethttp.MethodHead {
		_, _ = x.w.Write(doc) // a connection that is gone is found out by whoever reads next
	}
	return nil
}

// GET /v1/contracts/lint: advice about schemas that are registered, of one name or of all. POST: about one that is not.
func lintContracts(x *call) error {
	if err := x.onlyParams("name"); err != nil {
		return err
	}
	all, err := x.g.broker.Lint(x.caller(), x.param("name"))
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Schemas []broker.SchemaAdvice `json:"schemas"`
	}{all})
}

// draftBody is a schema that is not registered.
type draftBody struct {
	Subject string `json:"subject"`
	broker.SchemaDraft
}

func (x *call) draft(op string) (d draftBody, err error) {
	if err := x.smallBody(op, &d); err != nil {
		return d, err
	}
	switch {
	case d.Subject == "":
		return d, wrong(op, "subject", "name the subject that the schema is for").at("/subject")
	case d.Text == "":
		return d, wrong(op, "schema", "there is no schema").at("/schema")
	}
	return d, nil
}

func lintDraft(x *call) error {
	d, err := x.draft("lint")
	if err != nil {
		return err
	}
	a, err := x.g.broker.LintDraft(x.caller(), d.Subject, d.SchemaDraft)
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, a)
}

// POST /v1/contracts/affected: whom it concerns when a schema becomes the next version of a subject.
func contractAffected(x *call) error {
	d, err := x.draft("check")
	if err != nil {
		return err
	}
	all, err := x.g.broker.AffectedBy(x.caller(), d.Subject, d.SchemaDraft)
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Affected []broker.Affected `json:"affected"`
	}{all})
}

// GET /v1/contracts/tags: fields that have tags, and who is handed them.
func contractTags(x *call) error {
	if err := x.onlyParams("subject"); err != nil {
		return err
	}
	all, err := x.g.broker.Tags(x.caller(), x.param("subject"))
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Fields []broker.TaggedField `json:"fields"`
	}{all})
}

// GET, PUT, DELETE /v1/contracts/reads: what consumers declare that they read.
func listReads(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Reads []*broker.DeclaredReads `json:"reads"`
	}{x.g.broker.AllReads(x.caller())})
}

func putReads(x *call) error {
	var doc struct {
		Service string   `json:"service"`
		Type    string   `json:"type"`
		Fields  []string `json:"fields"`
	}
	if err := x.smallBody("reads", &doc); err != nil {
		return err
	}
	d, err := x.g.broker.DeclareReads(x.r.Context(), x.caller(), broker.DeclaredReads{Service: doc.Service, Type: doc.Type, Fields: doc.Fields})
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, d)
}

func deleteReads(x *call) error {
	if err := x.onlyParams("service", "type"); err != nil {
		return err
	}
	if err := x.g.broker.UndeclareReads(x.r.Context(), x.caller(), x.param("service"), x.param("type")); err != nil {
		return err
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}
