package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captured is one request of a real client.
type captured struct {
	client string
	key    Key
	head   Head
	body   []byte
}

// captures reads all of them. What they are is said at their beginning.
func captures(t testing.TB) []captured {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	var out []captured
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var key Key
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if name, ok := strings.CutPrefix(line, "# sqs "); ok {
				key = Key{SQS, name}
			}
			if name, ok := strings.CutPrefix(line, "# sns "); ok {
				key = Key{SNS, name}
			}
			digits, ok := strings.CutPrefix(line, "> ")
			if !ok {
				continue
			}
			raw, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			out = append(out, captured{
				client: strings.TrimSuffix(filepath.Base(file), ".txt"), key: key, body: body,
				head: Head{Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Target: r.Header.Get("X-Amz-Target"), ContentType: r.Header.Get("Content-Type")},
			})
		}
	}
	return out
}

// entry is an action without its types.
type entry struct {
	decode func(c *Call) (in any, err *Error)
	again  func(p Protocol, in any) []byte // the request, written anew
	answer func(p Protocol) []byte         // an answer whose every member is there
	full   func() any                      // a request whose every member is there
}

func entryOf[In, Out any](a *Action[In, Out]) (Key, entry) {
	return a.Key, entry{
		decode: func(c *Call) (any, *Error) {
			in := new(In)
			err := a.Decode(c, in)
			return in, err
		},
		again:  func(p Protocol, in any) []byte { return a.AppendRequest(nil, p, in.(*In)) },
		answer: func(p Protocol) []byte { out := new(Out); fill(out); return a.Append(nil, p, out, "id") },
		full:   func() any { in := new(In); fill(in); return in },
	}
}

// all has every action.
func all(t testing.TB) map[Key]entry {
	t.Helper()
	m := map[Key]entry{}
	add := func(k Key, e entry) { m[k] = e }
	add(entryOf(SendMessage))
	add(entryOf(SendMessageBatch))
	add(entryOf(ReceiveMessage))
	add(entryOf(DeleteMessage))
	add(entryOf(DeleteMessageBatch))
	add(entryOf(ChangeMessageVisibility))
	add(entryOf(ChangeMessageVisibilityBatch))
	add(entryOf(CreateQueue))
	add(entryOf(DeleteQueue))
	add(entryOf(PurgeQueue))
	add(entryOf(ListQueueTags))
	add(entryOf(GetQueueURL))
	add(entryOf(ListQueues))
	add(entryOf(ListDeadLetterSourceQueues))
	add(entryOf(GetQueueAttributes))
	add(entryOf(SetQueueAttributes))
	add(entryOf(TagQueue))
	add(entryOf(UntagQueue))
	add(entryOf(AddPermission))
	add(entryOf(RemovePermission))
	add(entryOf(StartMessageMoveTask))
	add(entryOf(CancelMessageMoveTask))
	add(entryOf(ListMessageMoveTasks))
	add(entryOf(Publish))
	add(entryOf(PublishBatch))
	add(entryOf(CreateTopic))
	add(entryOf(DeleteTopic))
	add(entryOf(GetTopicAttributes))
	add(entryOf(SetTopicAttributes))
	add(entryOf(ListTopics))
	add(entryOf(Subscribe))
	add(entryOf(ConfirmSubscription))
	add(entryOf(Unsubscribe))
	add(entryOf(GetSubscriptionAttributes))
	add(entryOf(SetSubscriptionAttributes))
	add(entryOf(ListSubscriptions))
	add(entryOf(ListSubscriptionsByTopic))
	add(entryOf(GetCallerIdentity))
	add(entryOf(TagResource))
	add(entryOf(UntagResource))
	add(entryOf(ListTagsForResource))
	add(entryOf(AddTopicPermission))
	add(entryOf(RemoveTopicPermission))
	add(entryOf(PutDataProtectionPolicy))
	add(entryOf(GetDataProtectionPolicy))
	add(entryOf(CreatePlatformApplication))
	add(entryOf(DeletePlatformApplication))
	add(entryOf(GetPlatformApplicationAttributes))
	add(entryOf(SetPlatformApplicationAttributes))
	add(entryOf(ListPlatformApplications))
	add(entryOf(ListEndpointsByPlatformApplication))
	add(entryOf(CreatePlatformEndpoint))
	add(entryOf(DeleteEndpoint))
	add(entryOf(GetEndpointAttributes))
	add(entryOf(SetEndpointAttributes))
	add(entryOf(CheckIfPhoneNumberIsOptedOut))
	add(entryOf(OptInPhoneNumber))
	add(entryOf(ListPhoneNumbersOptedOut))
	add(entryOf(GetSMSAttributes))
	add(entryOf(SetSMSAttributes))
	add(entryOf(CreateSMSSandboxPhoneNumber))
	add(entryOf(VerifySMSSandboxPhoneNumber))
	add(entryOf(DeleteSMSSandboxPhoneNumber))
	add(entryOf(GetSMSSandboxAccountStatus))
	add(entryOf(ListSMSSandboxPhoneNumbers))
	add(entryOf(ListOriginationNumbers))
	for k := range registry {
		if _, ok := m[k]; !ok {
			t.Errorf("the tests lack %s of %s", k.Action, k.Service)
		}
	}
	return m
}

// call parses a request that is in order so far.
func call(t testing.TB, h Head, body string) *Call {
	t.Helper()
	c, err := ParseCall(&h, []byte(body))
	if err != nil {
		t.Fatalf("%+v %s: %v", h, body, err)
	}
	return &c
}

// asJSON and asForm are requests in the two protocols.
func asJSON(t testing.TB, action, body string) *Call {
	return call(t, Head{Path: "/", Target: sqsTarget + action, ContentType: JSON.ContentType()}, body)
}

func asForm(t testing.TB, body string) *Call {
	return call(t, Head{Path: "/", ContentType: "application/x-www-form-urlencoded; charset=utf-8"}, body)
}
