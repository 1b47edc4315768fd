package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// DescribeUserScramCredentials(50), AlterUserScramCredentials(51), version 0: what is kept of users' passwords. A password that is set here is
// good for this protocol's SCRAM mechanism and for PLAIN and every other protocol's login too. A user that is not there is made, and may
// do nothing until it is given grants or ACLs.

// scramMechanisms are the mechanisms by their number.
var scramMechanisms = map[int8]string{1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}

// Bounds of what is taken for a password, as Kafka has them.
const (
	scramIterationsMin = 4096
	scramIterationsMax = 16384
)

func (k *conn) describeScram(ctx context.Context, s *slot, q *kmsg.DescribeUserSCRAMCredentialsRequest) (*kmsg.DescribeUserSCRAMCredentialsResponse, error) {
	r := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	if !k.g.b.Allowed(s.caller, broker.ActionDescribe, broker.KindUser, "*") {
		err := fault.New(fault.Denied, "describe", "user", "to see users takes a grant to describe them")
		r.ErrorCode, r.ErrorMessage = codeClusterDenied, message(err)
		return r, err
	}
	times := map[string]int{}
	var names []string
	for i := range q.Users {
		if times[q.Users[i].Name]++; times[q.Users[i].Name] == 1 {
			names = append(names, q.Users[i].Name)
		}
	}
	asked := len(names) > 0
	if !asked {
		users, err := k.g.b.ListUsers(ctx, s.caller)
		if err != nil {
			r.ErrorCode, r.ErrorMessage = code(fault.As(err), placeCluster), message(fault.As(err))
			return r, err
		}
		for i := range users {
			names = append(names, users[i].Name)
		}
	}
	for _, name := range names {
		res := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		res.User = name
		for m := int8(1); m <= int8(len(scramMechanisms)); m++ {
			if n, ok := k.g.b.ScramIterations(s.caller, name, scramMechanisms[m]); ok {
				c := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
				c.Mechanism, c.Iterations = m, int32(n)
				res.CredentialInfos = append(res.CredentialInfos, c)
			}
		}
		switch {
		case times[name] > 1:
			res.ErrorCode, res.ErrorMessage, res.CredentialInfos = codeDuplicateResource, new("the user is named twice"), nil
		case len(res.CredentialInfos) == 0 && !asked:
			continue
		case len(res.CredentialInfos) == 0:
			res.ErrorCode, res.ErrorMessage = codeResourceNotFound, new("there is no password of a user "+clip(name))
		}
		r.Results = append(r.Results, res)
	}
	return r, nil
}

type scramKey struct {
	user      string
	mechanism int8
}

func (k *conn) alterScram(ctx context.Context, s *slot, q *kmsg.AlterUserSCRAMCredentialsRequest) (*kmsg.AlterUserSCRAMCredentialsResponse, error) {
	r := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	times, order := map[scramKey]int{}, []string(nil)
	results := map[string]*kmsg.AlterUserSCRAMCredentialsResponseResult{}
	note := func(user string, mechanism int8) {
		times[scramKey{user, mechanism}]++
		if results[user] == nil {
			rr := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
			rr.User = user
			results[user] = &rr
			order = append(order, user)
		}
	}
	for i := range q.Deletions {
		note(q.Deletions[i].Name, q.Deletions[i].Mechanism)
	}
	for i := range q.Upsertions {
		note(q.Upsertions[i].Name, q.Upsertions[i].Mechanism)
	}
	var failed error
	one := func(user string, mechanism int8, u *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) {
		rr := results[user]
		codeIs, err := codeDuplicateResource, error(fault.New(fault.Invalid, "put", user, "one password is changed twice"))
		if times[scramKey{user, mechanism}] == 1 {
			codeIs, err = k.putScram(ctx, s.caller, user, mechanism, u)
		}
		if err != nil && rr.ErrorCode == codeNone {
			rr.ErrorCode, rr.ErrorMessage = codeIs, message(fault.As(err))
			k.report("", -1, err)
			failed = err
		}
	}
	for i := range q.Deletions {
		one(q.Deletions[i].Name, q.Deletions[i].Mechanism, nil)
	}
	for i := range q.Upsertions {
		one(q.Upsertions[i].Name, q.Upsertions[i].Mechanism, &q.Upsertions[i])
	}
	for _, user := range order {
		r.Results = append(r.Results, *results[user])
	}
	return r, failed
}

// putScram sets a password, or with nil takes it away.
func (k *conn) putScram(ctx context.Context, c *broker.Caller, user string, mechanism int8, u *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) (int16, error) {
	name, known := scramMechanisms[mechanism]
	var secret *broker.ScramSecret
	unacceptable := func(text string) (int16, error) {
		return codeUnacceptableCredential, fault.New(fault.Invalid, "put", clip(user), "%s", text)
	}
	switch {
	case !known:
		return codeUnsupportedMechanism, fault.New(fault.Unsupported, "put", clip(user), "mechanism %d is not one", mechanism)
	case user == "":
		return unacceptable("the user has no name")
	case u == nil:
	case u.Iterations < scramIterationsMin || u.Iterations > scramIterationsMax:
		return unacceptable("iterations must be from " + formatNumber(scramIterationsMin) + " to " + formatNumber(scramIterationsMax))
	case len(u.Salt) == 0 || len(u.Salt) > 64 || len(u.SaltedPassword) == 0 || len(u.SaltedPassword) > 64: // what is not as long as the hash is nobody's password, and taken, as in Kafka
		return unacceptable("a salt and a salted password of 1 to 64 bytes are needed")
	default:
		secret = broker.ScramOfSalted(name, u.SaltedPassword, u.Salt, int(u.Iterations))
	}
	err := k.g.b.PutScram(ctx, c, user, name, secret)
	if fault.Is(err, fault.NotFound) {
		return codeResourceNotFound, err
	}
	if fault.Is(err, fault.Invalid) {
		return codeUnacceptableCredential, err
	}
	return code(fault.As(err), placeCluster), err
}
