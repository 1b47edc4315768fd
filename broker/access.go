package broker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"leat/broker/access"
	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/shard"
)

// The words of access, for gateways.
type (
	Action      = access.Action
	Kind        = access.Kind
	Grant       = access.Grant
	Quota       = access.Quota
	ScramSecret = access.Scram
)

// Actions and kinds.
const (
	ActionRead     = access.Read
	ActionWrite    = access.Write
	ActionCreate   = access.Create
	ActionDelete   = access.Delete
	ActionAlter    = access.Alter
	ActionDescribe = access.Describe
	ActionAdmin    = access.Admin
	ActionAny      = access.Any
	KindStream     = access.Stream
	KindUser       = access.User
	KindNode       = access.Node
	KindHook       = access.Hook
	KindLink       = access.Link
	KindProducer   = access.Producer
	KindAny        = access.AnyKind
	KindAllotment  = access.Allotment

	KindSubscription = access.Subscription
	KindContract     = access.Contract
)

// User is a principal with its rights.
type User struct {
	Name      string  `json:"name"`
	Password  string  `json:"password,omitempty"` // only on the way in; empty keeps the one there is
	NewToken  bool    `json:"new_token,omitempty"`
	Token     string  `json:"token,omitempty"` // only in the answer to NewToken, once
	Namespace string  `json:"namespace,omitempty"`
	Grants    []Grant `json:"grants"`
	Quota     *Quota  `json:"quota,omitempty"` // nil: the node's default for principals

	AccessKeys   []string `json:"access_keys,omitempty"` // ids; on the way in those that stay, nil for all
	NewAccessKey bool     `json:"new_access_key,omitempty"`
	AccessKey    string   `json:"access_key,omitempty"` // only in the answer to NewAccessKey, once, with its secret
	SecretKey    string   `json:"secret_key,omitempty"`
}

// described is a user without secrets.
func (d *userDocument) described(name string) User {
	u := User{Name: name, Namespace: d.Namespace, Grants: d.Grants, Quota: d.Quota}
	for i := range d.Secrets.AccessKeys {
		u.AccessKeys = append(u.AccessKeys, d.Secrets.AccessKeys[i].ID)
	}
	return u
}

type userDocument struct {
	revision uint64 // of the catalog entry; in no document
	meter    *meter // what the user appends; it outlives the document

	Namespace string         `json:"namespace,omitempty"`
	Grants    []Grant        `json:"grants"`
	Quota     *Quota         `json:"quota,omitempty"`
	Secrets   access.Secrets `json:"secrets"`
}

// users is the index of principals, kept in step with what is published. The document of a user is replaced, never changed.
type users struct {
	mu     sync.RWMutex
	byName map[string]*userDocument
	tokens map[[32]byte]string // kept token → user
	keys   map[string]string   // id of an access key → user
	count  atomic.Int64
	logins loginCache
	nobody meter // what is appended by those who did not log in, together

	hashing  chan struct{} // one token for each password being hashed
	changing chan struct{} // the token of whoever changes users, from looking at them to the outcome
}

const hashingMax = 2 // passwords hashed at once

func (u *users) init() {
	u.byName, u.tokens, u.keys = map[string]*userDocument{}, map[[32]byte]string{}, map[string]string{}
	u.hashing, u.changing = make(chan struct{}, hashingMax), make(chan struct{}, 1)
	rand.Read(u.logins.salt[:])
	u.logins.good = map[[32]byte]string{}
}

func (u *users) take(e *catalog.Entry) error {
	d := &userDocument{}
	if err := json.Unmarshal(e.Document, d); err != nil {
		return err
	}
	d.revision = e.Revision
	u.mu.Lock()
	defer u.mu.Unlock()
	if old := u.byName[e.Name.Name]; old != nil {
		d.meter = old.meter
	} else {
		d.meter = new(meter)
	}
	u.forget(e.Name.Name)
	u.byName[e.Name.Name] = d
	for _, t := range d.Secrets.Tokens {
		if len(t) == 32 {
			u.tokens[[32]byte(t)] = e.Name.Name
		}
	}
	for i := range d.Secrets.AccessKeys {
		u.keys[d.Secrets.AccessKeys[i].ID] = e.Name.Name
	}
	u.count.Store(int64(len(u.byName)))
	return nil
}

