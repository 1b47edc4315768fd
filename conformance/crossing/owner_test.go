package crossing

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// guarded is a node with users: shop owns orders, and intruder may write to all streams.
type guarded struct {
	HTTP, Kafka, AMQP, AWS string
	Registry               string               `json:"schema-registry"`
	keys                   map[string][2]string // AWS, of users
}

// startGuarded makes users and contracts by the command line, as docs/contracts.md has it.
func startGuarded(t *testing.T) *guarded {
	t.Helper()
	cmd := exec.Command(leat, "serve", "--dev", "--log", "error")
	cmd.Stderr = os.Stderr
	ports, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(ports).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{keys: map[string][2]string{}}
	if err := json.Unmarshal(line, g); err != nil {
		t.Fatal(err)
	}
	run := func(in string, env []string, args ...string) string {
		t.Helper()
		c := exec.Command(leat, append([]string{"--url", "http://" + g.HTTP, "-o", "json"}, args...)...)
		c.Env, c.Stdin = append(os.Environ(), append(env, "LEAT_REGISTRY="+g.Registry, "LEAT_PASSWORD=wonderland-admin")...), strings.NewReader(in)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("leat %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("", []string{"LEAT_NEW_PASSWORD=wonderland-admin"}, "user", "create", "admin", "--grant", "admin * *")
	for _, name := range []string{"shop", "intruder"} {
		out := run("", []string{"LEAT_NEW_PASSWORD=wonderland-" + name}, "--user", "admin", "user", "create", name, "--new-access-key",
			"--grant", "write stream *", "--grant", "create stream *", "--grant", "describe stream *", "--grant", "read * *", "--grant", "create * *", "--grant", "describe * *")
		var keys struct {
			AccessKey string `json:"access_key"`
			SecretKey string `json:"secret_key"`
		}
		if err := json.Unmarshal([]byte(out), &keys); err != nil || keys.SecretKey == "" {
			t.Fatal(out, err)
		}
		g.keys[name] = [2]string{keys.AccessKey, keys.SecretKey}
	}
	for _, stream := range []string{"owned-http", "owned-kafka", "owned-amqp", "owned-sqs"} {
		if strings.HasSuffix(stream, "http") || strings.HasSuffix(stream, "kafka") {
			run("", nil, "--user", "admin", "stream", "create", stream)
		}
		run("", nil, "--user", "admin", "contract", "put", stream, "--stream", stream, "--owner", "shop")
	}
	return g
}

// What a contract says about its owner holds by each protocol: others are refused and told whose it is; nothing of theirs is stored.
func TestContract_Owner(t *testing.T) {
	g := startGuarded(t)
	for _, protocol := range []struct {
		name string
		send func(t *testing.T, user string) error
	}{{"http", g.byHTTP}, {"kafka", g.byKafka}, {"amqp", g.byAMQP}, {"sqs", g.bySQS}} {
		t.Run(protocol.name, func(t *testing.T) {
			if err := protocol.send(t, "shop"); err != nil {
				t.Errorf("its owner is refused: %v", err)
			}
			if err := protocol.send(t, "intruder"); err == nil || !strings.Contains(err.Error(), "only shop may publish") {
				t.Errorf("another one: %v", err)
			}
		})
	}
}

func (g *guarded) byHTTP(t *testing.T, user string) error {
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, "POST", "http://"+g.HTTP+"/v1/streams/owned-http/events", strings.NewReader(`{}`))
	if err != nil {
		return err
	}
	q.SetBasicAuth(user, "wonderland-"+user)
	q.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%d %s", a.StatusCode, text)
	}
	return err
}

// byKafka looks at the answer itself: clients show the code, and not all of them what is said beside it.
func (g *guarded) byKafka(t *testing.T, user string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(g.Kafka), kgo.SASL(plain.Auth{User: user, Pass: "wonderland-" + user}.AsMechanism()), kgo.MaxVersions(kversion.V2_8_0()))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: "owned-kafka", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: rawBatch(`{}`)}}}}
	a, err := q.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	r := a.Topics[0].Partitions[0]
	if r.ErrorCode == 0 {
		return nil
	}
	text := ""
	if r.ErrorMessage != nil {
		text = *r.ErrorMessage
	}
	return fmt.Errorf("%d %s", r.ErrorCode, text)
}

func (g *guarded) byAMQP(t *testing.T, user string) error {
	c, err := amqp.Dial("amqp://" + user + ":wonderland-" + user + "@" + g.AMQP + "/")
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if user == "shop" {
		if err := ch.ExchangeDeclare("owned-amqp", "topic", true, false, false, false, nil); err != nil {
			return err
		}
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	d, err := ch.PublishWithDeferredConfirm("owned-amqp", "k", false, false, amqp.Publishing{Body: []byte(`{}`)})
	if err != nil {
		return err
	}
	select {
	case e := <-closed:
		return e
	case <-d.Done():
		if !d.Acked() {
			return fmt.Errorf("it was not acknowledged")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *guarded) bySQS(t *testing.T, user string) error {
	c := sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + g.AWS), Credentials: credentials.NewStaticCredentialsProvider(g.keys[user][0], g.keys[user][1], ""),
	})
	if user == "shop" {
		if _, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("owned-sqs")}); err != nil {
			return err
		}
	}
	_, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String("http://" + g.AWS + "/000000000000/owned-sqs"), MessageBody: aws.String(`{}`)})
	return err
}
