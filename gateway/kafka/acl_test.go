package kafka

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// logIn logs a connection in by PLAIN and returns the code.
func logIn(c *client, user, password string) int16 {
	c.t.Helper()
	h := kmsg.NewPtrSASLHandshakeRequest()
	h.Mechanism = "PLAIN"
	if r := ask[*kmsg.SASLHandshakeResponse](c, h, 1); r.ErrorCode != 0 {
		c.t.Fatalf("handshake: %d", r.ErrorCode)
	}
	q := kmsg.NewPtrSASLAuthenticateRequest()
	q.SASLAuthBytes = []byte("\x00" + user + "\x00" + password)
	return ask[*kmsg.SASLAuthenticateResponse](c, q, 2).ErrorCode
}

func createACL(c *client, b binding) *kmsg.CreateACLsResponseResult {
	c.t.Helper()
	q := kmsg.NewPtrCreateACLsRequest()
	a := kmsg.NewCreateACLsRequestCreation()
	a.ResourceType, a.ResourceName, a.ResourcePatternType = b.resource, b.name, b.pattern
	a.Principal, a.Host, a.Operation, a.PermissionType = b.principal, b.host, b.operation, b.permission
	q.Creations = append(q.Creations, a)
	return &ask[*kmsg.CreateACLsResponse](c, q, 3).Results[0]
}

// describeACLs returns all ACLs that a filter means.
func describeACLs(c *client, f aclFilter) (all []binding) {
	c.t.Helper()
	q := kmsg.NewPtrDescribeACLsRequest()
	q.ResourceType, q.ResourceName, q.ResourcePatternType = f.resource, f.name, f.pattern
	q.Principal, q.Host, q.Operation, q.PermissionType = f.principal, f.host, f.operation, f.permission
	r := ask[*kmsg.DescribeACLsResponse](c, q, 3)
	if r.ErrorCode != 0 {
		c.t.Fatalf("describe: %d %v", r.ErrorCode, *r.ErrorMessage)
	}
	for _, rr := range r.Resources {
		for _, a := range rr.ACLs {
			all = append(all, binding{rr.ResourceType, rr.ResourceName, rr.ResourcePatternType, a.Principal, a.Host, a.Operation, a.PermissionType})
		}
	}
	return all
}

func deleteACLs(c *client, f aclFilter) *kmsg.DeleteACLsResponseResult {
	c.t.Helper()
	q := kmsg.NewPtrDeleteACLsRequest()
	x := kmsg.NewDeleteACLsRequestFilter()
	x.ResourceType, x.ResourceName, x.ResourcePatternType = f.resource, f.name, f.pattern
	x.Principal, x.Host, x.Operation, x.PermissionType = f.principal, f.host, f.operation, f.permission
	q.Filters = append(q.Filters, x)
	return &ask[*kmsg.DeleteACLsResponse](c, q, 3).Results[0]
}

const (
	literal  = kmsg.ACLResourcePatternTypeLiteral
	prefixed = kmsg.ACLResourcePatternTypePrefixed
	allow    = kmsg.ACLPermissionTypeAllow
	deny     = kmsg.ACLPermissionTypeDeny
)

var allACLs = aclFilter{resource: kmsg.ACLResourceTypeAny, pattern: kmsg.ACLResourcePatternTypeAny, operation: kmsg.ACLOperationAny, permission: kmsg.ACLPermissionTypeAny}

func of(user string) aclFilter {
	f := allACLs
	f.principal = new("User:" + user)
	return f
}

func TestACLs_WithoutUsersThereAreNone(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	q := kmsg.NewPtrDescribeACLsRequest()
	q.ResourceType, q.ResourcePatternType, q.Operation, q.PermissionType = 1, 1, 1, 1
	if r := ask[*kmsg.DescribeACLsResponse](c, q, 3); r.ErrorCode != codeSecurityDisabled || r.ErrorMessage == nil {
		t.Errorf("describe: %+v", r)
	}
	b := binding{kmsg.ACLResourceTypeTopic, "a", literal, "User:bob", "*", kmsg.ACLOperationRead, allow}
	if r := createACL(c, b); r.ErrorCode != codeSecurityDisabled {
		t.Errorf("create: %+v", r)
	}
}

