package rabbitmq

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"leat/broker"
	"leat/gateway/amqp091"
)

// Users are Leat's, and permissions their grants: those with permissionLabel are what was put here, and go when permissions are put again. Others, made
// with `leat user`, are told as far as permissions can say what they do, and stay.
//
//	configure   create, alter, delete   on streams and subscriptions     write   write on streams, alter (bind) on subscriptions
//	read        read on both            and whoever has any may describe all
const (
	permissionLabel = "rabbitmq permission"
	tagLabel        = "rabbitmq tag "
)

// tagGrants are what tags give beside permissions.
var tagGrants = map[string][]broker.Grant{
	"administrator": {
		{Action: broker.ActionAdmin, Kind: broker.KindNode, Pattern: "*"}, {Action: broker.ActionAdmin, Kind: broker.KindUser, Pattern: "*"},
		{Action: broker.ActionAlter, Kind: broker.KindSubscription, Pattern: "*"},
	},
	"policymaker": {{Action: broker.ActionAlter, Kind: broker.KindSubscription, Pattern: "*"}},
	"monitoring": {
		{Action: broker.ActionDescribe, Kind: broker.KindNode, Pattern: "*"}, {Action: broker.ActionDescribe, Kind: broker.KindStream, Pattern: "*"},
		{Action: broker.ActionDescribe, Kind: broker.KindSubscription, Pattern: "*"},
	},
	"management": {{Action: broker.ActionDescribe, Kind: broker.KindNode, Pattern: "rabbitmq"}},
}

// tagsOf are the tags of a user.
func tagsOf(u *broker.User) []string {
	tags := []string{}
	for _, g := range u.Grants {
		t, is := strings.CutPrefix(g.Label, tagLabel)
		if !is && g.Action == broker.ActionAdmin && (g.Kind == broker.KindNode || g.Kind == "*") && g.Pattern == "*" && !g.Deny {
			t, is = "administrator", true
		}
		if is && !slices.Contains(tags, t) {
			tags = append(tags, t)
		}
	}
	return tags
}

func tellUser(name string, tags []string) object {
	return object{"name": name, "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": tags, "limits": object{}}
}

// users are those that the caller may see, himself among them; while there are none, he is the only one.
func (x *call) users(ctx context.Context) ([]broker.User, error) {
	us, err := x.g.b.ListUsers(ctx, &x.caller)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(us, func(u broker.User) bool { return u.Name == x.user }) {
		me := broker.User{Name: x.user, Namespace: x.caller.Namespace}
		may := func(a broker.Action, k broker.Kind) {
			if !x.g.b.UsersExist() || x.g.b.Allowed(&x.caller, a, k, "*") {
				me.Grants = append(me.Grants, broker.Grant{Action: a, Kind: k, Pattern: "*"})
			}
		}
		for _, a := range []broker.Action{broker.ActionAdmin, broker.ActionCreate, broker.ActionWrite, broker.ActionRead} {
			may(a, broker.KindNode)
			may(a, broker.KindStream)
			may(a, broker.KindSubscription)
		}
		us = append(us, me)
	}
	slices.SortFunc(us, func(a, b broker.User) int { return strings.Compare(a.Name, b.Name) })
	return us, nil
}

func (x *call) findUser(ctx context.Context, name string) (*broker.User, error) {
	us, err := x.users(ctx)
	if err != nil {
		return nil, err
	}
	for i := range us {
		if us[i].Name == name {
			return &us[i], nil
		}
	}
	return nil, errNotFound
}

// GET users
func getUsers(ctx context.Context, x *call) error {
	return x.listUsers(ctx, func(*broker.User) bool { return true })
}

// GET users/without-permissions
func getUsersWithout(ctx context.Context, x *call) error {
	return x.listUsers(ctx, func(u *broker.User) bool { p := permissionOf(u); return p == permission{} })
}

func (x *call) listUsers(ctx context.Context, fits func(*broker.User) bool) error {
	us, err := x.users(ctx)
	if err != nil {
		return err
	}
	all := []named{}
	for i := range us {
		if u := &us[i]; fits(u) {
			all = append(all, named{u.Name, func() (object, error) { return tellUser(u.Name, tagsOf(u)), nil }})
		}
	}
	return x.list(all)
}

