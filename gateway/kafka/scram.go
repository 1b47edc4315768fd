package kafka

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"leat/broker"
)

// scramServer is the server's side of RFC 5802, without channel binding (Kafka has none):
//
//	client  n,,n=<user>,r=<client nonce>                        gs2 header, then the first message bare
//	server  r=<client nonce><server nonce>,s=<salt>,i=<iterations>
//	client  c=<gs2 header in base64>,r=<both nonces>,p=<proof>
//	server  v=<signature>
//
// It is our own because librdkafka before 2.6 says the client nonce twice in its last message, which the RFC forbids and Kafka's broker lets
// pass: all that matters is that the end is what the server made up, and the proof covers what was sent.
type scramServer struct {
	hash   func() hash.Hash
	lookup func(user string) broker.ScramSecret
	nonce  string // ours

	user   string
	gs2    string
	signed string // client first bare "," server first
	nonces string
	secret broker.ScramSecret
}

var errScramForm = errors.New("this is not a SCRAM message")

func newScram(mechanism string, lookup func(string) broker.ScramSecret) *scramServer {
	s := &scramServer{hash: sha512.New, lookup: lookup, nonce: rand.Text()}
	if mechanism == "SCRAM-SHA-256" {
		s.hash = sha256.New
	}
	return s
}

// scramBytesMax is the longest message of a client that is looked at.
const scramBytesMax = 4096

// step takes the client's next message. done is true when the proof was right.
func (s *scramServer) step(message []byte) (answer []byte, done bool, err error) {
	if len(message) > scramBytesMax {
		return nil, false, errScramForm
	}
	if s.signed == "" {
		answer, err = s.first(string(message))
		return answer, false, err
	}
	answer, err = s.final(string(message))
	return answer, err == nil, err
}

func (s *scramServer) first(message string) ([]byte, error) {
	binding, rest, ok1 := strings.Cut(message, ",")
	authz, bare, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 || binding != "n" && binding != "y" {
		return nil, fmt.Errorf("%w without channel binding", errScramForm)
	}
	user, rest, ok1 := strings.Cut(bare, ",")
	nonce, _, _ := strings.Cut(rest, ",") // extensions may follow, and mean nothing here
	if !ok1 || !strings.HasPrefix(user, "n=") || !strings.HasPrefix(nonce, "r=") || len(nonce) < 3 {
		return nil, errScramForm
	}
	s.user = unescape(user[2:])
	if s.user == "" {
		return nil, errScramForm
	}
	if authz != "" && authz != "a="+user[2:] {
		return nil, errors.New("nobody may act as somebody else")
	}
	s.gs2 = message[:len(message)-len(bare)]
	s.secret = s.lookup(s.user)
	s.nonces = nonce[2:] + s.nonce
	answer := "r=" + s.nonces + ",s=" + base64.StdEncoding.EncodeToString(s.secret.Salt) + ",i=" + strconv.Itoa(s.secret.Iterations)
	s.signed = bare + "," + answer
	return []byte(answer), nil
}

func (s *scramServer) final(message string) ([]byte, error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, errScramForm
	}
	bare := message[:at]
	proof, err := base64.StdEncoding.DecodeString(message[at+3:])
	if err != nil {
		return nil, errScramForm
	}
	binding, rest, _ := strings.Cut(bare, ",")
	nonces, _, _ := strings.Cut(rest, ",")
	if binding != "c="+base64.StdEncoding.EncodeToString([]byte(s.gs2)) || !strings.HasPrefix(nonces, "r=") || !strings.HasSuffix(nonces, s.nonces) {
		return nil, errors.New("the message does not belong to this login")
	}
	signed := s.signed + "," + bare
	clientKey := s.mac(s.secret.StoredKey, signed) // client key = proof XOR signature
	if len(proof) != len(clientKey) {
		return nil, errLogin
	}
	for i := range clientKey {
		clientKey[i] ^= proof[i]
	}
	h := s.hash()
	h.Write(clientKey)
	if !hmac.Equal(h.Sum(nil), s.secret.StoredKey) {
		return nil, errLogin
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(s.mac(s.secret.ServerKey, signed))), nil
}

func (s *scramServer) mac(key []byte, text string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// unescape turns =2C and =3D of a user name into what they stand for.
func unescape(s string) string {
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
}
