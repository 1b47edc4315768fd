package broker

import (
	"context"
	"encoding/json"
	"slices"

	"leat/broker/access"
	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// Changes to one part of a user that leave the rest alone, for gateways whose clients know users only by that part.

// GrantsMax is how many grants a user may have when they are added one by one.
const GrantsMax = 1000

// canLogIn reports whether the user has any secret. One without can be logged in by somebody who vouches for it: a certificate, or a token of
// an identity provider.
func (d *userDocument) canLogIn() bool {
	s := &d.Secrets
	return s.SHA256 != nil || s.SHA512 != nil || len(s.Tokens)+len(s.AccessKeys) > 0
}

// editUser changes a user in one step with the look at it. One that is not there is made, without rights and secrets, and so not before there
// are users. What is left of a user with neither is taken away.
func (b *Broker) editUser(ctx context.Context, c *Caller, name string, edit func(d *userDocument) error) error {
	if err := record.CheckStreamName(name); err != nil {
		return fault.New(fault.Invalid, "put", "name", "the name of a user follows the rules of stream names: %s", fault.As(err).Text)
	}
	if name == SystemPrincipal {
		return fault.New(fault.Invalid, "put", "name", "%q is the platform itself; choose another name", name)
	}
	return b.changeUsers(ctx, c, func() (shard.Command, error) {
		if err := b.allow(c, "put", ActionAdmin, KindUser, name); err != nil {
			return nil, err
		}
		if !b.UsersExist() {
			return nil, fault.New(fault.Conflict, "put", name, "there are no users yet; the first one must be able to manage users (leat user create)").Because(fault.ReasonKept)
		}
		old, d, expected := b.users.get(name), &userDocument{}, catalog.NoRevision
		if old != nil {
			copied := *old
			d, expected = &copied, old.revision
			d.Grants = slices.Clone(old.Grants)
		}
		if err := edit(d); err != nil {
			return nil, err
		}
		if !d.canLogIn() || !access.Allows(d.Grants, ActionAdmin, KindUser, name, "") {
			if err := b.keepAnAdmin(name, 0); err != nil {
				return nil, err
			}
		}
		if !d.canLogIn() && len(d.Grants) == 0 && d.Quota == nil {
			if old == nil {
				return nil, fault.New(fault.NotFound, "put", name, "there is no user %q", name)
			}
			return &shard.DeleteDocument{Name: userName(name), Expected: expected}, nil
		}
		doc, err := json.Marshal(d)
		return &shard.PutDocument{Name: userName(name), Expected: expected, Document: doc}, err
	})
}

// ChangeGrants lets change edit what a user may do. A user that is not there is made; nobody can log in as it until it has a secret.
func (b *Broker) ChangeGrants(ctx context.Context, c *Caller, user string, change func([]Grant) []Grant) error {
	return b.editUser(ctx, c, user, func(d *userDocument) error {
		d.Grants = change(d.Grants)
		if len(d.Grants) > GrantsMax {
			return fault.New(fault.QuotaSpent, "put", "grants", "a user can have %d grants", GrantsMax)
		}
		for i := range d.Grants {
			if err := d.Grants[i].Check(); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutScram sets, or with nil takes away, what is kept of a user's password for one algorithm ("SCRAM-SHA-256" or "SCRAM-SHA-512"). A user that is
// not there is made, and may do nothing yet. NotFound when there is nothing to take away.
func (b *Broker) PutScram(ctx context.Context, c *Caller, user, algorithm string, secret *ScramSecret) error {
	return b.editUser(ctx, c, user, func(d *userDocument) error {
		at := &d.Secrets.SHA256
		if algorithm == "SCRAM-SHA-512" {
			at = &d.Secrets.SHA512
		}
		if secret == nil && *at == nil {
			return fault.New(fault.NotFound, "put", user, "%s has no %s secret", user, algorithm)
		}
		*at = secret
		return nil
	})
}

// ScramOfSalted makes the secret of a password that its owner has salted and hashed for an algorithm, as PutScram takes it.
func ScramOfSalted(algorithm string, salted, salt []byte, iterations int) *ScramSecret {
	return access.ScramOfSalted(algorithm == "SCRAM-SHA-512", salted, salt, iterations)
}

// ScramIterations says how often a user's password is hashed for one algorithm; false when there is no secret for it. It takes the right to
// describe the user.
func (b *Broker) ScramIterations(c *Caller, user, algorithm string) (int, bool) {
	s, ok := b.ScramSecret(user, algorithm)
	return s.Iterations, ok && b.Allowed(c, ActionDescribe, KindUser, user)
}
