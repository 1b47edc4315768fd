package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/aws/wire"
	"leat/gateway/aws/wire/envelope"
	"leat/internal/clock"
)

// This file and translate.go alone know both vocabularies. A message that was published is a record of the topic's stream:
//
//	Message                   value; of MessageStructure json, its default
//	MessageGroupId            key
//	MessageId                 header sns-message-id; records of others have one that is made of their ref
//	Subject                   header sns-subject
//	MessageDeduplicationId    header sqs-deduplication-id
//	attribute A of type T     headers sqs-attribute-A and sqs-type-A, as in a queue
//	text for protocol P       header sns-text-P, of MessageStructure json
//
// What a subscriber gets of it, the envelope or the bare message, is made when it gets it and stored nowhere.
const (
	headerNoticeID = "sns-message-id"
	headerTopic    = "sns-topic" // its name, for dead letters
	headerSubject  = "sns-subject"
	headerText     = "sns-text-"
)

// textProtocols are those for which a text of their own is kept.
var textProtocols = [...]string{protocolQueue, protocolHTTP, protocolHTTPS}

// noticeEntry makes a record of a message.
func noticeEntry(t *topic, n *wire.Notice, id string, trace []byte) broker.EventEntry {
	e := broker.EventEntry{Stream: t.stream, Partition: record.NoPartition}
	r := &e.Record
	r.Headers = make([]record.Header, 0, 4+2*len(n.Attributes))
	add := func(key string, value []byte) { r.Headers = append(r.Headers, record.Header{Key: key, Value: value}) }
	add(headerNoticeID, []byte(id))
	add(headerTopic, []byte(t.name))
	if trace != nil {
		add(headerTrace, trace)
	}
	text := n.TextFor("default")
	r.Value = []byte(text)
	if n.Structure != "" {
		for _, p := range textProtocols {
			if own := n.TextFor(p); own != text {
				add(headerText+p, []byte(own))
			}
		}
	}
	if n.Subject.Set {
		add(headerSubject, []byte(n.Subject.V))
	}
	if n.GroupID.Set {
		r.Key = []byte(n.GroupID.V)
	}
	for i := range n.Attributes {
		a := &n.Attributes[i]
		add(headerAttribute+a.Name, a.Value())
		add(headerType+a.Name, []byte(a.DataType))
	}
	if t.fifo {
		e.ID = n.DeduplicationID.V
		if !n.DeduplicationID.Set {
			sum := sha256.Sum256(r.Value)
			e.ID = hex.EncodeToString(sum[:])
		}
		e.Source, e.Within = "sns:"+t.name, dedupWindow
		if t.perKey {
			e.Source += ":" + n.GroupID.V
		}
		add(headerDedup, []byte(e.ID))
	}
	return e
}

// noticeSequence is the number of a message in a FIFO topic, which is another than that in the queue.
func noticeSequence(r record.Ref) string { return fmt.Sprintf("1%016d000", r.Offset+1) }

// policyOf is the filter policy of a subscription as the broker has it; false where there is none.
func (d *subDocument) policyOf(stream string) (p broker.StreamPolicy, ok bool) {
	p = broker.StreamPolicy{Stream: stream, Policy: d.Attributes["FilterPolicy"]}
	switch {
	case d.Ended:
		return broker.StreamPolicy{Stream: stream, Nothing: true}, true
	case p.Policy == "":
		return p, false
	case d.Attributes["FilterPolicyScope"] == "MessageBody":
		p.Data = true
	default:
		p.Values, p.Types = headerAttribute, headerType
	}
	return p, true
}

// notice is what is in a record for subscribers of a protocol.
type notice struct {
	envelope.Document
	dedup string
	group string
	key   signKey
}

// noticeOf reads a record of a topic. Names of the topic come from the caller, who knows of which topic it was.
func (g *Gateway) noticeOf(topicName, protocol string, ref record.Ref, r *record.Record, appended int64) *notice {
	n := &notice{key: signKey{ref: ref}, group: string(r.Key)}
	n.Type, n.TopicARN, n.Time = envelope.Notification, g.topicARN(topicName), time.UnixMilli(appended)
	text := r.Value
	for i := range r.Headers {
		h := &r.Headers[i]
		switch {
		case h.Key == headerNoticeID:
			n.MessageID = string(h.Value)
			n.Time = time.UnixMilli(r.Timestamp) // which a dead letter keeps
		case h.Key == headerSubject:
			n.Subject = string(h.Value)
		case h.Key == headerDedup:
			n.dedup = string(h.Value)
		case strings.HasPrefix(h.Key, headerText):
			if h.Key[len(headerText):] == protocol {
				text = h.Value
			}
		case strings.HasPrefix(h.Key, headerAttribute):
			n.Attributes = append(n.Attributes, attributeOf(r, h))
		}
	}
	n.Message = strings.ToValidUTF8(string(text), "\uFFFD")
	if n.MessageID == "" {
		sum := sha256.Sum256([]byte(ref.String()))
		n.MessageID = uuid([16]byte(sum[:]), 8)
	}
	if strings.HasSuffix(topicName, ".fifo") {
		n.SequenceNumber = noticeSequence(ref)
	}
	return n
}