// GET users/{name}
func getUser(ctx context.Context, x *call) error {
	u, err := x.findUser(ctx, x.vars[0])
	if err != nil {
		return err
	}
	return x.item(tellUser(u.Name, tagsOf(u)))
}

// userBody is what a user is made of.
type userBody struct {
	Password *string         `json:"password"`
	Hash     *string         `json:"password_hash"`
	Tags     json.RawMessage `json:"tags"`
}

// tags reads a list, or text with commas.
func (b *userBody) tags() (tags []string, err error) {
	if len(b.Tags) == 0 {
		return nil, badRequest("[{key_missing,tags}]")
	}
	var text string
	if json.Unmarshal(b.Tags, &text) == nil {
		for t := range strings.SplitSeq(text, ",") {
			if t = strings.TrimSpace(t); t != "" {
				tags = append(tags, t)
			}
		}
	} else if json.Unmarshal(b.Tags, &tags) != nil {
		return nil, badRequest("tags is a list, or text with commas")
	}
	for _, t := range tags {
		if _, is := tagGrants[t]; !is {
			return nil, badRequest("the tag " + clip(t) + " means nothing here: administrator, monitoring, policymaker and management do")
		}
	}
	return tags, nil
}

// PUT users/{name}. While there are no users the first one has to be an administrator.
func putUser(ctx context.Context, x *call) error {
	var b userBody
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	tags, err := b.tags()
	if err != nil {
		return err
	}
	u := broker.User{Name: x.vars[0]}
	old, missing := x.g.b.GetUser(ctx, &x.caller, x.vars[0])
	if missing == nil {
		u.Namespace, u.Quota, u.Grants = old.Namespace, old.Quota, slices.DeleteFunc(old.Grants, func(g broker.Grant) bool { return strings.HasPrefix(g.Label, tagLabel) })
	}
	given := b.Password != nil && *b.Password != ""
	switch {
	case b.Hash != nil && *b.Hash != "":
		return badRequest("a password_hash of RabbitMQ cannot be taken over, for passwords are kept as what SCRAM needs of them: say the password")
	case given:
		u.Password = *b.Password
	case missing != nil:
		u.NewToken = true // nobody is told: who is to log in by a certificate needs none, but a user needs something
	}
	for _, t := range tags {
		for _, g := range tagGrants[t] {
			g.Label = tagLabel + t
			u.Grants = append(u.Grants, g)
		}
	}
	if _, err := x.g.b.PutUser(ctx, &x.caller, u); err != nil {
		return err
	}
	return x.done(made(missing != nil))
}

// DELETE users/{name}
func deleteUser(ctx context.Context, x *call) error {
	if err := x.g.b.DeleteUser(ctx, &x.caller, x.vars[0]); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}

// POST users/bulk-delete {"users":[…]}: those that are not there are left
func deleteUsers(ctx context.Context, x *call) error {
	var b struct {
		Users []string `json:"users"`
	}
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	for _, name := range b.Users {
		if err := x.g.b.DeleteUser(ctx, &x.caller, name); err != nil && problemOf(err).status != http.StatusNotFound {
			return err
		}
	}
	return x.done(http.StatusNoContent)
}

