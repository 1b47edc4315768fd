package aws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway/aws/wire"
)

// signed is the headers of a request in JSON, signed as a client signs it.
func (s *served) signed(user, secret, token, target, body string) map[string]string {
	mac := func(key []byte, data string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(data))
		return h.Sum(nil)
	}
	sum := func(p string) string { h := sha256.Sum256([]byte(p)); return hex.EncodeToString(h[:]) }
	at := time.Now().UTC().Format("20060102T150405Z")
	names, line := "host;x-amz-date;x-amz-security-token;x-amz-target", "\nx-amz-security-token:"+token
	if token == "" {
		names, line = "host;x-amz-date;x-amz-target", ""
	}
	canonical := "POST\n/\n\nhost:" + strings.TrimPrefix(s.url, "http://") + "\nx-amz-date:" + at + line +
		"\nx-amz-target:" + target + "\n\n" + names + "\n" + sum(body)
	scope := at[:8] + "/us-east-1/sqs/aws4_request"
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+at+"\n"+scope+"\n"+sum(canonical)))
	header := map[string]string{
		"X-Amz-Date": at, "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0",
		"Authorization": fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", user, scope, names, signature),
	}
	if token != "" {
		header["X-Amz-Security-Token"] = token
	}
	return header
}

// A user with an access key signs as at Amazon. The key of another, or one that was dropped, is none.
func TestLogin_AccessKeys(t *testing.T) {
	s := start(t)
	put := func(u broker.User) broker.User {
		t.Helper()
		u.Grants = []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}
		made, err := s.broker.PutUser(context.Background(), &broker.Caller{Principal: "root"}, u)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	root := put(broker.User{Name: "root", NewAccessKey: true})
	shop := put(broker.User{Name: "shop", NewAccessKey: true, Namespace: "shop"})
	const target, body = "AmazonSQS.CreateQueue", `{"QueueName":"orders"}`
	check := func(what, id, secret string, want int, code string) {
		t.Helper()
		got, h, b := s.post(s.signed(id, secret, "", target, body), "/", []byte(body))
		if got != want || h.Get("X-Amzn-Query-Error") != code {
			t.Errorf("%s: %d %q %s; want %d %s", what, got, h.Get("X-Amzn-Query-Error"), b, want, code)
		}
	}
	check("a key", shop.AccessKey, shop.SecretKey, 200, "")
	if _, err := s.broker.DescribeStream(context.Background(), &broker.Caller{Principal: "root", Namespace: "shop"}, "orders"); err != nil {
		t.Errorf("the queue is not in the user's namespace: %v", err)
	}
	check("another's secret", shop.AccessKey, root.SecretKey, 403, "SignatureDoesNotMatch;Sender")
	check("no such key", "LKIA0000000000000000", shop.SecretKey, 403, "InvalidClientTokenId;Sender")
	second := put(broker.User{Name: "shop", NewAccessKey: true, AccessKeys: []string{}, Namespace: "shop"})
	if len(second.AccessKeys) != 1 || second.AccessKeys[0] != second.AccessKey {
		t.Errorf("keys after a change: %+v", second)
	}
	check("a key that was dropped", shop.AccessKey, shop.SecretKey, 403, "InvalidClientTokenId;Sender")
	check("the new key", second.AccessKey, second.SecretKey, 200, "")
	told, err := s.broker.GetUser(context.Background(), &broker.Caller{Principal: "root"}, "shop")
	if err != nil || told.SecretKey != "" || len(told.AccessKeys) != 1 {
		t.Errorf("described %+v, %v", told, err)
	}
}

func TestCallerIdentity(t *testing.T) {
	s := start(t)
	ask := func(user string) string {
		t.Helper()
		header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
		if user != "" {
			header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
		}
		code, _, b := s.post(header, "/", wire.GetCallerIdentity.AppendRequest(nil, wire.Query, &wire.None{}))
		return fmt.Sprint(code, " ", string(b))
	}
	if got := ask(""); !strings.Contains(got, "<Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>") {
		t.Error(got)
	}
	u := broker.User{Name: "shop", Password: "open-sesame", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}}
	if _, err := s.broker.PutUser(context.Background(), &broker.Caller{}, u); err != nil {
		t.Fatal(err)
	}
	if got := ask("shop:open-sesame"); !strings.Contains(got, "<Arn>arn:aws:iam::000000000000:user/shop</Arn><UserId>shop</UserId>") {
		t.Error(got)
	}
	if got := ask("shop:wrong"); !strings.HasPrefix(got, "403 ") {
		t.Error(got)
	}
}