// unsigned stands for the version of a signature that is not made.
const unsigned = 0

// appendNotice writes the envelope for one subscriber. base is where that reaches us.
func (g *Gateway) appendNotice(b []byte, n *notice, version int64, base, subscriptionARN string) ([]byte, error) {
	if subscriptionARN != "" {
		n.UnsubscribeURL = envelope.UnsubscribeURL(base, subscriptionARN)
	}
	var sig envelope.Signature
	if n.SequenceNumber == "" && version != unsigned { // those of FIFO topics are not signed
		var err error
		if sig, err = g.sign(&n.Document, n.key, version, base); err != nil {
			return nil, err
		}
	}
	return n.Append(b, sig), nil
}

// enveloped is what a queue gets that does not want the bare message.
func (x *call) enveloped(n *notice, source *subDocument) (string, error) {
	arn, version := "", int64(1)
	if source.ID != "" {
		arn = x.g.subscriptionARN(source)
	}
	if a, _, _ := wire.ParseARN(n.TopicARN); a.Resource != "" {
		if t, err := x.g.topicNamed(x.who.Namespace, a.Resource); err == nil {
			version = t.version
		}
	}
	if x.g.config.UnsignedQueues {
		version = unsigned
	}
	b, err := x.g.appendNotice(make([]byte, 0, len(n.Message)+noticeBytes), n, version, x.base(), arn)
	return string(b), err
}

// noticeBytes is what an envelope is longer than its message, more or less.
const noticeBytes = 1600

// signKey names what a signature is of: it does not depend on who gets the notice, so one is made for all of them.
type signKey struct {
	ref     record.Ref
	version int64
}

// signatures are those that were made last, in two generations: a queue that is received again, and the others that got the same notice, do
// not cost a signature each. It takes about a millisecond to make one.
type signatures struct {
	mu         sync.Mutex
	signer     *envelope.Signer
	cert       []byte
	young, old map[signKey]string
	making     map[signKey]chan struct{} // by somebody, for all who want it meanwhile
}

const (
	signaturesKeptMax = 8192 // of each generation; about 500 bytes each
	identityName      = "sns.identity"
	identityHost      = "sns.leat"
)

// identity is what notices are signed with, made the first time. The key and the certificate are a secret of the node.
func (g *Gateway) identity() (*envelope.Signer, []byte, error) {
	k := &g.signatures
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.signer != nil {
		return k.signer, k.cert, nil
	}
	secret, err := g.broker.OwnSecret(identityName, func() ([]byte, error) {
		id, err := envelope.NewIdentity(identityHost, clock.Now())
		return append(id.Key, id.Certificate...), err // PEM, one behind the other
	})
	if err != nil {
		return nil, nil, err
	}
	at := max(0, strings.Index(string(secret), "-----BEGIN CERTIFICATE"))
	id := envelope.Identity{Key: secret[:at], Certificate: secret[at:]}
	signer, err := envelope.NewSigner(id)
	if err != nil {
		return nil, nil, err
	}
	k.signer, k.cert = signer, id.Certificate
	return signer, k.cert, nil
}

// sign is a document's signature. A key without a ref is not kept.
func (g *Gateway) sign(d *envelope.Document, key signKey, version int64, base string) (envelope.Signature, error) {
	signer, _, err := g.identity()
	if err != nil {
		return envelope.Signature{}, err
	}
	if key.ref.Stream == "" {
		return signer.Sign(d, version, base)
	}
	k := &g.signatures
	key.version = version
	if text, made := k.find(key); made {
		return envelope.Signature{Version: string('0' + rune(version)), Text: text, CertURL: base + signer.CertificatePath()}, nil
	}
	sig, err := signer.Sign(d, version, base)
	k.keep(key, sig.Text)
	return sig, err
}

// find returns a signature that was made, and waits for one that is being made. Where it reports false, the caller makes it, and keeps it.
func (k *signatures) find(key signKey) (text string, made bool) {
	for {
		k.mu.Lock()
		if text = k.young[key]; text == "" {
			text = k.old[key]
		}
		wait := k.making[key]
		if text == "" && wait == nil {
			if k.making == nil {
				k.making = map[signKey]chan struct{}{}
			}
			k.making[key] = make(chan struct{})
		}
		k.mu.Unlock()
		if text != "" || wait == nil {
			return text, text != ""
		}
		<-wait
	}
}

// keep keeps a signature that find has asked for, and lets go who waits for it; "" when it could not be made.
func (k *signatures) keep(key signKey, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.making[key])
	if delete(k.making, key); text == "" {
		return
	}
	if k.young == nil || len(k.young) >= signaturesKeptMax {
		k.old, k.young = k.young, make(map[signKey]string)
	}
	k.young[key] = text
}
