package wire

import (
	"strings"
	"testing"
)

// kilobyte is a body of 1 KiB as many are: JSON, whose quotes are escaped inside of JSON.
var kilobyte = func() string {
	s := strings.Repeat(`{"order":4711,"customer":"Anna","items":["a","b"],"note":"as agreed by telephone on Tuesday"},`, 11)
	return s[:1024]
}()

// bench decodes one request over and over. What is decoded undoes escapes in the body, so each gets a copy of it.
func bench[In, Out any](b *testing.B, a *Action[In, Out], p Protocol, in *In) {
	body := a.AppendRequest(nil, p, in)
	h := Head{Path: "/", ContentType: "application/x-www-form-urlencoded"}
	if p == JSON {
		h = Head{Path: "/", ContentType: p.ContentType(), Target: sqsTarget + a.Action}
	}
	room := make([]byte, len(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		copy(room, body)
		c, err := ParseCall(&h, room)
		if err != nil {
			b.Fatal(err)
		}
		var got In
		if err := a.Decode(&c, &got); err != nil {
			b.Fatal(err)
		}
	}
}

func message() Message {
	return Message{Body: kilobyte, Attributes: Attributes{{Name: "kind", DataType: "String", String: Some("new")}, {Name: "n", DataType: "Number", String: Some("5")}}}
}

func BenchmarkDecodeSendMessage(b *testing.B) {
	in := SendMessageInput{QueueURL: "http://localhost:4566/000000000000/orders", Message: message()}
	b.Run("json", func(b *testing.B) { bench(b, SendMessage, JSON, &in) })
	b.Run("query", func(b *testing.B) { bench(b, SendMessage, Query, &in) })
}

func BenchmarkDecodeSendMessageBatch(b *testing.B) {
	in := SendMessageBatchInput{QueueURL: "http://localhost:4566/000000000000/orders"}
	for i := range BatchMax {
		in.Entries = append(in.Entries, SendMessageBatchEntry{ID: "m" + itoa(i), Message: message()})
	}
	b.Run("json", func(b *testing.B) { bench(b, SendMessageBatch, JSON, &in) })
	b.Run("query", func(b *testing.B) { bench(b, SendMessageBatch, Query, &in) })
}

func BenchmarkDecodeDeleteMessageBatch(b *testing.B) {
	in := DeleteMessageBatchInput{QueueURL: "http://localhost:4566/000000000000/orders"}
	for i := range BatchMax {
		in.Entries = append(in.Entries, DeleteMessageBatchEntry{ID: "m" + itoa(i), ReceiptHandle: strings.Repeat("h", 66)})
	}
	b.Run("json", func(b *testing.B) { bench(b, DeleteMessageBatch, JSON, &in) })
}

func BenchmarkDecodePublish(b *testing.B) {
	in := PublishInput{TopicARN: arnOfTopic, Notice: Notice{Message: kilobyte, Attributes: message().Attributes}}
	b.Run("query", func(b *testing.B) { bench(b, Publish, Query, &in) })
}

func BenchmarkAppendReceiveMessage(b *testing.B) {
	var out ReceiveMessageOutput
	for range BatchMax {
		out.Messages = append(out.Messages, ReceivedMessage{MessageID: strings.Repeat("m", 36), ReceiptHandle: strings.Repeat("h", 66), Body: kilobyte, MD5OfBody: strings.Repeat("5", 32),
			System: Pairs{{"SentTimestamp", "1700000000000"}, {"ApproximateReceiveCount", "1"}}, Attributes: message().Attributes, MD5OfAttributes: strings.Repeat("5", 32)})
	}
	for _, p := range []Protocol{JSON, Query} {
		b.Run(p.ContentType(), func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = ReceiveMessage.Append(buf[:0], p, &out, "id")
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDigests(b *testing.B) {
	m := message()
	b.Run("body", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			MD5OfBody(m.Body)
		}
	})
	b.Run("attributes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			MD5OfAttributes(m.Attributes)
		}
	})
}
