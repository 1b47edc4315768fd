package kafka

import (
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"leat/broker"
)

// secretFor is what a server keeps of a password, as an independent implementation computes it.
func secretFor(t testing.TB, hash scram.HashGeneratorFcn, user, password string) broker.ScramSecret {
	t.Helper()
	c, err := hash.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
	if err != nil {
		t.Fatal(err)
	}
	return broker.ScramSecret{Salt: []byte(k.Salt), Iterations: k.Iters, StoredKey: k.StoredKey, ServerKey: k.ServerKey}
}

func TestScram_AgainstAnIndependentClient(t *testing.T) {
	for mechanism, hash := range map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512} {
		for _, user := range []string{"alice", "a,b=c"} {
			for _, given := range []string{"right", "wrong"} {
				secret := secretFor(t, hash, user, "right")
				asked := ""
				s := newScram(mechanism, func(u string) broker.ScramSecret { asked = u; return secret })
				c, err := hash.NewClient(user, given, "")
				if err != nil {
					t.Fatal(err)
				}
				conv := c.NewConversation()
				first, _ := conv.Step("")
				answer, done, err := s.step([]byte(first))
				if err != nil || done || asked != user {
					t.Fatalf("first: %v %v, asked for %q", err, done, asked)
				}
				second, err := conv.Step(string(answer))
				if err != nil {
					t.Fatal(err)
				}
				answer, done, err = s.step([]byte(second))
				if given == "wrong" {
					if err == nil || done {
						t.Errorf("%s %s: a wrong password was good enough", mechanism, user)
					}
					continue
				}
				if err != nil || !done {
					t.Fatalf("%s %s: %v", mechanism, user, err)
				}
				if _, err := conv.Step(string(answer)); err != nil || !conv.Valid() {
					t.Errorf("%s %s: the client does not believe the server: %v", mechanism, user, err)
				}
			}
		}
	}
}

func TestScram_Refuses(t *testing.T) {
	secret := secretFor(t, scram.SHA256, "alice", "right")
	start := func() *scramServer {
		return newScram("SCRAM-SHA-256", func(string) broker.ScramSecret { return secret })
	}
	for _, m := range []string{"", "n", "n,,", "n,,n=alice", "n,,r=x,n=alice", "n,,n=,r=x", "n,,n=alice,r=", "p=tls-unique,,n=alice,r=x", "n,a=bob,n=alice,r=x",
		"n,,n=alice,r=" + strings.Repeat("x", scramBytesMax)} {
		if _, _, err := start().step([]byte(m)); err == nil {
			t.Errorf("first %.40q was taken", m)
		}
	}
	for _, m := range []string{"", "c=biws,r=x,p=AAAA", "c=biws", "c=biws,r=xNONCE,p=!", "c=eSws,r=xNONCE,p=AAAA", "c=biws,r=xNONCE,p=AAAA"} {
		s := start()
		if _, _, err := s.step([]byte("n,,n=alice,r=x")); err != nil {
			t.Fatal(err)
		}
		if _, done, err := s.step([]byte(strings.ReplaceAll(m, "NONCE", s.nonce))); err == nil || done {
			t.Errorf("final %q was taken", m)
		}
	}
}

func FuzzScram(f *testing.F) {
	f.Add("n,,n=alice,r=x", "c=biws,r=x,p=AAAA")
	f.Add("y,a=alice,n=alice,r=x,ext=1", "c=,r=,p=")
	secret := secretFor(f, scram.SHA256, "alice", "right")
	f.Fuzz(func(t *testing.T, first, final string) {
		s := newScram("SCRAM-SHA-256", func(string) broker.ScramSecret { return secret })
		if _, done, err := s.step([]byte(first)); err != nil || done {
			if done {
				t.Fatal("logged in by one message")
			}
			return
		}
		if _, done, _ := s.step([]byte(final)); done {
			t.Fatal("logged in without the password")
		}
	})
}