func (u *users) drop(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(name)
	u.count.Store(int64(len(u.byName)))
}

func (u *users) forget(name string) {
	if old := u.byName[name]; old != nil {
		for _, t := range old.Secrets.Tokens {
			if len(t) == 32 {
				delete(u.tokens, [32]byte(t))
			}
		}
		for i := range old.Secrets.AccessKeys {
			delete(u.keys, old.Secrets.AccessKeys[i].ID)
		}
		delete(u.byName, name)
	}
	u.logins.clear()
}

func (u *users) get(name string) *userDocument {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.byName[name]
}

// loginCache remembers passwords that were right, as salted hashes: HTTP sends them with every request and PBKDF2 is meant to be slow.
type loginCache struct {
	mu   sync.Mutex
	salt [32]byte
	good map[[32]byte]string
}

const loginCacheMax = 4096

func (l *loginCache) key(user, password string) [32]byte {
	h := sha256.New()
	h.Write(l.salt[:])
	h.Write([]byte(user))
	h.Write([]byte{0})
	h.Write([]byte(password))
	return [32]byte(h.Sum(nil))
}

func (l *loginCache) clear() {
	l.mu.Lock()
	clear(l.good)
	l.mu.Unlock()
}

func (l *loginCache) has(k [32]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.good[k]
	return ok
}

func (l *loginCache) add(k [32]byte, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.good) >= loginCacheMax {
		clear(l.good)
	}
	l.good[k] = user
}

// UsersExist reports whether anybody has to log in.
func (b *Broker) UsersExist() bool { return b.users.count.Load() > 0 }

var errLogin = "the name or the secret is wrong"

func loginFault(user string) error {
	return fault.New(fault.Denied, "login", user, "%s", errLogin).Because(fault.ReasonLogin)
}

// HasUser reports whether there is a user of that name.
func (b *Broker) HasUser(name string) bool { return b.users.get(name) != nil }

// CheckPassword says whether the password is the user's.
func (b *Broker) CheckPassword(ctx context.Context, c *Caller, user, password string) error {
	err := b.checkPassword(ctx, user, password)
	if fault.Is(err, fault.Denied) {
		b.LoginRefused(c, user)
	}
	return err
}

func (b *Broker) checkPassword(ctx context.Context, user, password string) error {
	k := b.users.logins.key(user, password)
	if b.users.logins.has(k) {
		return nil
	}
	d := b.users.get(user)
	if d == nil {
		d = nobody() // costs as much as a wrong password
	}
	select { // hashing is slow on purpose: guesses must not take every core
	case b.users.hashing <- struct{}{}:
		defer func() { <-b.users.hashing }()
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "login", user, "too many logins at once; try again").From(ctx.Err())
	}
	if !d.Secrets.CheckPassword(password) {
		return loginFault(user)
	}
	if b.users.get(user) == d {
		b.users.logins.add(k, user)
	}
	return nil
}

var nobody = sync.OnceValue(func() *userDocument {
	s, err := access.HashPassword(rand.Text())
	if err != nil {
		panic(err)
	}
	return &userDocument{Secrets: *s}
})

// CheckToken returns whose token it is.
func (b *Broker) CheckToken(_ context.Context, c *Caller, token string) (principal string, err error) {
	b.users.mu.RLock()
	name, ok := b.users.tokens[[32]byte(access.HashToken(token))]
	b.users.mu.RUnlock()
	if !ok {
		b.LoginRefused(c, "")
		return "", fault.New(fault.Denied, "login", "", "the token is not known").Because(fault.ReasonLogin)
	}
	return name, nil
}

// SigningSecret returns whose access key it is and the secret that signatures with it are made of; false when nobody's. It is for gateways
// that check signatures, and told to nobody.
func (b *Broker) SigningSecret(accessKey string) (principal, secret string, ok bool) {
	b.users.mu.RLock()
	defer b.users.mu.RUnlock()
	name, ok := b.users.keys[accessKey]
	if !ok {
		return "", "", false
	}
	keys := b.users.byName[name].Secrets.AccessKeys
	i := slices.IndexFunc(keys, func(k access.AccessKey) bool { return k.ID == accessKey })
	return name, keys[i].Secret, true
}

