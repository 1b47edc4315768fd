package kafka

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/internal/kafkagroup"
)

// An ACL of the protocol and a grant of ours say nearly the same: who may do what to which things. This file turns one into the other.
//
//	Topic, Group, TransactionalId   stream, subscription, producer of that name or beginning
//	Cluster                         node; Create on it is to create any stream
//	Allow, Deny; host               a grant, one that denies; from that address
//	Read, Write, Create, Delete, Alter, Describe, All   the actions of those names, All is *
//	DescribeConfigs, AlterConfigs   describe and alter, with a label, so that they are told as what they were
//	IdempotentWrite on Cluster      write on the node, which nothing asks for: who may write may do so idempotently
//
// Some grants say what no single ACL does: admin, kinds of *. They are told as the ACLs they include, and cannot be deleted as such.

// binding is an ACL: a pattern of resources and an entry of who may do what to them.
type binding struct {
	resource   kmsg.ACLResourceType
	name       string
	pattern    kmsg.ACLResourcePatternType
	principal  string
	host       string
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

const (
	principalPrefix = "User:"
	hostAny         = "*"
	clusterName     = "kafka-cluster"
)

// Labels of grants whose action is also that of another operation.
const (
	labelDescribeConfigs = "kafka:DescribeConfigs"
	labelAlterConfigs    = "kafka:AlterConfigs"
	labelClusterCreate   = "kafka:Cluster:Create"
)

// aclKinds are the kinds of things that have ACLs.
var aclKinds = []struct {
	resource kmsg.ACLResourceType
	kind     broker.Kind
	ops      []kmsg.ACLOperation // besides All
}{
	{kmsg.ACLResourceTypeTopic, broker.KindStream, []kmsg.ACLOperation{
		kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate, kmsg.ACLOperationDelete, kmsg.ACLOperationAlter,
		kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs,
	}},
	{kmsg.ACLResourceTypeGroup, broker.KindSubscription, []kmsg.ACLOperation{
		kmsg.ACLOperationRead, kmsg.ACLOperationDelete, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs,
	}},
	{kmsg.ACLResourceTypeCluster, broker.KindNode, []kmsg.ACLOperation{
		kmsg.ACLOperationCreate, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs,
		kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationIdempotentWrite,
	}},
	{kmsg.ACLResourceTypeTransactionalId, broker.KindProducer, []kmsg.ACLOperation{kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe}},
}

// aclActions are the operations and what action each stands for. Of several with one action, the one without a label is told of grants that
// others have given.
var aclActions = []struct {
	operation kmsg.ACLOperation
	action    broker.Action
	label     string
}{
	{kmsg.ACLOperationAll, broker.ActionAny, ""},
	{kmsg.ACLOperationRead, broker.ActionRead, ""},
	{kmsg.ACLOperationWrite, broker.ActionWrite, ""},
	{kmsg.ACLOperationCreate, broker.ActionCreate, ""},
	{kmsg.ACLOperationDelete, broker.ActionDelete, ""},
	{kmsg.ACLOperationAlter, broker.ActionAlter, ""},
	{kmsg.ACLOperationDescribe, broker.ActionDescribe, ""},
	{kmsg.ACLOperationDescribeConfigs, broker.ActionDescribe, labelDescribeConfigs},
	{kmsg.ACLOperationAlterConfigs, broker.ActionAlter, labelAlterConfigs},
}

// grantOf is what an ACL that is to be made comes to, and whose it is; or why it cannot be had.
func grantOf(b *binding) (user string, g broker.Grant, err error) {
	bad := func(format string, args ...any) error { return fault.New(fault.Invalid, "put", "acl", format, args...) }
	user, ok := strings.CutPrefix(b.principal, principalPrefix)
	switch {
	case !ok || user == "":
		return "", g, bad("the principal is %q; it must be User:NAME", clip(b.principal))
	case user == "*":
		return "", g, bad("a grant is a user's: User:* cannot be given one; give it to each user")
	case b.permission == kmsg.ACLPermissionTypeDeny:
		g.Deny = true
	case b.permission != kmsg.ACLPermissionTypeAllow:
		return "", g, bad("the permission must be Allow or Deny")
	}
	if b.host != hostAny {
		g.From = b.host
	}
	at := -1
	for i := range aclKinds {
		if aclKinds[i].resource == b.resource {
			at = i
		}
	}
	if at < 0 {
		return "", g, bad("resources of type %s have no ACLs here; topics, groups, transactional ids and the cluster do", b.resource)
	}
	if !aclAllows(at, b.operation) {
		return "", g, bad("there is no operation %s on a resource of type %s", b.operation, b.resource)
	}
	g.Kind = aclKinds[at].kind
	if b.resource == kmsg.ACLResourceTypeGroup && b.name != "" && b.name != "*" {
		written := *b
		written.name = ourName(b.name)
		b = &written
	}
	if g.Pattern, err = aclPattern(b); err != nil {
		return "", g, err
	}
	switch {
	case b.resource == kmsg.ACLResourceTypeCluster && b.operation == kmsg.ACLOperationCreate:
		g.Kind, g.Action, g.Label = broker.KindStream, broker.ActionCreate, labelClusterCreate
		return user, g, nil
	case b.operation == kmsg.ACLOperationIdempotentWrite:
		g.Action = broker.ActionWrite
		return user, g, nil
	}
	for _, a := range aclActions {
		if a.operation == b.operation {
			g.Action, g.Label = a.action, a.label
		}
	}
	if g.Deny && g.Label != "" {
		return "", g, bad("%s cannot be denied by itself; deny %s, which includes it", b.operation, g.Action)
	}
	return user, g, nil
}

func aclAllows(kind int, op kmsg.ACLOperation) bool {
	return op == kmsg.ACLOperationAll || slices.Contains(aclKinds[kind].ops, op)
}

// aclPattern is the pattern of a grant for the resources of an ACL.
func aclPattern(b *binding) (string, error) {
	bad := func(format string, args ...any) (string, error) {
		return "", fault.New(fault.Invalid, "put", "acl", format, args...)
	}
	switch {
	case b.pattern != kmsg.ACLResourcePatternTypeLiteral && b.pattern != kmsg.ACLResourcePatternTypePrefixed:
		return bad("the type of the pattern must be Literal or Prefixed")
	case b.resource == kmsg.ACLResourceTypeCluster:
		if b.name != clusterName || b.pattern != kmsg.ACLResourcePatternTypeLiteral {
			return bad("the name of the cluster is %q", clusterName)
		}
		return "*", nil
	case b.name == "":
		return bad("the resource has no name")
	case b.name == "*" && b.pattern == kmsg.ACLResourcePatternTypeLiteral:
		return "*", nil
	case strings.Contains(b.name, "*"):
		return bad("%q: a name is all of *, or has none in it", clip(b.name))
	case b.pattern == kmsg.ACLResourcePatternTypePrefixed:
		return b.name + "*", nil
	}
	return b.name, nil
}

// bindingsOf are the ACLs that a grant is told as. exact says that it is just this one, so that to delete the one is to delete the other.
func bindingsOf(user string, g *broker.Grant) (all []binding, exact bool) {
	for i := range aclKinds {
		k := &aclKinds[i]
		if g.Kind != k.kind && g.Kind != broker.KindAny {
			continue
		}
		b := binding{resource: k.resource, principal: principalPrefix + user, host: hostAny, permission: kmsg.ACLPermissionTypeAllow}
		if g.Label == labelClusterCreate {
			b.resource = kmsg.ACLResourceTypeCluster
		}
		if g.From != "" {
			b.host = g.From
		}
		if g.Deny {
			b.permission = kmsg.ACLPermissionTypeDeny
		}
		b.name, b.pattern = g.Pattern, kmsg.ACLResourcePatternTypeLiteral
		if name, star := strings.CutSuffix(g.Pattern, "*"); star && name != "" {
			b.name, b.pattern = name, kmsg.ACLResourcePatternTypePrefixed
		}
		if b.resource == kmsg.ACLResourceTypeGroup {
			b.name = kafkagroup.Unname(b.name)
		}
		if b.resource == kmsg.ACLResourceTypeCluster {
			b.name, b.pattern = clusterName, kmsg.ACLResourcePatternTypeLiteral
		}
		if b.operation = operationOf(b.resource, g); b.operation == kmsg.ACLOperationUnknown {
			continue
		}
		all = append(all, b)
	}
	return all, len(all) == 1 && g.Kind != broker.KindAny && g.Action != broker.ActionAdmin
}

// operationOf is what the action of a grant is called, Unknown when it is nothing on such a resource.
func operationOf(resource kmsg.ACLResourceType, g *broker.Grant) kmsg.ACLOperation {
	switch {
	case g.Action == broker.ActionAdmin:
		return kmsg.ACLOperationAll
	case resource == kmsg.ACLResourceTypeCluster && g.Action == broker.ActionWrite:
		return kmsg.ACLOperationIdempotentWrite
	}
	found := kmsg.ACLOperationUnknown
	for _, a := range aclActions {
		if a.action == g.Action && (a.label == g.Label || a.label == "" && found == kmsg.ACLOperationUnknown) {
			found = a.operation
		}
	}
	for i := range aclKinds {
		if aclKinds[i].resource == resource && aclAllows(i, found) {
			return found
		}
	}
	return kmsg.ACLOperationUnknown
}

// aclFilter is what ACLs are looked for by; nil and Any are all.
type aclFilter struct {
	resource   kmsg.ACLResourceType
	name       *string
	pattern    kmsg.ACLResourcePatternType
	principal  *string
	host       *string
	operation  kmsg.ACLOperation
	permission kmsg.ACLPermissionType
}

// check refuses a filter that no ACL could be meant by.
func (f *aclFilter) check() error {
	if f.resource == kmsg.ACLResourceTypeUnknown || f.pattern == kmsg.ACLResourcePatternTypeUnknown || f.pattern > kmsg.ACLResourcePatternTypePrefixed ||
		f.operation == kmsg.ACLOperationUnknown || f.permission == kmsg.ACLPermissionTypeUnknown {
		return fault.New(fault.Invalid, "describe", "acl", "the filter has a type of resource or pattern, an operation or a permission that is none")
	}
	return nil
}

func (f *aclFilter) matches(b *binding) bool {
	return (f.resource == kmsg.ACLResourceTypeAny || f.resource == b.resource) && f.names(b) &&
		(f.principal == nil || *f.principal == b.principal) && (f.host == nil || *f.host == b.host) &&
		(f.operation == kmsg.ACLOperationAny || f.operation == b.operation) &&
		(f.permission == kmsg.ACLPermissionTypeAny || f.permission == b.permission)
}

// names says whether the filter means the resources of an ACL: those of a pattern of that type and name, or with Match all patterns that the name
// falls under.
func (f *aclFilter) names(b *binding) bool {
	switch f.pattern {
	case kmsg.ACLResourcePatternTypeAny:
		return f.name == nil || *f.name == b.name
	case kmsg.ACLResourcePatternTypeMatch:
		if f.name == nil || *f.name == b.name {
			return true
		}
		if b.pattern == kmsg.ACLResourcePatternTypePrefixed {
			return strings.HasPrefix(*f.name, b.name)
		}
		return b.name == "*"
	case kmsg.ACLResourcePatternTypeUnknown, kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed:
	}
	return f.pattern == b.pattern && (f.name == nil || *f.name == b.name)
}
