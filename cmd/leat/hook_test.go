package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

// deliver sends what GitHub would.
func deliver(t *testing.T, url, secret, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(body))
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	r.Header.Set("X-GitHub-Delivery", body)
	r.Header.Set("X-GitHub-Event", "push")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestHook(t *testing.T) {
	dir := t.TempDir()
	url, stop := realNode(t, dir)
	c := cli{url: url}
	made := c.must(t, "", "hook create gh --scheme github --stream code --key /repo --type header:X-GitHub-Event")
	_, secret, ok := strings.Cut(made, "new_secret\t")
	if secret, _, _ = strings.Cut(secret, "\n"); !ok || len(secret) != 64 {
		t.Fatalf("no secret in %s", made)
	}
	if code := deliver(t, url+"/v1/hooks/gh", secret, `{"repo":"leat"}`); code != 200 {
		t.Fatal(code)
	}
	if code := deliver(t, url+"/v1/hooks/gh", "another", "x"); code != 401 {
		t.Fatal(code)
	}
	if out := c.must(t, "", "hook describe gh"); strings.Contains(out, secret) || !strings.Contains(out, `"stored":1`) || !strings.Contains(out, "\t401\tmismatch\t127.0.0.1\t") {
		t.Errorf("%s", out)
	}
	stop()
	url, _ = realNode(t, dir) // a restart keeps hooks, and knows what was stored
	c.url = url
	if code := deliver(t, url+"/v1/hooks/gh", secret, `{"repo":"leat"}`); code != 200 {
		t.Fatal(code)
	}
	if code := deliver(t, url+"/v1/hooks/gh", "another", "x"); code != 401 {
		t.Fatal(code)
	}
	if out := c.must(t, "", "read code"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"type":"push"`) || !strings.Contains(out, `"partitionkey":"leat"`) {
		t.Errorf("%s", out)
	}
	// What is not mentioned stays; one more secret is added.
	c.must(t, "the sender's own\n", "hook create gh --stream other --secret-stdin")
	if out := c.must(t, "", "hook describe gh -o json"); !strings.Contains(out, `"pointer":"/repo"`) || !strings.Contains(out, `"stream":"other"`) || strings.Contains(out, "own") {
		t.Errorf("%s", out)
	}
	for _, s := range []string{secret, "the sender's own"} {
		if code := deliver(t, url+"/v1/hooks/gh", s, "y"+s); code != 200 {
			t.Errorf("%d", code)
		}
	}
	c.env = map[string]string{"LEAT_HOOK_SECRET": "whsec_of_stripe"}
	c.must(t, "", "hook create money --scheme stripe --stream pay --tolerance 1m --source https://stripe.example --cloudevents=false")
	c.env = nil
	c.must(t, "", "hook create open --scheme none --stream pay")
	if out := c.must(t, "", "hook list"); strings.Count(out, "\n") != 4 || !strings.Contains(out, "UNSIGNED") {
		t.Errorf("%s", out)
	}
	c.must(t, "", "hook delete gh --yes")
	if code := deliver(t, url+"/v1/hooks/gh", secret, "z"); code != 404 {
		t.Errorf("deleted: %d", code)
	}
	for args, code := range map[string]int{
		"hook create x": exitUsage, "hook create x --scheme github": exitUsage, "hook create x --scheme md5 --stream s": exitUsage, "hook create x --scheme slack --stream s": exitUsage,
		"hook create x --scheme hmac --stream s --set hmac": exitUsage, "hook create x --scheme hmac --stream s": exitFailed, "hook describe gh": exitNotFound, "hook delete money": exitUsage,
	} {
		if _, errs, got := c.run(t.Context(), "", strings.Fields(args)...); got != code {
			t.Errorf("leat %s: exit %d, %s", args, got, errs)
		}
	}
}
