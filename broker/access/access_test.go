package access

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

func TestAllows(t *testing.T) {
	gs := []Grant{{Write, Stream, "orders.*"}, {Read, Stream, "stock"}, {Admin, User, "*"}}
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
		if got := Allows(gs, c.a, c.k, c.name); got != c.want {
			t.Errorf("%s %s %s: got %v, want %v", c.a, c.k, c.name, got, c.want)
		}
	}
}

func TestGrantCheck(t *testing.T) {
	for g, ok := range map[Grant]bool{
		{Read, Stream, "a*"}: true, {Any, AnyKind, "*"}: true, {Read, Stream, "a*b"}: false, {Read, Stream, ""}: false,
		{"fly", Stream, "a"}: false, {Read, "moon", "a"}: false,
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