func TestLogin_Signatures(t *testing.T) {
	s := start(t)
	put := func(u broker.User) string {
		t.Helper()
		u.NewToken = true
		made, err := s.broker.PutUser(context.Background(), &broker.Caller{Principal: "root"}, u)
		if err != nil {
			t.Fatal(err)
		}
		return made.Token
	}
	root := put(broker.User{Name: "root", Password: "open-sesame", Grants: []broker.Grant{{Action: "admin", Kind: "*", Pattern: "*"}}})
	poor := put(broker.User{Name: "poor", Password: "open-sesame"})
	const target, body = "AmazonSQS.CreateQueue", `{"QueueName":"orders"}`
	for _, c := range []struct {
		name   string
		header map[string]string
		body   string
		want   int
		code   string
	}{
		{"not signed", map[string]string{"X-Amz-Target": target}, body, 403, "MissingAuthenticationToken;Sender"},
		{"signed", s.signed("root", root, root, target, body), body, 200, ""},
		{"another body", s.signed("root", root, root, target, body), `{"QueueName":"others"}`, 403, "SignatureDoesNotMatch;Sender"},
		{"another secret", s.signed("root", "guess", root, target, body), body, 403, "SignatureDoesNotMatch;Sender"},
		{"another's token", s.signed("root", poor, poor, target, body), body, 403, "InvalidClientTokenId;Sender"},
		{"no such token", s.signed("root", "guess", "guess", target, body), body, 403, "InvalidClientTokenId;Sender"},
		{"without the right", s.signed("poor", poor, poor, target, body), body, 403, "AccessDenied;Sender"},
		{"bearer", map[string]string{"X-Amz-Target": target, "Authorization": "Bearer " + root}, body, 200, ""},
	} {
		code, h, b := s.post(c.header, "/", []byte(c.body))
		if code != c.want || h.Get("X-Amzn-Query-Error") != c.code {
			t.Errorf("%s: %d %q %s; want %d %s", c.name, code, h.Get("X-Amzn-Query-Error"), b, c.want, c.code)
		}
	}
}

// What real clients sent is answered: done, or refused in words of Amazon's for what their example names, never as something not understood.
func TestCaptures_AreAnswered(t *testing.T) {
	files, err := filepath.Glob("testdata/captures/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("captures: %v %v", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			s := start(t)
			answered := 0
			for key, raw := range captured(t, f) {
				if verbOf[key] == nil {
					continue
				}
				action := key.Service.String() + " " + key.Action
				req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
				if err != nil {
					t.Fatalf("%s: %v", action, err)
				}
				body, err := io.ReadAll(req.Body)
				if err != nil {
					t.Fatalf("%s: %v", action, err)
				}
				header := map[string]string{}
				for k := range req.Header {
					header[k] = req.Header.Get(k)
				}
				delete(header, "Content-Length")
				code, _, b := s.post(header, req.URL.RequestURI(), body)
				for _, bad := range []wire.Code{wire.MalformedRequest, wire.InvalidAction, wire.MissingAction, wire.MissingParameter, wire.UnsupportedOperation, wire.InternalFailure} {
					if name := wire.Refuse(bad, "").Name(); code != 200 && strings.Contains(string(b), name) {
						t.Errorf("%s: %d %s", action, code, b)
					}
				}
				if code >= 500 {
					t.Errorf("%s: %d %s", action, code, b)
				}
				answered++
			}
			if answered < 9 { // of each client we have that many and more
				t.Errorf("%d requests in the capture", answered)
			}
		})
	}
}

// captured is the requests of a file, by action.
func captured(t *testing.T, file string) map[wire.Key][]byte {
	t.Helper()
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, action := map[wire.Key][]byte{}, wire.Key{}
	for line := range strings.SplitSeq(string(p), "\n") {
		if name, ok := strings.CutPrefix(line, "# sqs "); ok {
			action = wire.Key{Service: wire.SQS, Action: name}
		} else if name, ok := strings.CutPrefix(line, "# sns "); ok {
			action = wire.Key{Service: wire.SNS, Action: name}
		}
		if hexed, ok := strings.CutPrefix(line, "> "); ok && action.Action != "" {
			raw, err := hex.DecodeString(strings.TrimSpace(hexed))
			if err != nil {
				t.Fatal(err)
			}
			out[action] = raw
		}
	}
	return out
}
