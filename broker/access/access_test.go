package access

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

func TestAllows(t *testing.T) {
	gs := []Grant{{Action: Write, Kind: Stream, Pattern: "orders.*"}, {Action: Read, Kind: Stream, Pattern: "stock"}, {Action: Admin, Kind: User, Pattern: "*"}}
	for _, c := range []struct {
		a    Action
		k    Kind
		name string
		want bool
	}{
		{Write, Stream, "orders.eu", true}, {Describe, Stream, "orders.eu", true}, {Read, Stream, "orders.eu", false},
		{Write, Stream, "order", false}, {Read, Stream, "stock", true}, {Read, Stream, "stock2", false}, {Create, Stream, "orders.eu", false},
		{Delete, User, "ann", true}, {Delete, Stream, "ann", false}, {Admin, Node, "node", false},
	} {
		if got := Allows(gs, c.a, c.k, c.name, "10.0.0.1"); got != c.want {
			t.Errorf("%s %s %s: got %v, want %v", c.a, c.k, c.name, got, c.want)
		}
	}
}

func TestAllows_DeniesAndAddresses(t *testing.T) {
	gs := []Grant{
		{Action: Read, Kind: Stream, Pattern: "*"},
		{Action: Read, Kind: Stream, Pattern: "secret.*", Deny: true},
		{Action: Write, Kind: Stream, Pattern: "a", From: "10.0.0.1"},
		{Action: Any, Kind: Stream, Pattern: "b", Deny: true, From: "10.0.0.2"},
	}
	for _, c := range []struct {
		a          Action
		name, from string
		want       bool
	}{
		{Read, "open", "10.0.0.9", true}, {Read, "secret.plans", "10.0.0.9", false}, {Describe, "secret.plans", "10.0.0.9", true},
		{Write, "a", "10.0.0.1", true}, {Write, "a", "10.0.0.2", false}, {Write, "a", "", false},
		{Read, "b", "10.0.0.1", true}, {Read, "b", "10.0.0.2", false}, {Describe, "b", "10.0.0.2", false},
	} {
		if got := Allows(gs, c.a, Stream, c.name, c.from); got != c.want {
			t.Errorf("%s %s from %s: got %v, want %v", c.a, c.name, c.from, got, c.want)
		}
	}
	own := []Grant{{Action: Admin, Kind: Stream, Pattern: "*"}, {Action: Read, Kind: Stream, Pattern: "leat.system", Deny: true}}
	if AllowsOwn(own, Read, Stream, "leat.system", "leat.", "") || !AllowsOwn(own, Describe, Stream, "leat.system", "leat.", "") {
		t.Error("a stream of the platform's: what is denied is allowed, or the rest is not")
	}
	for _, g := range []Grant{{Action: Read, Kind: Stream, Pattern: "a", From: "home"}, {Action: Read, Kind: Stream, Pattern: "a", From: "::ffff:10.0.0.1 "}} {
		if g.Check() == nil {
			t.Errorf("%+v is taken", g)
		}
	}
}

func TestGrantCheck(t *testing.T) {
	for g, ok := range map[Grant]bool{
		{Action: Read, Kind: Stream, Pattern: "a*"}: true, {Action: Any, Kind: AnyKind, Pattern: "*"}: true, {Action: Read, Kind: Stream, Pattern: "a*b"}: false, {Action: Read, Kind: Stream, Pattern: ""}: false,
		{Action: "fly", Kind: Stream, Pattern: "a"}: false, {Action: Read, Kind: "moon", Pattern: "a"}: false,
	} {
		if err := g.Check(); (err == nil) != ok {
			t.Errorf("%+v: got %v", g, err)
		}
	}
}

// RFC 7677, section 3: user "user", password "pencil".
func TestDerive_RFC7677(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	s, err := derive(sha256.New, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	auth := "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	if got := base64.StdEncoding.EncodeToString(mac(sha256.New, s.ServerKey, auth)); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Fatalf("server signature %s", got)
	}
}

func TestPasswordsAndTokens(t *testing.T) {
	s, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !s.CheckPassword("correct horse") || s.CheckPassword("correct hors") {
		t.Fatal("password check is wrong")
	}
	if _, err := HashPassword("short"); err == nil {
		t.Fatal("a short password was taken")
	}
	tok, kept := NewToken()
	if string(HashToken(tok)) != string(kept) || string(HashToken(tok+"x")) == string(kept) {
		t.Fatal("token check is wrong")
	}
}
