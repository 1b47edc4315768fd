package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// DescribeAcls(29), CreateAcls(30), DeleteAcls(31), versions 0-3: the grants of users, as ACLs; translate_acl.go has what stands for what.
//
// Users and their grants hold for every protocol, and only who may administer users changes them. While there are none, everybody may do
// everything, and the answer is SECURITY_DISABLED, as from a broker without an authorizer. A user that an ACL names and that is not there is
// made; it has no password until it gets one.

var errNoUsers = fault.New(fault.Conflict, "describe", "acl", "this node has no users, so everybody may do everything; make the first one with `leat user create`")

// mayDescribeACLs says why the caller may not see what users may do.
func (k *conn) mayDescribeACLs(c *broker.Caller) (int16, error) {
	switch {
	case !k.g.b.UsersExist():
		return codeSecurityDisabled, errNoUsers
	case !k.g.b.Allowed(c, broker.ActionDescribe, broker.KindUser, "*"):
		return codeClusterDenied, fault.New(fault.Denied, "describe", "acl", "to see ACLs takes a grant to describe all users")
	}
	return codeNone, nil
}

func (k *conn) describeACLs(ctx context.Context, s *slot, q *kmsg.DescribeACLsRequest) (*kmsg.DescribeACLsResponse, error) {
	r := kmsg.NewPtrDescribeACLsResponse()
	refuse := func(code int16, err error) (*kmsg.DescribeACLsResponse, error) {
		r.ErrorCode, r.ErrorMessage = code, message(fault.As(err))
		return r, err
	}
	if code, err := k.mayDescribeACLs(s.caller); err != nil {
		return refuse(code, err)
	}
	f := aclFilter{q.ResourceType, q.ResourceName, q.ResourcePatternType, q.Principal, q.Host, q.Operation, q.PermissionType}
	if err := f.check(); err != nil {
		return refuse(codeInvalidRequest, err)
	}
	users, err := k.g.b.ListUsers(ctx, s.caller)
	if err != nil {
		return refuse(code(fault.As(err), placeCluster), err)
	}
	type resource struct {
		of      kmsg.ACLResourceType
		name    string
		pattern kmsg.ACLResourcePatternType
	}
	at := map[resource]int{}
	for i := range users {
		for j := range users[i].Grants {
			all, _ := bindingsOf(users[i].Name, &users[i].Grants[j])
			for _, b := range all {
				if !f.matches(&b) {
					continue
				}
				key := resource{b.resource, b.name, b.pattern}
				n, known := at[key]
				if !known {
					rr := kmsg.NewDescribeACLsResponseResource()
					rr.ResourceType, rr.ResourceName, rr.ResourcePatternType = b.resource, b.name, b.pattern
					n, at[key] = len(r.Resources), len(r.Resources)
					r.Resources = append(r.Resources, rr)
				}
				a := kmsg.NewDescribeACLsResponseResourceACL()
				a.Principal, a.Host, a.Operation, a.PermissionType = b.principal, b.host, b.operation, b.permission
				if rr := &r.Resources[n]; !slices.ContainsFunc(rr.ACLs, func(x kmsg.DescribeACLsResponseResourceACL) bool {
					return x.Principal == a.Principal && x.Host == a.Host && x.Operation == a.Operation && x.PermissionType == a.PermissionType
				}) {
					rr.ACLs = append(rr.ACLs, a)
				}
			}
		}
	}
	return r, nil
}

func (k *conn) createACLs(ctx context.Context, s *slot, q *kmsg.CreateACLsRequest) (*kmsg.CreateACLsResponse, error) {
	r := kmsg.NewPtrCreateACLsResponse()
	var failed error
	for i := range q.Creations {
		c := &q.Creations[i]
		rr := kmsg.NewCreateACLsResponseResult()
		b := binding{c.ResourceType, c.ResourceName, c.ResourcePatternType, c.Principal, c.Host, c.Operation, c.PermissionType}
		if code, err := k.createACL(ctx, s.caller, &b); err != nil {
			rr.ErrorCode, rr.ErrorMessage = code, message(fault.As(err))
			k.report("", -1, err)
			failed = err
		}
		r.Results = append(r.Results, rr)
	}
	return r, failed
}