// Every ACL that can be made is told as it was made, and goes when it is deleted.
func TestACLs_AreToldAsTheyWereMade(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1, testUser)))
	if logIn(c, "alice", "wonderland") != 0 {
		t.Fatal("alice")
	}
	var made []binding
	for _, k := range aclKinds {
		names := map[string]kmsg.ACLResourcePatternType{"orders": literal, "*": literal, "eu.": prefixed}
		if k.resource == kmsg.ACLResourceTypeCluster {
			names = map[string]kmsg.ACLResourcePatternType{clusterName: literal}
		}
		if k.resource == kmsg.ACLResourceTypeGroup {
			names["my group/1"] = literal
			names["my g"] = prefixed
		}
		for name, pattern := range names {
			for _, op := range append([]kmsg.ACLOperation{kmsg.ACLOperationAll}, k.ops...) {
				for _, p := range []kmsg.ACLPermissionType{allow, deny} {
					if p == deny && (op == kmsg.ACLOperationDescribeConfigs || op == kmsg.ACLOperationAlterConfigs) {
						continue
					}
					host := "*"
					if p == allow && op == kmsg.ACLOperationRead {
						host = "10.1.2.3"
					}
					made = append(made, binding{k.resource, name, pattern, "User:bob", host, op, p})
				}
			}
		}
	}
	for i := range made {
		if r := createACL(c, made[i]); r.ErrorCode != 0 {
			t.Fatalf("%+v: %d %s", made[i], r.ErrorCode, *r.ErrorMessage)
		}
	}
	got := describeACLs(c, of("bob"))
	for _, b := range made {
		if !slices.Contains(got, b) {
			t.Errorf("%+v is not told", b)
		}
	}
	if len(got) != len(made) {
		t.Errorf("%d were made, %d are told", len(made), len(got))
	}
	one := aclFilter{kmsg.ACLResourceTypeTopic, new("orders"), literal, new("User:bob"), new("10.1.2.3"), kmsg.ACLOperationRead, allow}
	if got := describeACLs(c, one); len(got) != 1 {
		t.Errorf("one of them: %+v", got)
	}
	match := aclFilter{kmsg.ACLResourceTypeTopic, new("eu.west"), kmsg.ACLResourcePatternTypeMatch, nil, nil, kmsg.ACLOperationWrite, allow}
	if got := describeACLs(c, match); len(got) != 2 { // bob's "*" and "eu."
		t.Errorf("what lets somebody write to eu.west: %+v", got)
	}
	if r := deleteACLs(c, one); r.ErrorCode != 0 || len(r.MatchingACLs) != 1 || r.MatchingACLs[0].ErrorCode != 0 {
		t.Errorf("delete one: %+v", r)
	}
	if r := deleteACLs(c, of("bob")); len(r.MatchingACLs) != len(made)-1 {
		t.Errorf("delete all: %d of %d", len(r.MatchingACLs), len(made)-1)
	}
	if got := describeACLs(c, of("bob")); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	// What an administrator has is no single ACL: it is told, and stays.
	if r := deleteACLs(c, of("alice")); len(r.MatchingACLs) == 0 || r.MatchingACLs[0].ErrorCode != codePolicyViolation {
		t.Errorf("alice: %+v", r)
	}
	if len(describeACLs(c, of("alice"))) == 0 {
		t.Error("alice has lost her grants")
	}
}