// ScramSecret returns what is needed to run a SCRAM login ("SCRAM-SHA-256" or "SCRAM-SHA-512"); false when there is none.
func (b *Broker) ScramSecret(user, algorithm string) (ScramSecret, bool) {
	d := b.users.get(user)
	if d == nil {
		return ScramSecret{}, false
	}
	var s *access.Scram
	switch algorithm {
	case "SCRAM-SHA-256":
		s = d.Secrets.SHA256
	case "SCRAM-SHA-512":
		s = d.Secrets.SHA512
	}
	if s == nil {
		return ScramSecret{}, false
	}
	return *s, true
}

// NamespaceOf is the namespace a user works in unless told otherwise; "" is the default one.
func (b *Broker) NamespaceOf(user string) string {
	if d := b.users.get(user); d != nil {
		return d.Namespace
	}
	return ""
}

// Allowed reports whether c may do it. While there are no users, everybody may do everything.
func (b *Broker) Allowed(c *Caller, a Action, k Kind, name string) bool {
	if k == KindStream && strings.HasPrefix(name, platformPrefix) {
		return b.allowedOwn(c, a, name)
	}
	if !b.UsersExist() || c.platform {
		return true
	}
	d := b.users.get(c.Principal)
	return d != nil && d.covers(c) && access.Allows(d.Grants, a, k, name, c.Address)
}

// allowedOwn is Allowed for a stream of the platform's own: only the platform writes, makes and deletes it, and what others may do takes
// more than a grant on all streams.
func (b *Broker) allowedOwn(c *Caller, a Action, name string) bool {
	if c.platform {
		return true
	}
	if a == ActionWrite || a == ActionCreate || a == ActionDelete {
		return false
	}
	if !b.UsersExist() || c.platform {
		return true
	}
	d := b.users.get(c.Principal)
	return d != nil && d.covers(c) && access.AllowsOwn(d.Grants, a, access.Stream, name, platformPrefix, c.Address)
}

// covers: a user with a namespace works only there.
func (d *userDocument) covers(c *Caller) bool {
	return d.Namespace == "" || d.Namespace == c.namespace()
}

// allowed is Allowed for many names.
func (b *Broker) allowed(c *Caller, a Action, k Kind) func(name string) bool {
	plain := func(string) bool { return true }
	if b.UsersExist() {
		d := b.users.get(c.Principal)
		if d == nil || !d.covers(c) {
			return func(string) bool { return false }
		}
		plain = func(name string) bool { return access.Allows(d.Grants, a, k, name, c.Address) }
	}
	if k != KindStream {
		return plain
	}
	return func(name string) bool {
		if strings.HasPrefix(name, platformPrefix) {
			return b.allowedOwn(c, a, name)
		}
		return plain(name)
	}
}

func (b *Broker) allow(c *Caller, op string, a Action, k Kind, name string) error {
	if b.Allowed(c, a, k, name) {
		return nil
	}
	if k == KindStream && strings.HasPrefix(name, platformPrefix) && (a == ActionWrite || a == ActionCreate || a == ActionDelete) {
		return fault.New(fault.Denied, op, name, "names that begin with %q are the platform's own; nobody else may %s the stream %q", platformPrefix, a, name)
	}
	if c.Principal == "" {
		return fault.New(fault.Denied, op, name, "log in first: this node has users").Because(fault.ReasonLogin)
	}
	return fault.New(fault.Denied, op, name, "%s may not %s the %s %q; it needs a grant (%s, %s, %s)", c.Principal, a, k, name, a, k, name)
}

func userName(name string) catalog.Name { return catalog.Name{Kind: catalog.User, Name: name} }