func (k *conn) createACL(ctx context.Context, c *broker.Caller, b *binding) (int16, error) {
	if !k.g.b.UsersExist() {
		return codeSecurityDisabled, errNoUsers
	}
	user, g, err := grantOf(b)
	if err != nil {
		return codeInvalidRequest, err
	}
	err = k.g.b.ChangeGrants(ctx, c, user, func(now []broker.Grant) []broker.Grant {
		if slices.Contains(now, g) {
			return now
		}
		return append(now, g)
	})
	if err != nil {
		return code(fault.As(err), placeCluster), err
	}
	return codeNone, nil
}

func (k *conn) deleteACLs(ctx context.Context, s *slot, q *kmsg.DeleteACLsRequest) (*kmsg.DeleteACLsResponse, error) {
	r := kmsg.NewPtrDeleteACLsResponse()
	var failed error
	for i := range q.Filters {
		f := &q.Filters[i]
		rr := kmsg.NewDeleteACLsResponseResult()
		by := aclFilter{f.ResourceType, f.ResourceName, f.ResourcePatternType, f.Principal, f.Host, f.Operation, f.PermissionType}
		if code, err := k.deleteMatching(ctx, s.caller, &by, &rr); err != nil {
			rr.ErrorCode, rr.ErrorMessage = code, message(fault.As(err))
			k.report("", -1, err)
			failed = err
		}
		r.Results = append(r.Results, rr)
	}
	return r, failed
}

// deleteMatching takes away the grants whose ACL the filter means, user by user. A grant that is more than one ACL stays, and that is said.
func (k *conn) deleteMatching(ctx context.Context, c *broker.Caller, f *aclFilter, rr *kmsg.DeleteACLsResponseResult) (int16, error) {
	if code, err := k.mayDescribeACLs(c); err != nil {
		return code, err
	}
	if err := f.check(); err != nil {
		return codeInvalidRequest, err
	}
	users, err := k.g.b.ListUsers(ctx, c)
	if err != nil {
		return code(fault.As(err), placeCluster), err
	}
	for i := range users {
		found := deletable(users[i].Name, users[i].Grants, f)
		if len(found) == 0 {
			continue
		}
		var gone []matchedGrant
		err := k.g.b.ChangeGrants(ctx, c, users[i].Name, func(now []broker.Grant) []broker.Grant {
			gone = deletable(users[i].Name, now, f) // they may have changed since
			return slices.DeleteFunc(now, func(g broker.Grant) bool {
				return slices.ContainsFunc(gone, func(m matchedGrant) bool { return m.exact && m.grant == g })
			})
		})
		if err != nil {
			gone = found
		}
		for _, m := range gone {
			rr.MatchingACLs = append(rr.MatchingACLs, deleted(&m, err))
		}
	}
	return codeNone, nil
}

type matchedGrant struct {
	grant broker.Grant
	acl   binding
	exact bool
}

func deletable(user string, grants []broker.Grant, f *aclFilter) (found []matchedGrant) {
	for i := range grants {
		all, exact := bindingsOf(user, &grants[i])
		for _, b := range all {
			if f.matches(&b) {
				found = append(found, matchedGrant{grants[i], b, exact})
			}
		}
	}
	return found
}

func deleted(m *matchedGrant, err error) kmsg.DeleteACLsResponseResultMatchingACL {
	a := kmsg.NewDeleteACLsResponseResultMatchingACL()
	a.ResourceType, a.ResourceName, a.ResourcePatternType = m.acl.resource, m.acl.name, m.acl.pattern
	a.Principal, a.Host, a.Operation, a.PermissionType = m.acl.principal, m.acl.host, m.acl.operation, m.acl.permission
	switch {
	case err != nil:
		a.ErrorCode, a.ErrorMessage = code(fault.As(err), placeCluster), message(fault.As(err))
	case !m.exact:
		a.ErrorCode = codePolicyViolation
		a.ErrorMessage = new("the grant \"" + string(m.grant.Action) + " " + string(m.grant.Kind) + " " + m.grant.Pattern + "\" allows more than this; take it away with `leat user revoke`")
	}
	return a
}
