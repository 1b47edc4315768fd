package crossing

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// One bad record among good ones, by each protocol, under a contract that rejects and under one that puts it into quarantine.

// registry asks the schema registry.
func registry(t *testing.T, method, path string, body any, to any) {
	t.Helper()
	p, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+node.Registry+"/"+path, bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, out, err)
	}
	if err := json.Unmarshal(out, to); err != nil {
		t.Fatal(err)
	}
}

// contract binds one to a stream. It gives the id of the schema.
func contract(t *testing.T, stream, enforce string) int {
	t.Helper()
	var schema struct{ ID int }
	registry(t, "POST", "subjects/"+stream+"/versions", map[string]any{
		"schemaType": "JSON", "schema": `{"type":"object","required":["id","total"],"properties":{"total":{"type":"number","minimum":0}}}`,
	}, &schema)
	registry(t, "PUT", "contracts/"+stream, map[string]any{"stream": stream, "subject": stream, "enforce": enforce}, new(any))
	return schema.ID
}

func order(i int, bad bool) string {
	if bad {
		return fmt.Sprintf(`{"id":"%d","total":-1}`, i)
	}
	return fmt.Sprintf(`{"id":"%d","total":1}`, i)
}

// aside is what waits in quarantine of a stream.
type aside struct {
	Ref, Contract, Field, Reason, Stream, Protocol string
	Offset                                         *int64
	Index                                          int
	Value                                          struct {
		Text   string
		Base64 []byte
	}
}

func waiting(t *testing.T, stream string) []aside {
	t.Helper()
	var p struct{ Records []aside }
	registry(t, "GET", "quarantine?limit=1000&stream="+stream, nil, &p)
	return p.Records
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// producer sends orders in batches of an idempotent producer, and says at which offset each is.
func producer(t *testing.T, stream string, codec kgo.CompressionCodec, framedBy int) func(n int, bad ...int) ([]int64, error) {
	t.Helper()
	c := client(t, kgo.DefaultProduceTopic(stream), kgo.ProducerBatchCompression(codec), kgo.ManualFlushing(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	frame := ""
	if framedBy > 0 {
		frame = string(binary.BigEndian.AppendUint32([]byte{0}, uint32(framedBy)))
	}
	return func(n int, bad ...int) ([]int64, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), waitMost)
		defer cancel()
		rs, errs := make([]*kgo.Record, n), make(chan error, n)
		for i := range rs {
			isBad := false
			for _, b := range bad {
				isBad = isBad || b == i
			}
			rs[i] = &kgo.Record{Key: fmt.Append(nil, i), Value: []byte(frame + order(i, isBad))}
			c.Produce(ctx, rs[i], func(_ *kgo.Record, err error) { errs <- err })
			// A client that learns of the topic while it is flushed may make two batches of what it was given.
			for leader := int32(-1); leader < 0 && ctx.Err() == nil; {
				if leader, _, _ = c.PartitionLeader(stream, 0); leader < 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}
		if err := c.Flush(ctx); err != nil {
			return nil, err
		}
		var first error
		for range rs {
			if err := <-errs; err != nil {
				first = err
			}
		}
		at := make([]int64, n)
		for i, r := range rs {
			at[i] = r.Offset
		}
		return at, first
	}
}

func TestContract_KafkaQuarantine(t *testing.T) {
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			stream := "quarantine-kafka-" + name
			request(t, http.StatusCreated, "PUT", "/v1/streams/"+stream, nil, `{}`)
			id := contract(t, stream, "quarantine")
			if name != "zstd" { // there framed by the id of the schema, else plain
				id = 0
			}
			send := producer(t, stream, codec, id)
			for round := range 2 {
				at, err := send(500, 321)
				if err != nil {
					t.Fatal(err)
				}
				for i, o := range at {
					if o != int64(round*503+i) {
						t.Fatalf("round %d: order %d is at %d", round, i, o)
					}
				}
				if _, err := send(3, 0, 1, 2); err != nil { // nothing is left of it
					t.Fatal(err)
				}
			}
			if _, err := send(1); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, r := range consume(t, stream, 2*499+1) {
				want = append(want, fmt.Sprint(r.Offset))
				if r.Offset%503 == 321 || strings.Contains(string(r.Value), "-1") {
					t.Fatalf("%d is %s", r.Offset, r.Value)
				}
			}
			all := waiting(t, stream)
			if len(all) != 8 || all[0].Index != 321 || all[0].Field != "total" || all[0].Contract != stream || *all[0].Offset != 321 || all[0].Protocol != "kafka" {
				t.Fatalf("%+v", all)
			}
			if v := all[0].Value; !strings.HasSuffix(v.Text+string(v.Base64), order(321, true)) {
				t.Fatalf("%+v", v)
			}
			byKcat(t, stream, want)
		})
	}
}

