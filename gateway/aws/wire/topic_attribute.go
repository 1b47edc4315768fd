package wire

import (
	"encoding/json"
	"strconv"
	"strings"
)

// TopicAttributes is the attributes of a topic that mean something here. All others that may be set are kept as they are, in Kept.
type TopicAttributes struct {
	FIFO             Opt[bool]
	ContentDedup     Opt[bool]
	DedupPerGroup    Opt[bool]  // FifoThroughputScope is MessageGroup, not Topic
	BytesMax         Opt[int64] // MaximumMessageSize
	SignatureVersion Opt[int64] // 1 or 2
	DisplayName      Opt[string]
	Policy           Opt[string]
	DeliveryPolicy   Opt[string]
	ArchivePolicy    Opt[string]
	Key              Opt[string] // KmsMasterKeyId
	TracingConfig    Opt[string]
	Kept             Pairs
}

// feedback are the ends of names of attributes that say where reports of deliveries go; in front of each stands a protocol.
var feedback = []string{"SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn"}

// ParseTopicAttributes reads the attributes that a request sets. fifo is what the topic is, by its name. create is for
// CreateTopic, where there are several.
func ParseTopicAttributes(p Pairs, fifo, create bool) (t TopicAttributes, err *Error) {
	for _, a := range p {
		if err = t.set(a, fifo, create); err != nil {
			return t, err
		}
	}
	if create && fifo != t.FIFO.V {
		return t, badTopic("Topic Name")
	}
	return t, nil
}

func (t *TopicAttributes) set(a Pair, fifo, create bool) *Error {
	refuse := func(why string) *Error { return badTopicAttribute(create, a.Name, why) }
	truth := func(at *Opt[bool], no, yes string) *Error {
		switch {
		case strings.EqualFold(a.Value, yes):
			*at = Some(true)
		case strings.EqualFold(a.Value, no):
			*at = Some(false)
		default:
			return refuse("Invalid value [" + a.Value + "]. Must be " + yes + " or " + no + ".")
		}
		return nil
	}
	whole := func(at *Opt[int64], least, most int64) *Error {
		n, err := strconv.ParseInt(a.Value, 10, 64)
		if err != nil || n < least || n > most {
			return refuse("Invalid value [" + a.Value + "]. Must be between " + itoa(int(least)) + " and " + itoa(int(most)) + ".")
		}
		*at = Some(n)
		return nil
	}
	document := func(at *Opt[string]) *Error {
		if a.Value != "" && !isObject(a.Value) {
			return refuse("failed to parse JSON.")
		}
		*at = Some(a.Value)
		return nil
	}
	if !fifo {
		switch a.Name {
		case "ContentBasedDeduplication", "FifoThroughputScope", "ArchivePolicy":
			return badTopic("AttributeName")
		}
	}
	switch a.Name {
	case "FifoTopic":
		if !create {
			return badTopic("AttributeName")
		}
		return truth(&t.FIFO, "false", "true")
	case "ContentBasedDeduplication":
		return truth(&t.ContentDedup, "false", "true")
	case "FifoThroughputScope":
		return truth(&t.DedupPerGroup, "Topic", "MessageGroup")
	case "MaximumMessageSize":
		return whole(&t.BytesMax, MessageBytesMin, MessageBytesMax)
	case "SignatureVersion":
		return whole(&t.SignatureVersion, 1, 2)
	case "DisplayName":
		if runes(a.Value) > SubjectMax {
			return refuse("must be at most " + itoa(SubjectMax) + " characters long")
		}
		t.DisplayName = Some(a.Value)
	case "Policy":
		return document(&t.Policy)
	case "DeliveryPolicy":
		return document(&t.DeliveryPolicy)
	case "ArchivePolicy":
		return document(&t.ArchivePolicy)
	case "KmsMasterKeyId":
		t.Key = Some(a.Value)
	case "TracingConfig":
		if a.Value != "Active" && a.Value != "PassThrough" {
			return refuse("Invalid value [" + a.Value + "]. Must be Active or PassThrough.")
		}
		t.TracingConfig = Some(a.Value)
	default:
		for _, end := range feedback {
			switch strings.TrimSuffix(a.Name, end) {
			case "HTTP", "Firehose", "Lambda", "Application", "SQS":
				t.Kept = append(t.Kept, a)
				return nil
			}
		}
		return badTopic("AttributeName")
	}
	return nil
}

