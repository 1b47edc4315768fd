package wire

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// QueueAttributes is the attributes of a queue that may be set, read and judged. What was not set is not there.
type QueueAttributes struct {
	VisibilityTimeout Opt[int64] // seconds
	BytesMax          Opt[int64] // MaximumMessageSize
	Retention         Opt[int64] // seconds
	Delay             Opt[int64] // seconds
	Wait              Opt[int64] // seconds; ReceiveMessageWaitTimeSeconds
	KeyReuse          Opt[int64] // seconds; KmsDataKeyReusePeriodSeconds

	FIFO         Opt[bool]
	ContentDedup Opt[bool]
	ManagedKeys  Opt[bool] // SqsManagedSseEnabled

	DedupPerGroup      Opt[bool] // DeduplicationScope is messageGroup, not queue
	ThroughputPerGroup Opt[bool] // FifoThroughputLimit is perMessageGroupId, not perQueue

	Key          Opt[string] // KmsMasterKeyId
	Policy       Opt[string] // an IAM policy; "" takes it away
	Redrive      Opt[RedrivePolicy]
	RedriveAllow Opt[RedriveAllowPolicy]
}

// RedrivePolicy says where messages go that were received too often. Without a target there is none.
type RedrivePolicy struct {
	Target          string // deadLetterTargetArn
	MaxReceiveCount int64
}

// RedriveAllowPolicy says whose dead letters a queue takes.
type RedriveAllowPolicy struct {
	Permission string // allowAll, denyAll, byQueue; "" where the policy was taken away
	Sources    []string
}

// queueAttribute is one that a request may set; those that only we set are in told.
type queueAttribute struct {
	name string
	set  func(q *QueueAttributes, value string) *Error
	fifo bool // for FIFO queues only
}

// attributesOfQueues has those that may be set.
var attributesOfQueues = []queueAttribute{
	seconds("VisibilityTimeout", 0, VisibilityMax, func(q *QueueAttributes) *Opt[int64] { return &q.VisibilityTimeout }),
	seconds("MaximumMessageSize", MessageBytesMin, MessageBytesMax, func(q *QueueAttributes) *Opt[int64] { return &q.BytesMax }),
	seconds("MessageRetentionPeriod", RetentionMin, RetentionMax, func(q *QueueAttributes) *Opt[int64] { return &q.Retention }),
	seconds("DelaySeconds", 0, DelayMax, func(q *QueueAttributes) *Opt[int64] { return &q.Delay }),
	seconds("ReceiveMessageWaitTimeSeconds", 0, WaitMax, func(q *QueueAttributes) *Opt[int64] { return &q.Wait }),
	seconds("KmsDataKeyReusePeriodSeconds", KeyReuseMin, KeyReuseMax, func(q *QueueAttributes) *Opt[int64] { return &q.KeyReuse }),
	oneOf("FifoQueue", "false", "true", func(q *QueueAttributes) *Opt[bool] { return &q.FIFO }),
	oneOf("ContentBasedDeduplication", "false", "true", func(q *QueueAttributes) *Opt[bool] { return &q.ContentDedup }),
	oneOf("SqsManagedSseEnabled", "false", "true", func(q *QueueAttributes) *Opt[bool] { return &q.ManagedKeys }),
	oneOf("DeduplicationScope", "queue", "messageGroup", func(q *QueueAttributes) *Opt[bool] { return &q.DedupPerGroup }).onlyFIFO(),
	oneOf("FifoThroughputLimit", "perQueue", "perMessageGroupId", func(q *QueueAttributes) *Opt[bool] { return &q.ThroughputPerGroup }).onlyFIFO(),
	{name: "KmsMasterKeyId", set: func(q *QueueAttributes, v string) *Error { q.Key = Some(v); return nil }},
	{name: "Policy", set: func(q *QueueAttributes, v string) *Error {
		q.Policy = Some(v)
		if text := strings.TrimSpace(v); text != "" && (text[0] != '{' || !json.Valid([]byte(text))) {
			return badAttribute("Policy", "")
		}
		return nil
	}},
	{name: "RedrivePolicy", set: func(q *QueueAttributes, v string) (err *Error) {
		q.Redrive.Set = true
		q.Redrive.V, err = ParseRedrivePolicy(v)
		return err
	}},
	{name: "RedriveAllowPolicy", set: func(q *QueueAttributes, v string) (err *Error) {
		q.RedriveAllow.Set = true
		q.RedriveAllow.V, err = ParseRedriveAllowPolicy(v)
		return err
	}},
}

// told are those that we alone set.
var told = []string{
	"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
	"CreatedTimestamp", "LastModifiedTimestamp", "QueueArn",
}

func (a queueAttribute) onlyFIFO() queueAttribute {
	a.fifo = true
	return a
}

func seconds(name string, least, most int64, at func(*QueueAttributes) *Opt[int64]) queueAttribute {
	return queueAttribute{name: name, set: func(q *QueueAttributes, v string) *Error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least || n > most {
			return badAttribute(name, "")
		}
		*at(q) = Some(n)
		return nil
	}}
}

func oneOf(name, no, yes string, at func(*QueueAttributes) *Opt[bool]) queueAttribute {
	return queueAttribute{name: name, set: func(q *QueueAttributes, v string) *Error {
		switch {
		case strings.EqualFold(v, yes):
			*at(q) = Some(true)
		case strings.EqualFold(v, no):
			*at(q) = Some(false)
		default:
			return badAttribute(name, "")
		}
		return nil
	}}
}