// PutUser makes or changes a user. The first user must be able to manage users, or nobody could.
func (b *Broker) PutUser(ctx context.Context, c *Caller, u User) (User, error) {
	if err := b.allow(c, "put", ActionAdmin, KindUser, u.Name); err != nil {
		return User{}, err
	}
	if err := record.CheckStreamName(u.Name); err != nil {
		return User{}, fault.New(fault.Invalid, "put", "name", "the name of a user follows the rules of stream names: %s", fault.As(err).Text)
	}
	if u.Name == SystemPrincipal {
		return User{}, fault.New(fault.Invalid, "put", "name", "%q is the platform itself; choose another name", u.Name)
	}
	for i := range u.Grants {
		if err := u.Grants[i].Check(); err != nil {
			return User{}, err
		}
	}
	if u.Quota != nil {
		if err := u.Quota.Check(); err != nil {
			return User{}, err
		}
	}
	var password *access.Secrets
	if u.Password != "" {
		s, err := access.HashPassword(u.Password) // takes its time, so before others wait for it
		if err != nil {
			return User{}, err
		}
		password = s
	}
	var out User
	err := b.changeUsers(ctx, c, func() (shard.Command, error) {
		if err := b.allow(c, "put", ActionAdmin, KindUser, u.Name); err != nil {
			return nil, err // the first user may have come to be while this one waited
		}
		x := &shard.PutDocument{Name: userName(u.Name), Expected: catalog.NoRevision}
		old := b.users.get(u.Name)
		if old != nil {
			x.Expected = old.revision
		}
		d, token, err := b.putUser(&u, old, password)
		if err != nil {
			return nil, err
		}
		if out = d.described(u.Name); u.NewAccessKey {
			made := d.Secrets.AccessKeys[len(d.Secrets.AccessKeys)-1]
			out.AccessKey, out.SecretKey = made.ID, made.Secret
		}
		out.Token = token
		x.Document, err = json.Marshal(d)
		return x, err
	})
	if err != nil {
		return User{}, err
	}
	return out, nil
}

// putUser makes what is to be kept of u in place of old, nil for a new one.
func (b *Broker) putUser(u *User, old *userDocument, password *access.Secrets) (d *userDocument, token string, err error) {
	manages := access.Allows(u.Grants, ActionAdmin, KindUser, u.Name, "")
	if !b.UsersExist() && !manages {
		return nil, "", fault.New(fault.Invalid, "put", "grants", `the first user must be able to manage users: give it {"action":"admin","kind":"*","pattern":"*"}`)
	}
	d = &userDocument{Namespace: u.Namespace, Grants: u.Grants, Quota: u.Quota}
	if old != nil {
		d.Secrets = old.Secrets
		if !manages {
			if err := b.keepAnAdmin(u.Name, 0); err != nil {
				return nil, "", err
			}
		}
	}
	if password != nil {
		d.Secrets.SHA256, d.Secrets.SHA512 = password.SHA256, password.SHA512
	}
	if u.NewToken {
		if len(d.Secrets.Tokens) >= tokensMax {
			return nil, "", fault.New(fault.QuotaSpent, "put", "new_token", "a user can have %d tokens", tokensMax)
		}
		var kept []byte
		token, kept = access.NewToken()
		d.Secrets.Tokens = append(slices.Clone(d.Secrets.Tokens), kept)
	}
	if err := d.keepAccessKeys(u); err != nil {
		return nil, "", err
	}
	if old == nil && !d.canLogIn() {
		return nil, "", fault.New(fault.Invalid, "put", "password", "a new user needs a password, new_token: true or new_access_key: true")
	}
	return d, token, nil
}

const accessKeysMax = 4 // of one user

// keepAccessKeys drops the access keys that u does not name any more, and makes the one that it asks for.
func (d *userDocument) keepAccessKeys(u *User) error {
	keys := d.Secrets.AccessKeys
	for _, id := range u.AccessKeys {
		if !slices.ContainsFunc(keys, func(k access.AccessKey) bool { return k.ID == id }) {
			return fault.New(fault.Invalid, "put", "access_keys", "the user has no access key %q; new_access_key: true makes one", id)
		}
	}
	if u.AccessKeys != nil {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k access.AccessKey) bool { return !slices.Contains(u.AccessKeys, k.ID) })
	}
	if u.NewAccessKey {
		if len(keys) >= accessKeysMax {
			return fault.New(fault.QuotaSpent, "put", "new_access_key", "a user can have %d access keys", accessKeysMax)
		}
		keys = append(slices.Clone(keys), access.NewAccessKey())
	}
	d.Secrets.AccessKeys = keys
	return nil
}