// permission are the three expressions of a user in a virtual host.
type permission struct {
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// permissionOf tells grants as permissions: of queues what may be configured and read, of exchanges where may be written.
func permissionOf(u *broker.User) permission {
	of := func(a broker.Action, k broker.Kind) string {
		var patterns []string
		for _, g := range u.Grants {
			if !g.Deny && (g.Action == a || g.Action == broker.ActionAdmin || g.Action == "*") && (g.Kind == k || g.Kind == "*") && !slices.Contains(patterns, g.Pattern) {
				patterns = append(patterns, g.Pattern)
			}
		}
		return expressionOf(patterns)
	}
	return permission{of(broker.ActionCreate, broker.KindSubscription), of(broker.ActionWrite, broker.KindStream), of(broker.ActionRead, broker.KindSubscription)}
}

func (x *call) tellPermission(u *broker.User) object {
	p := permissionOf(u)
	return object{"user": u.Name, "vhost": x.vhost, "configure": p.Configure, "write": p.Write, "read": p.Read}
}

func (x *call) listPermissions(ctx context.Context, fits func(*broker.User) bool) error {
	us, err := x.users(ctx)
	if err != nil {
		return err
	}
	all := []named{}
	for i := range us {
		if u := &us[i]; fits(u) && permissionOf(u) != (permission{}) {
			all = append(all, named{u.Name, func() (object, error) { return x.tellPermission(u), nil }})
		}
	}
	return x.list(all)
}

// GET permissions, users/{name}/permissions
func getPermissions(ctx context.Context, x *call) error {
	if len(x.vars) > 0 {
		if _, err := x.findUser(ctx, x.vars[0]); err != nil {
			return err
		}
	}
	return x.listPermissions(ctx, func(u *broker.User) bool { return len(x.vars) == 0 || u.Name == x.vars[0] })
}

// GET vhosts/{vhost}/permissions
func getVhostPermissions(ctx context.Context, x *call) error {
	return x.listPermissions(ctx, func(u *broker.User) bool { return u.Namespace == "" || u.Namespace == x.caller.Namespace })
}

// GET permissions/{vhost}/{name}
func getPermission(ctx context.Context, x *call) error {
	u, err := x.findUser(ctx, x.vars[1])
	if err != nil {
		return err
	}
	if permissionOf(u) == (permission{}) {
		return errNotFound
	}
	return x.item(x.tellPermission(u))
}

// PUT permissions/{vhost}/{name}
func putPermission(ctx context.Context, x *call) error {
	var b struct {
		Configure *string `json:"configure"`
		Write     *string `json:"write"`
		Read      *string `json:"read"`
	}
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	if b.Configure == nil || b.Write == nil || b.Read == nil {
		return badRequest("configure, write and read are needed")
	}
	grants, err := grantsOf(permission{*b.Configure, *b.Write, *b.Read})
	if err != nil {
		return err
	}
	had, err := x.setPermission(ctx, grants)
	if err != nil {
		return err
	}
	return x.done(made(!had))
}

// DELETE permissions/{vhost}/{name}
func deletePermission(ctx context.Context, x *call) error {
	if _, err := x.setPermission(ctx, nil); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}

// setPermission puts grants in place of those put before, and reports whether there were any.
func (x *call) setPermission(ctx context.Context, grants []broker.Grant) (had bool, err error) {
	u, err := x.g.b.GetUser(ctx, &x.caller, x.vars[1])
	if err != nil {
		return false, err
	}
	n := len(u.Grants)
	was := slices.DeleteFunc(slices.Clone(u.Grants), func(g broker.Grant) bool { return g.Label != permissionLabel })
	if x.vhost != vhostRoot && u.Namespace != x.caller.Namespace {
		if slices.Equal(was, grants) {
			return true, nil
		}
		return false, badRequest("permissions are the same in all virtual hosts that a user may open: put those for \"/\" first, and the same here")
	}
	u.Grants = slices.DeleteFunc(u.Grants, func(g broker.Grant) bool { return g.Label == permissionLabel })
	had = len(u.Grants) < n
	u.Grants = append(u.Grants, grants...)
	_, err = x.g.b.PutUser(ctx, &x.caller, u)
	return had, err
}

// grantsOf are the grants that do what permissions do.
func grantsOf(p permission) (out []broker.Grant, err error) {
	add := func(expression string, streams, subscriptions []broker.Action) {
		if err != nil {
			return
		}
		var patterns []namePattern
		if patterns, err = patternsOf(expression); err != nil {
			return
		}
		for _, n := range patterns {
			for _, a := range streams {
				out = append(out, broker.Grant{Action: a, Kind: broker.KindStream, Pattern: n.of(amqp091.StreamOf), Label: permissionLabel})
			}
			for _, a := range subscriptions {
				out = append(out, broker.Grant{Action: a, Kind: broker.KindSubscription, Pattern: n.of(amqp091.SubscriptionOf), Label: permissionLabel})
			}
		}
	}
	change := []broker.Action{broker.ActionCreate, broker.ActionAlter, broker.ActionDelete}
	add(p.Configure, change, change)
	add(p.Write, []broker.Action{broker.ActionWrite}, []broker.Action{broker.ActionAlter})
	add(p.Read, []broker.Action{broker.ActionRead}, []broker.Action{broker.ActionRead})
	for _, k := range []broker.Kind{broker.KindStream, broker.KindSubscription} {
		out = append(out, broker.Grant{Action: broker.ActionDescribe, Kind: k, Pattern: "*", Label: permissionLabel})
	}
	return out, err
}
