package kafka

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/xdg-go/scram"

	"leat/broker"
	"leat/gateway"
	"leat/gateway/gatewaytest"
)

// call sends q and reads its answer, for the suite, which has no testing.T where it calls.
func call[R kmsg.Response](c net.Conn, q kmsg.Request, version int16) (R, error) {
	var none R
	q.SetVersion(version)
	if _, err := c.Write(requestFrame(q, 7)); err != nil {
		return none, err
	}
	return receive[R](c, q, 7)
}

func TestSuite(t *testing.T) {
	hello := kmsg.NewPtrApiVersionsRequest()
	oversize := func(n uint32, rest ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, n), rest...) }
	manyTopics := requestFrame(func() kmsg.Request {
		q := kmsg.NewPtrMetadataRequest()
		q.SetVersion(1)
		return q
	}(), 1)
	binary.BigEndian.PutUint32(manyTopics[len(manyTopics)-4:], 1<<30) // of topics
	gatewaytest.Run(t, gatewaytest.Kit{
		New: func(t *testing.T, users bool) gateway.Gateway {
			if users {
				return New(newBroker(t, 1, testUser), Default())
			}
			return New(newBroker(t, 1), Default())
		},
		Hello: requestFrame(hello, 1),
		Exchange: func(c net.Conn) error {
			_, err := call[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 3)
			return err
		},
		Login: login3,
		Long: func(c net.Conn, sent func()) error {
			m := kmsg.NewPtrMetadataRequest()
			m.Topics = []kmsg.MetadataRequestTopic{{Topic: new("long")}}
			if _, err := call[*kmsg.MetadataResponse](c, m, 3); err != nil {
				return err
			}
			q := fetchRequest("long", 0, 2000, 1)
			q.SetVersion(11)
			if _, err := c.Write(requestFrame(q, 9)); err != nil {
				return err
			}
			sent()
			r, err := receive[*kmsg.FetchResponse](c, q, 9)
			if err == nil && r.Topics[0].Partitions[0].ErrorCode != 0 {
				err = fmt.Errorf("fetch: error %d", r.Topics[0].Partitions[0].ErrorCode)
			}
			return err
		},
		Garbage: [][]byte{
			oversize(8, 0, 0, 0, 3, 0, 0, 0, 1), // Produce, and its header ends there
			oversize(10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
			oversize(14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
			manyTopics,
		},
		Oversize: [][]byte{
			oversize(0x7fffffff, 0, 0),
			oversize(100<<20, 0, 0, 0, 9, 0, 0, 0, 1),   // Produce, as long as allowed
			oversize(100<<20+1, 0, 0, 0, 9, 0, 0, 0, 1), // and longer
			oversize(4<<20, 0, 3, 0, 9, 0, 0, 0, 1),     // Metadata
			oversize(0xffffffff, 0, 0),
		},
		Abilities: []gatewaytest.Ability{
			{Name: "transactions", Offered: true, Try: func(c net.Conn) error {
				q := kmsg.NewPtrInitProducerIDRequest()
				q.TransactionalID, q.TransactionTimeoutMillis = new("tx"), 1000
				r, err := call[*kmsg.InitProducerIDResponse](c, q, 4)
				if err == nil && r.ErrorCode != 0 {
					err = fmt.Errorf("error %d", r.ErrorCode)
				}
				return err
			}},
			{Name: "consumer groups", Offered: true, Try: func(c net.Conn) error {
				q := kmsg.NewPtrFindCoordinatorRequest()
				q.CoordinatorKey = "g"
				r, err := call[*kmsg.FindCoordinatorResponse](c, q, 3)
				if err == nil && r.ErrorCode != 0 {
					err = fmt.Errorf("error %d", r.ErrorCode)
				}
				return err
			}},
			{Name: "idempotence", Offered: true, Try: func(c net.Conn) error {
				r, err := call[*kmsg.InitProducerIDResponse](c, kmsg.NewPtrInitProducerIDRequest(), 4)
				if err == nil && r.ErrorCode != 0 {
					err = fmt.Errorf("error %d", r.ErrorCode)
				}
				return err
			}},
		},
		IdleConns: 300,
	})
}

// login3 logs in by SCRAM-SHA-512 and asks for what needs a login, or asks with a wrong password.
func login3(c net.Conn, good bool) error {
	h := kmsg.NewPtrSASLHandshakeRequest()
	h.Mechanism = "SCRAM-SHA-512"
	if r, err := call[*kmsg.SASLHandshakeResponse](c, h, 1); err != nil || r.ErrorCode != 0 {
		return fmt.Errorf("handshake: %v %v", r, err)
	}
	password := testUser.Password
	if !good {
		password = "looking-glass"
	}
	user, err := scram.SHA512.NewClient(testUser.Name, password, "")
	if err != nil {
		return err
	}
	conv, challenge := user.NewConversation(), ""
	for !conv.Done() {
		token, err := conv.Step(challenge)
		if err != nil {
			return err
		}
		if conv.Done() && token == "" {
			break
		}
		q := kmsg.NewPtrSASLAuthenticateRequest()
		q.SASLAuthBytes = []byte(token)
		r, err := call[*kmsg.SASLAuthenticateResponse](c, q, 2)
		if err != nil {
			return err
		}
		if r.ErrorCode == codeLoginFailed && r.ErrorMessage != nil {
			return gatewaytest.ErrRefused
		}
		if r.ErrorCode != 0 {
			return fmt.Errorf("authenticate: %d", r.ErrorCode)
		}
		challenge = string(r.SASLAuthBytes)
	}
	r, err := call[*kmsg.CreateTopicsResponse](c, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "mine", NumPartitions: 1, ReplicationFactor: 1}}}, 5)
	if err != nil {
		return err
	}
	if r.Topics[0].ErrorCode != 0 {
		return fmt.Errorf("create: %d %v", r.Topics[0].ErrorCode, r.Topics[0].ErrorMessage)
	}
	return nil
}

var _ gateway.Gateway = New((*broker.Broker)(nil), Default())