// byKcat demands the same offsets of librdkafka.
func byKcat(t *testing.T, stream string, want []string) {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		t.Log("SKIP kcat is not here, so librdkafka was not asked")
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-C", "-q", "-e", "-b", node.Kafka, "-t", stream, "-p", "0", "-o", "beginning", "-f", "%o\n").CombinedOutput()
	if got := strings.Fields(string(out)); err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("kcat read %d of %d: %v\n%.300s", len(got), len(want), err, out)
	}
}

// rawBatch are records as they are sent, for who wants to see the whole answer.
func rawBatch(values ...string) []byte {
	var rs []byte
	for i, value := range values {
		v := kmsg.Record{OffsetDelta: int32(i), Value: []byte(value)}
		v.Length = int32(len(v.AppendTo(nil)) - 1) // of a length of one byte
		rs = v.AppendTo(rs)
	}
	const length, crc, attributes = 12, 17, 21
	n := int32(len(values))
	b := kmsg.RecordBatch{Magic: 2, LastOffsetDelta: n - 1, NumRecords: n, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, Records: rs}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[length-4:], uint32(len(raw)-length))
	binary.BigEndian.PutUint32(raw[crc:], crc32.Checksum(raw[attributes:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func TestContract_KafkaReject(t *testing.T) {
	request(t, http.StatusCreated, "PUT", "/v1/streams/reject-kafka", nil, `{}`)
	contract(t, "reject-kafka", "reject")
	for name, codec := range codecs {
		send := producer(t, "reject-kafka", codec, 0)
		if _, err := send(500, 321); err == nil || !strings.Contains(err.Error(), "INVALID_RECORD") {
			t.Fatal(name, err)
		}
		if _, err := send(500); err != nil {
			t.Fatal(name, err)
		}
	}
	consume(t, "reject-kafka", 500*len(codecs))
	// The answer names the record and the field.
	var values []string
	for i := range 5 {
		values = append(values, order(i, i == 3))
	}
	raw := rawBatch(values...)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "reject-kafka", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: raw}}}}
	req.SetVersion(9)
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	res, err := req.RequestWith(ctx, client(t, kgo.MaxVersions(kversion.V2_8_0())))
	if err != nil {
		t.Fatal(err)
	}
	p := res.Topics[0].Partitions[0]
	if p.ErrorCode != 87 || p.BaseOffset != -1 || len(p.ErrorRecords) != 1 || p.ErrorRecords[0].RelativeOffset != 3 || !strings.HasPrefix(*p.ErrorRecords[0].ErrorMessage, "field total:") ||
		!strings.HasPrefix(*p.ErrorMessage, "record 3 of the batch: ") {
		t.Errorf("%+v", p)
	}
	if all := waiting(t, "reject-kafka"); len(all) != 0 {
		t.Fatalf("%+v", all)
	}
}

