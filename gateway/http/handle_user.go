package http

import (
	"encoding/json"
	nethttp "net/http"
	"strconv"

	"leat/broker"
	"leat/broker/fault"
)

// Users: GET /v1/users, GET, PUT and DELETE /v1/users/{name}. Secrets go in and never come out, but for a new token, once, in the
// answer to the PUT that asked for it, and a new access key likewise.

// userJSON is what a PUT takes: it replaces namespace, grants and quota; a password that is left out stays.
type userJSON struct {
	Name      string         `json:"name"`
	Password  string         `json:"password"`
	NewToken  bool           `json:"new_token"`
	Namespace string         `json:"namespace"`
	Grants    []broker.Grant `json:"grants"`
	Quota     *broker.Quota  `json:"quota"`

	AccessKeys   []string `json:"access_keys"`
	NewAccessKey bool     `json:"new_access_key"`
}

func listUsers(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	users, err := x.g.broker.ListUsers(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, struct {
		Users []broker.User `json:"users"`
	}{users})
}

func getUser(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	u, err := x.g.broker.GetUser(x.r.Context(), x.caller(), x.params[0])
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, u)
}

func putUser(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if err := x.wantJSON(); err != nil {
		return err
	}
	var doc userJSON
	if err := decodeJSON("user", x.body.bytes, &doc); err != nil {
		return err
	}
	name := x.params[0]
	if doc.Name != "" && doc.Name != name {
		return wrong("user", "name", "the path says %q and the body %q", clip(name), clip(doc.Name)).at("/name")
	}
	for i := range doc.Grants {
		if err := doc.Grants[i].Check(); err != nil {
			p := asProblem(err)
			p.field = p.fault.Subject
			return p.at("/grants/" + strconv.Itoa(i) + "/" + p.fault.Subject)
		}
	}
	if doc.Quota != nil {
		if err := doc.Quota.Check(); err != nil {
			p := asProblem(err)
			p.field = p.fault.Subject
			return p.at("/quota/" + p.fault.Subject)
		}
	}
	ctx, code := x.r.Context(), nethttp.StatusOK
	if _, err := x.g.broker.GetUser(ctx, x.caller(), name); fault.Is(err, fault.NotFound) {
		code = nethttp.StatusCreated
	}
	u, err := x.g.broker.PutUser(ctx, x.caller(), broker.User{
		Name: name, Password: doc.Password, NewToken: doc.NewToken, Namespace: doc.Namespace, Grants: doc.Grants, Quota: doc.Quota,
		AccessKeys: doc.AccessKeys, NewAccessKey: doc.NewAccessKey,
	})
	if err != nil {
		return bodyField(err)
	}
	if u.Token != "" || u.SecretKey != "" {
		x.w.Header()["Cache-Control"] = headerNoStore
	}
	return x.answerJSON(code, u)
}

func deleteUser(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	if err := x.g.broker.DeleteUser(x.r.Context(), x.caller(), x.params[0]); err != nil {
		return err
	}
	x.w.WriteHeader(nethttp.StatusNoContent)
	return nil
}

// answerJSON answers with a document that is not worth writing by hand.
func (x *call) answerJSON(code int, doc any) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	x.answer(code, contentTypeJSON, append(b, '\n'))
	return nil
}

// bodyField makes the subject of an Invalid refusal the member of the body that it is about.
func bodyField(err error) error {
	p := asProblem(err)
	if p.fault.Kind == fault.Invalid && p.field == "" && p.fault.Subject != "" {
		p.field = p.fault.Subject
		p.pointer = "/" + pointerToken(p.fault.Subject)
	}
	return p
}