// SubscriptionAttributes is the attributes of a subscription that may be set.
type SubscriptionAttributes struct {
	FilterPolicy   Opt[string] // JSON, judged by who compiles it; "" takes it away
	FilterBody     Opt[bool]   // FilterPolicyScope is MessageBody, not MessageAttributes
	Raw            Opt[bool]   // RawMessageDelivery
	Redrive        Opt[string] // the ARN of a queue for what could not be delivered; "" for none
	DeliveryPolicy Opt[string]
	ReplayPolicy   Opt[string]
	Role           Opt[string] // SubscriptionRoleArn
}

// ParseSubscriptionAttributes reads the attributes that a request sets: several in Subscribe, one in SetSubscriptionAttributes.
func ParseSubscriptionAttributes(p Pairs, create bool) (s SubscriptionAttributes, err *Error) {
	for _, a := range p {
		if err = s.set(a, create); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *SubscriptionAttributes) set(a Pair, create bool) *Error {
	refuse := func(why string) *Error { return badTopicAttribute(create, a.Name, why) }
	switch a.Name {
	case "FilterPolicy":
		switch {
		case len(a.Value) > FilterPolicyBytesMax:
			return refuse("Filter policy is too large")
		case a.Value != "" && !isObject(a.Value):
			return refuse("failed to parse JSON.")
		}
		s.FilterPolicy = Some(a.Value)
	case "FilterPolicyScope":
		switch a.Value {
		case "MessageBody", "MessageAttributes":
			s.FilterBody = Some(a.Value == "MessageBody")
		default:
			return refuse("Invalid value [" + a.Value + "]. Please use either MessageBody or MessageAttributes")
		}
	case "RawMessageDelivery":
		switch {
		case strings.EqualFold(a.Value, "true"), strings.EqualFold(a.Value, "false"):
			s.Raw = Some(strings.EqualFold(a.Value, "true"))
		default:
			return refuse("Invalid value [" + a.Value + "]. Must be true or false.")
		}
	case "RedrivePolicy":
		target, why := deadLetters(a.Value)
		if why != "" {
			return refuse(why)
		}
		s.Redrive = Some(target)
	case "DeliveryPolicy", "ReplayPolicy":
		if a.Value != "" && !isObject(a.Value) {
			return refuse("failed to parse JSON.")
		}
		if a.Name == "ReplayPolicy" {
			s.ReplayPolicy = Some(a.Value)
		} else {
			s.DeliveryPolicy = Some(a.Value)
		}
	case "SubscriptionRoleArn":
		s.Role = Some(a.Value)
	default:
		return badTopic("AttributeName")
	}
	return nil
}

// deadLetters reads the RedrivePolicy of a subscription: {"deadLetterTargetArn":"arn:aws:sqs:…"}.
func deadLetters(s string) (target, why string) {
	if s == "" {
		return "", ""
	}
	var doc struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if json.Unmarshal([]byte(s), &doc) != nil {
		return "", "failed to parse JSON."
	}
	if a, _, ok := ParseARN(doc.Target); !ok || a.Service != "sqs" {
		return "", "deadLetterTargetArn is an invalid arn"
	}
	return doc.Target, ""
}

// badTopicAttribute refuses the value of an attribute; when something is created, Amazon says that it was one of several.
func badTopicAttribute(create bool, name, why string) *Error {
	if create {
		return badTopic("Attributes Reason: " + name + ": " + why)
	}
	return badTopic(name + ": " + why)
}

func isObject(s string) bool {
	s = strings.TrimSpace(s)
	return s != "" && s[0] == '{' && json.Valid([]byte(s))
}