// What is of an aborted transaction is not in quarantine, what is of a committed one is.
func TestContract_KafkaTransaction(t *testing.T) {
	const stream = "quarantine-transaction"
	request(t, http.StatusCreated, "PUT", "/v1/streams/"+stream, nil, `{}`)
	contract(t, stream, "quarantine")
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	c := client(t, kgo.DefaultProduceTopic(stream), kgo.TransactionalID(stream))
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(ctx, &kgo.Record{Value: []byte(order(1, false))}, &kgo.Record{Value: []byte(order(2, true))}, &kgo.Record{Value: []byte(order(3, false))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := c.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(page(t, stream)); n != 2 {
		t.Errorf("%d events", n)
	}
	if all := waiting(t, stream); len(all) != 1 || all[0].Value.Text != order(2, true) {
		t.Errorf("%+v", all)
	}
}

func TestContract_HTTP(t *testing.T) {
	events := func() string {
		var all []string
		for i := range 5 {
			all = append(all, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/t","type":"order","data":%s}`, i, order(i, i == 3)))
		}
		return "[" + strings.Join(all, ",") + "]"
	}()
	for _, stream := range []string{"quarantine-http", "reject-http"} {
		request(t, http.StatusCreated, "PUT", "/v1/streams/"+stream, nil, `{}`)
		contract(t, stream, strings.TrimSuffix(stream, "-http"))
	}
	type result struct {
		Ref         string
		Duplicate   bool
		Quarantined *struct {
			Index                   int
			Contract, Field, Reason string
		}
	}
	for again, code := range []int{http.StatusCreated, http.StatusOK} {
		var rs []result
		if err := json.Unmarshal(request(t, code, "POST", "/v1/streams/quarantine-http/events", map[string]string{"Content-Type": batched}, events), &rs); err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			q := r.Quarantined
			if (q != nil) != (i == 3) || r.Duplicate != (again == 1) || q != nil && (q.Index != 3 || q.Field != "total" || q.Contract != "quarantine-http" || !strings.HasPrefix(r.Ref, "leat.quarantine/0/")) {
				t.Errorf("%d: %+v %+v", i, r, q)
			}
		}
	}
	if n, all := len(page(t, "quarantine-http")), waiting(t, "quarantine-http"); n != 4 || len(all) != 1 || all[0].Offset != nil || all[0].Index != 3 {
		t.Errorf("%d events, %+v", n, all)
	}
	var p struct {
		Kind, Field, Detail string
	}
	if err := json.Unmarshal(request(t, http.StatusUnprocessableEntity, "POST", "/v1/streams/reject-http/events", map[string]string{"Content-Type": batched}, events), &p); err != nil ||
		p.Kind != "contract-broken" || p.Field != "total" || !strings.Contains(p.Detail, "at index 3") {
		t.Errorf("%+v %v", p, err)
	}
	if n := len(page(t, "reject-http")); n != 0 {
		t.Errorf("%d events", n)
	}
}

// A message in quarantine is confirmed: nothing is lost. One that is refused is not.
func TestContract_AMQP(t *testing.T) {
	for _, exchange := range []string{"quarantine-amqp", "reject-amqp"} {
		ch := channel(t)
		queueOn(t, ch, exchange, exchange+".all", "#")
		contract(t, exchange, strings.TrimSuffix(exchange, "-amqp"))
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		returned, closed := ch.NotifyReturn(make(chan amqp.Return, 10)), ch.NotifyClose(make(chan *amqp.Error, 1))
		publish := func(i int) *amqp.DeferredConfirmation {
			d, err := ch.PublishWithDeferredConfirm(exchange, "k", true, false, amqp.Publishing{Body: []byte(order(i, i == 3))})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		ctx, cancel := context.WithTimeout(t.Context(), waitMost)
		defer cancel()
		if exchange == "reject-amqp" {
			for i := range 3 {
				if ok, err := publish(i).WaitContext(ctx); err != nil || !ok {
					t.Fatal(i, ok, err)
				}
			}
			publish(3)
			refused(t, closed)
			messages(t, channel(t), exchange+".all", 3)
			continue
		}
		var all []*amqp.DeferredConfirmation
		for i := range 10 {
			all = append(all, publish(i))
		}
		for i, d := range all {
			if ok, err := d.WaitContext(ctx); err != nil || !ok {
				t.Fatal(i, ok, err)
			}
		}
		for _, d := range messages(t, ch, exchange+".all", 9) {
			if string(d.Body) == order(3, true) {
				t.Fatal("it came")
			}
		}
		empty(t, ch, exchange+".all")
		select {
		case r := <-returned:
			t.Errorf("returned: %+v", r)
		default:
		}
		if all := waiting(t, exchange); len(all) != 1 || all[0].Value.Text != order(3, true) || all[0].Protocol != "amqp091" && all[0].Protocol != "amqp" {
			t.Errorf("%+v", all)
		}
	}
}

// refused waits until a channel was closed because a field broke its contract.
func refused(t *testing.T, closed <-chan *amqp.Error) {
	t.Helper()
	select {
	case e := <-closed:
		if e == nil || e.Code != amqp.PreconditionFailed || !strings.Contains(e.Reason, "total") {
			t.Fatal(e)
		}
	case <-time.After(waitMost):
		t.Fatal("the channel stays open")
	}
}

// Work queues are written to by name, through the exchange without one: a contract of that name's address counts for one queue alone.
func TestContract_AMQPQueue(t *testing.T) {
	ch := channel(t)
	for _, name := range []string{"contract-jobs", "contract-other"} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	registry(t, "POST", "subjects/contract-jobs/versions", map[string]any{"schemaType": "JSON", "schema": `{"type":"object","properties":{"total":{"type":"number","minimum":0}}}`}, new(any))
	registry(t, "PUT", "contracts/contract-jobs", map[string]any{"stream": "amqp.default", "address": "contract-jobs", "subject": "contract-jobs"}, new(any))
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	for _, p := range []struct {
		to  string
		bad bool
	}{{"contract-jobs", false}, {"contract-other", true}, {"contract-jobs", true}} {
		d, err := ch.PublishWithDeferredConfirm("", p.to, true, false, amqp.Publishing{Body: []byte(order(1, p.bad))})
		if err != nil {
			t.Fatal(err)
		}
		if p.bad && p.to == "contract-jobs" {
			break
		}
		if ok, err := d.WaitContext(ctx); err != nil || !ok {
			t.Fatal(p, ok, err)
		}
	}
	refused(t, closed)
	ch = channel(t)
	messages(t, ch, "contract-jobs", 1)
	messages(t, ch, "contract-other", 1)
	empty(t, ch, "contract-jobs")
}

func TestContract_SQS(t *testing.T) {
	c := sqsClient()
	for _, name := range []string{"quarantine-sqs", "reject-sqs"} {
		url := sqsQueue(t, c, name, nil)
		contract(t, name, strings.TrimSuffix(name, "-sqs"))
		in := &sqs.SendMessageBatchInput{QueueUrl: url}
		for i := range 10 {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint("e", i)), MessageBody: aws.String(order(i, i == 3))})
		}
		out, err := c.SendMessageBatch(t.Context(), in)
		if name == "reject-sqs" {
			if err == nil || !strings.Contains(err.Error(), "InvalidParameterValue") || !strings.Contains(err.Error(), "at index 3") {
				t.Fatal(out, err)
			}
			continue
		}
		if err != nil || len(out.Successful) != 10 || len(out.Failed) != 0 || *out.Successful[3].MessageId == "" {
			t.Fatal(out, err)
		}
		for _, m := range sqsReceive(t, c, url, 9, true) {
			if *m.Body == order(3, true) {
				t.Fatal("it came")
			}
		}
		if all := waiting(t, name); len(all) != 1 || all[0].Value.Text != order(3, true) || all[0].Index != 3 {
			t.Errorf("%+v", all)
		}
		// Mended, it goes where it was to go.
		var done struct {
			Outcomes []struct{ Outcome, To string }
		}
		registry(t, "POST", "quarantine/replay", map[string]any{"refs": []string{waiting(t, name)[0].Ref}, "value": map[string]string{"text": order(3, false)}}, &done)
		if len(done.Outcomes) != 1 || done.Outcomes[0].Outcome != "done" {
			t.Fatalf("%+v", done)
		}
		if m := sqsReceive(t, c, url, 1, true); *m[0].Body != order(3, false) || *m[0].MessageId != *out.Successful[3].MessageId {
			t.Errorf("%+v", m)
		}
	}
}