func TestACLs_Refusals(t *testing.T) {
	addr := serve(t, newBroker(t, 1, testUser, broker.User{Name: "bob", Password: "bobpassword", Grants: []broker.Grant{{Action: "read", Kind: "stream", Pattern: "x"}}}))
	c := dial(t, addr)
	if logIn(c, "alice", "wonderland") != 0 {
		t.Fatal("alice")
	}
	good := binding{kmsg.ACLResourceTypeTopic, "a", literal, "User:bob", "*", kmsg.ACLOperationRead, allow}
	for name, change := range map[string]func(b *binding){
		"principal of everybody": func(b *binding) { b.principal = "User:*" },
		"principal of a group":   func(b *binding) { b.principal = "Group:x" },
		"host":                   func(b *binding) { b.host = "example.com" },
		"resource":               func(b *binding) { b.resource = kmsg.ACLResourceTypeDelegationToken },
		"operation":              func(b *binding) { b.operation = kmsg.ACLOperationIdempotentWrite },
		"pattern":                func(b *binding) { b.pattern = kmsg.ACLResourcePatternTypeMatch },
		"name with a star":       func(b *binding) { b.name = "a*b" },
		"no name":                func(b *binding) { b.name = "" },
		"another cluster":        func(b *binding) { b.resource, b.operation = kmsg.ACLResourceTypeCluster, kmsg.ACLOperationAlter },
		"permission":             func(b *binding) { b.permission = kmsg.ACLPermissionTypeAny },
		"deny of a part":         func(b *binding) { b.permission, b.operation = deny, kmsg.ACLOperationDescribeConfigs },
	} {
		b := good
		change(&b)
		if r := createACL(c, b); r.ErrorCode != codeInvalidRequest && r.ErrorCode != codeTimedOut || r.ErrorMessage == nil || *r.ErrorMessage == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	bob := dial(t, addr)
	if logIn(bob, "bob", "bobpassword") != 0 {
		t.Fatal("bob")
	}
	if r := createACL(bob, good); r.ErrorCode != codeClusterDenied {
		t.Errorf("bob grants himself: %+v", r)
	}
	if r := deleteACLs(bob, allACLs); r.ErrorCode != codeClusterDenied {
		t.Errorf("bob deletes: %+v", r)
	}
}

// An ACL is enforced: what is denied is refused though it is allowed, and what is allowed from one address is refused from others.
func TestACLs_Hold(t *testing.T) {
	addr := serve(t, newBroker(t, 1, testUser, broker.User{Name: "bob", Password: "bobpassword"}))
	alice, bob := dial(t, addr), dial(t, addr)
	if logIn(alice, "alice", "wonderland") != 0 || logIn(bob, "bob", "bobpassword") != 0 {
		t.Fatal("logins")
	}
	create(alice, "orders", 1)
	produce := func() int16 {
		return ask[*kmsg.ProduceResponse](bob, produceRequest("orders", -1, batch(t, "x")), 9).Topics[0].Partitions[0].ErrorCode
	}
	steps := []struct {
		b    binding
		want int16
	}{
		{binding{kmsg.ACLResourceTypeTopic, "orders", literal, "User:bob", "10.9.9.9", kmsg.ACLOperationWrite, allow}, codeTopicDenied},
		{binding{kmsg.ACLResourceTypeTopic, "ord", prefixed, "User:bob", "127.0.0.1", kmsg.ACLOperationWrite, allow}, codeNone},
		{binding{kmsg.ACLResourceTypeTopic, "orders", literal, "User:bob", "10.9.9.9", kmsg.ACLOperationAll, deny}, codeNone},
		{binding{kmsg.ACLResourceTypeTopic, "*", literal, "User:bob", "*", kmsg.ACLOperationWrite, deny}, codeTopicDenied},
	}
	if got := produce(); got != codeTopicDenied {
		t.Fatalf("without any: %d", got)
	}
	for _, s := range steps {
		if r := createACL(alice, s.b); r.ErrorCode != 0 {
			t.Fatalf("%+v: %d", s.b, r.ErrorCode)
		}
		if got := produce(); got != s.want {
			t.Errorf("after %+v: %d, want %d", s.b, got, s.want)
		}
	}
	q := kmsg.NewPtrMetadataRequest()
	q.Topics, q.IncludeTopicAuthorizedOperations, q.IncludeClusterAuthorizedOperations = []kmsg.MetadataRequestTopic{{Topic: new("orders")}}, true, true
	r := ask[*kmsg.MetadataResponse](bob, q, 9)
	if r.Topics[0].AuthorizedOperations != 1<<kmsg.ACLOperationDescribe|1<<kmsg.ACLOperationDescribeConfigs {
		t.Errorf("bob may %b with orders", r.Topics[0].AuthorizedOperations)
	}
	if r.AuthorizedOperations != 1<<kmsg.ACLOperationIdempotentWrite {
		t.Errorf("bob may %b with the cluster", r.AuthorizedOperations)
	}
	const whole = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	if r := ask[*kmsg.MetadataResponse](alice, q, 9); r.Topics[0].AuthorizedOperations != whole || r.AuthorizedOperations != 1<<5|1<<7|1<<8|1<<10|1<<11|1<<12 {
		t.Errorf("alice may %b with orders and %b with the cluster", r.Topics[0].AuthorizedOperations, r.AuthorizedOperations)
	}
}

func TestScramCredentials(t *testing.T) {
	addr := serve(t, newBroker(t, 1, testUser))
	c := dial(t, addr)
	if logIn(c, "alice", "wonderland") != 0 {
		t.Fatal("alice")
	}
	alter := func(c *client, dels []scramKey, ups ...kmsg.AlterUserSCRAMCredentialsRequestUpsertion) map[string]int16 {
		t.Helper()
		q := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		q.Upsertions = ups
		for _, d := range dels {
			x := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
			x.Name, x.Mechanism = d.user, d.mechanism
			q.Deletions = append(q.Deletions, x)
		}
		codes := map[string]int16{}
		for _, r := range ask[*kmsg.AlterUserSCRAMCredentialsResponse](c, q, 0).Results {
			codes[r.User] = r.ErrorCode
		}
		return codes
	}
	up := func(user string, mechanism int8, password string, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt = user, mechanism, iterations, []byte("a salt of some bytes")
		var err error
		if mechanism == 1 {
			u.SaltedPassword, err = pbkdf2.Key(sha256.New, password, u.Salt, int(iterations), 32)
		} else {
			u.SaltedPassword, err = pbkdf2.Key(sha512.New, password, u.Salt, int(iterations), 64)
		}
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if got := alter(c, nil, up("bob", 2, "bob's own password", 4096), up("carol", 1, "carol's", 5000)); got["bob"] != 0 || got["carol"] != 0 || len(got) != 2 {
		t.Fatalf("%v", got)
	}
	if code := logIn(dial(t, addr), "bob", "bob's own password"); code != 0 {
		t.Errorf("bob logs in: %d", code)
	}
	if code := logIn(dial(t, addr), "bob", "bob's other password"); code != codeLoginFailed {
		t.Errorf("bob logs in with a wrong password: %d", code)
	}
	short := up("dave", 1, "x", 4096)
	short.SaltedPassword = nil
	for what, got := range map[string]int16{
		"too few iterations":  alter(c, nil, up("dave", 1, "x", 100))["dave"],
		"no hash":             alter(c, nil, short)["dave"],
		"no such user's name": alter(c, nil, up(strings.Repeat("x", 400), 1, "x", 4096))[strings.Repeat("x", 400)],
	} {
		if got != codeUnacceptableCredential {
			t.Errorf("%s: %d", what, got)
		}
	}
	if got := alter(c, []scramKey{{"bob", 1}}); got["bob"] != codeResourceNotFound {
		t.Errorf("delete what is not there: %v", got)
	}
	if got := alter(c, []scramKey{{"bob", 2}}, up("bob", 2, "x", 4096)); got["bob"] != codeDuplicateResource {
		t.Errorf("delete and set: %v", got)
	}
	if got := alter(c, []scramKey{{"alice", 1}, {"alice", 2}}); got["alice"] == 0 {
		t.Error("the last who can manage users has no password any more")
	}
	describe := func(users ...string) map[string][]int8 {
		q := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for _, u := range users {
			x := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
			x.Name = u
			q.Users = append(q.Users, x)
		}
		out := map[string][]int8{}
		for _, r := range ask[*kmsg.DescribeUserSCRAMCredentialsResponse](c, q, 0).Results {
			out[r.User] = nil
			for _, i := range r.CredentialInfos {
				out[r.User] = append(out[r.User], i.Mechanism)
			}
			if (r.ErrorCode != 0) != (len(r.CredentialInfos) == 0) {
				t.Errorf("%s: %d with %d credentials", r.User, r.ErrorCode, len(r.CredentialInfos))
			}
		}
		return out
	}
	if got := describe(); !slices.Equal(got["bob"], []int8{2}) || !slices.Equal(got["carol"], []int8{1}) || got["alice"] == nil {
		t.Errorf("all: %v", got)
	}
	if got := describe("carol", "nobody"); len(got) != 2 || !slices.Equal(got["carol"], []int8{1}) {
		t.Errorf("two: %v", got)
	}
	if got := alter(c, []scramKey{{"carol", 1}}); got["carol"] != 0 {
		t.Errorf("delete: %v", got)
	}
	if got := describe(); got["carol"] != nil {
		t.Errorf("carol is still there: %v", got)
	}
}