const tokensMax = 16 // of one user

// DeleteUser removes a user. The last one that can manage users stays as long as there are others.
func (b *Broker) DeleteUser(ctx context.Context, c *Caller, name string) error {
	return b.changeUsers(ctx, c, func() (shard.Command, error) {
		if err := b.allow(c, "delete", ActionAdmin, KindUser, name); err != nil {
			return nil, err
		}
		old := b.users.get(name)
		if old == nil {
			return nil, fault.New(fault.NotFound, "delete", name, "there is no user %q", name)
		}
		if err := b.keepAnAdmin(name, 1); err != nil {
			return nil, err
		}
		return &shard.DeleteDocument{Name: userName(name), Expected: old.revision}, nil
	})
}

// changeUsers decides on a change of users and waits for its outcome, one change at a time: what must hold of all users together, such as
// that somebody can manage them, cannot be compared by the revision of one. Between two changes
//
//	A: no users, ann may begin │ B: no users, bob may begin │ A: put ann │ B: put bob, whom nobody let in
//
// B waits, and then is asked for its rights by the user that A made. All users are in shard 0 of this one process, so a token is enough.
// It is given back when the outcome is known, even if the caller has left before: until then the users are not what they will be. The
// revision is for what was not known here, such as a change that a failed disk kept after all.
func (b *Broker) changeUsers(ctx context.Context, c *Caller, decide func() (shard.Command, error)) error {
	select {
	case b.users.changing <- struct{}{}:
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "put", "", "users are being changed by others; try again").From(ctx.Err())
	}
	var err error
	for range alterTriesMax {
		var x shard.Command
		if x, err = decide(); err != nil {
			break
		}
		sh := b.shardOf(DefaultNamespace)
		n := b.note(c, sh, x)
		s, r := b.shards[sh], shard.NewRequest(n.command)
		if err = s.Submit(ctx, r); err != nil {
			break
		}
		if err = s.Wait(ctx, r); err != nil {
			go func() {
				if s.Wait(context.WithoutCancel(ctx), r) == nil && r.Fault == nil { // nobody else is there to be told
					n.done()
				}
				<-b.users.changing
			}()
			return err
		}
		if r.Fault == nil {
			n.done()
			break
		}
		err = r.Fault
		if k := r.Fault.Kind; k != fault.Exists && k != fault.NotFound && k != fault.Conflict {
			break
		}
	}
	<-b.users.changing
	return err
}

// keepAnAdmin refuses what would leave users and nobody to manage them. alone is how many users there may be for it not to matter.
func (b *Broker) keepAnAdmin(without string, alone int) error {
	b.users.mu.RLock()
	defer b.users.mu.RUnlock()
	if len(b.users.byName) <= alone {
		return nil
	}
	for name, d := range b.users.byName {
		if name != without && access.Allows(d.Grants, ActionAdmin, KindUser, name, "") {
			return nil
		}
	}
	return fault.New(fault.Conflict, "delete", without, "%s is the last user that can manage users; give that right to another one, or delete the others, first", without)
}

// GetUser returns one user, without secrets.
func (b *Broker) GetUser(_ context.Context, c *Caller, name string) (User, error) {
	if err := b.allow(c, "describe", ActionDescribe, KindUser, name); err != nil {
		return User{}, err
	}
	d := b.users.get(name)
	if d == nil {
		return User{}, fault.New(fault.NotFound, "describe", name, "there is no user %q", name)
	}
	return d.described(name), nil
}

// ListUsers lists the users that c may describe, by name, without secrets.
func (b *Broker) ListUsers(_ context.Context, c *Caller) ([]User, error) {
	may := b.allowed(c, ActionDescribe, KindUser)
	b.users.mu.RLock()
	defer b.users.mu.RUnlock()
	out := []User{}
	for name, d := range b.users.byName {
		if may(name) {
			out = append(out, d.described(name))
		}
	}
	slices.SortFunc(out, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