func isQueueAttribute(name string) bool {
	for i := range attributesOfQueues {
		if attributesOfQueues[i].name == name {
			return true
		}
	}
	return slices.Contains(told, name)
}

func unknownAttribute(name string) *Error {
	return Refuse(InvalidAttributeName, "Unknown Attribute "+name+".")
}

// badAttribute is the refusal of an attribute's value.
func badAttribute(name, reason string) *Error {
	if reason != "" {
		reason = " Reason: " + reason
	}
	return Refuse(InvalidAttributeValue, "Invalid value for the parameter "+name+"."+reason)
}

// ParseQueueAttributes reads the attributes that a request sets. fifo is what the queue is, by its name; it cannot be changed.
func ParseQueueAttributes(p Pairs, fifo, create bool) (q QueueAttributes, err *Error) {
	for _, pair := range p {
		var a *queueAttribute
		for i := range attributesOfQueues {
			if attributesOfQueues[i].name == pair.Name {
				a = &attributesOfQueues[i]
			}
		}
		switch {
		case a == nil:
			return q, unknownAttribute(pair.Name)
		case a.fifo && !fifo:
			return q, Refuse(InvalidAttributeName, "You can specify the "+a.name+" only when FifoQueue is set to true.")
		case !fifo && (a.name == "ContentBasedDeduplication" || a.name == "FifoQueue" && (!create || !strings.EqualFold(pair.Value, "true"))):
			return q, unknownAttribute(a.name)
		}
		if err = a.set(&q, pair.Value); err != nil {
			return q, err
		}
	}
	switch {
	case q.FIFO.Set && q.FIFO.V != fifo && create && !fifo:
		return q, Refuse(InvalidParameterValue, "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	case q.FIFO.Set && q.FIFO.V != fifo:
		return q, badAttribute("FifoQueue", "Modifying queue type is not supported.")
	case create && fifo && !q.FIFO.Set:
		return q, Refuse(InvalidParameterValue, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	case q.ThroughputPerGroup.V && q.DedupPerGroup.Set && !q.DedupPerGroup.V:
		return q, badAttribute("FifoThroughputLimit", "perMessageGroupId is allowed only when DeduplicationScope is messageGroup.")
	}
	return q, nil
}

// ParseRedrivePolicy reads the JSON of a RedrivePolicy; "" takes the policy away. The count is a number or a text, for clients write both.
func ParseRedrivePolicy(s string) (p RedrivePolicy, err *Error) {
	if s == "" {
		return p, nil
	}
	refuse := func(reason string) *Error { return badValue(s, "RedrivePolicy", reason) }
	var doc struct {
		Target *string         `json:"deadLetterTargetArn"`
		Count  json.RawMessage `json:"maxReceiveCount"`
	}
	if json.Unmarshal([]byte(s), &doc) != nil {
		return p, refuse("Redrive policy is not a valid JSON map.")
	}
	switch {
	case doc.Target == nil || *doc.Target == "":
		return p, refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
	case doc.Count == nil:
		return p, refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
	}
	if a, _, ok := ParseARN(*doc.Target); !ok || a.Service != "sqs" {
		return p, refuse("Invalid value for deadLetterTargetArn.")
	}
	count := strings.Trim(string(doc.Count), `"`)
	n, bad := strconv.ParseInt(count, 10, 64)
	if bad != nil || n < 1 || n > ReceiveCountMax {
		return p, refuse("Invalid value for maxReceiveCount: " + count + ", valid values are from 1 to 1000 both inclusive.")
	}
	return RedrivePolicy{*doc.Target, n}, nil
}

// ParseRedriveAllowPolicy reads the JSON of a RedriveAllowPolicy; "" takes the policy away.
func ParseRedriveAllowPolicy(s string) (p RedriveAllowPolicy, err *Error) {
	if s == "" {
		return p, nil
	}
	refuse := func(reason string) *Error { return badValue(s, "RedriveAllowPolicy", reason) }
	var doc struct {
		Permission string   `json:"redrivePermission"`
		Sources    []string `json:"sourceQueueArns"`
	}
	if json.Unmarshal([]byte(s), &doc) != nil {
		return p, refuse("Amazon SQS can't create the redrive allow policy. The policy isn't in a valid format.")
	}
	switch {
	case doc.Permission != "allowAll" && doc.Permission != "denyAll" && doc.Permission != "byQueue":
		return p, refuse("Amazon SQS can't create the redrive allow policy. The redrivePermission must be allowAll, denyAll or byQueue.")
	case doc.Permission == "byQueue" && len(doc.Sources) == 0:
		return p, refuse("Amazon SQS can't create the redrive allow policy. The sourceQueueArns must be set when redrivePermission is byQueue.")
	case doc.Permission != "byQueue" && len(doc.Sources) > 0:
		return p, refuse("Amazon SQS can't create the redrive allow policy. The sourceQueueArns may be set only when redrivePermission is byQueue.")
	case len(doc.Sources) > RedriveSourcesMax:
		return p, refuse("Amazon SQS can't create the redrive allow policy. You can specify at most 10 sourceQueueArns.")
	}
	for _, s := range doc.Sources {
		if a, _, ok := ParseARN(s); !ok || a.Service != "sqs" {
			return p, refuse("Amazon SQS can't create the redrive allow policy. " + s + " is not an ARN of a queue.")
		}
	}
	return RedriveAllowPolicy(doc), nil
}
