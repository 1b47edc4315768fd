package wire

import (
	"encoding/json"
	"strconv"
	"strings"
)

// What can be said of a request to SNS without knowing the topic is checked by Decode; the rest by CheckFor. Texts are Amazon's.

// TopicRules is what the attributes of a topic say about what is published to it.
type TopicRules struct {
	FIFO         bool
	ContentDedup bool
	BytesMax     int64 // MaximumMessageSize
}

// Size is what a notice counts towards MaximumMessageSize: its message and its attributes.
func (n *Notice) Size() int {
	size := len(n.Message)
	for i := range n.Attributes {
		size += n.Attributes[i].Size()
	}
	return size
}

// check is what holds for every topic. entry is its number in a batch, or 0.
func (n *Notice) check(entry int) *Error {
	switch {
	case n.Message == "":
		return badTopic("Empty message")
	case n.Subject.Set && !validSubject(n.Subject.V):
		return badTopic("Subject")
	case n.Structure != "" && n.Structure != "json":
		return badTopic("MessageStructure")
	case n.GroupID.Set && !validID(n.GroupID.V):
		return badTopic("MessageGroupId Reason: The MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length")
	case n.DeduplicationID.Set && !validID(n.DeduplicationID.V):
		return badTopic("MessageDeduplicationId Reason: The MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length")
	}
	if err := checkTopicAttributes(n.Attributes, entry); err != nil {
		return err
	}
	if n.Structure == "json" {
		_, err := n.texts()
		return err
	}
	return nil
}

// CheckFor judges a notice that was decoded against its topic.
func (n *Notice) CheckFor(t TopicRules) *Error {
	switch {
	case t.FIFO && !n.GroupID.Set:
		return badTopic("The MessageGroupId parameter is required for FIFO topics")
	case t.FIFO && !t.ContentDedup && !n.DeduplicationID.Set:
		return badTopic("The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	case !t.FIFO && n.DeduplicationID.Set:
		return badTopic("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	case int64(n.Size()) > t.BytesMax:
		return badTopic("Message too long")
	}
	return nil
}

// CheckFor judges what fails a whole batch by its topic.
func (in *PublishBatchInput) CheckFor(t TopicRules) *Error {
	total := 0
	for i := range in.Entries {
		total += in.Entries[i].Size()
	}
	if int64(total) > t.BytesMax {
		return Refuse(TopicBatchTooLong, "The length of all the messages put together is more than the limit.")
	}
	return nil
}

// texts reads a message of structure json: a text for each protocol, and one for all others.
func (n *Notice) texts() (map[string]string, *Error) {
	var doc map[string]any
	if json.Unmarshal([]byte(n.Message), &doc) != nil || doc == nil {
		return nil, badTopic("Message Structure - JSON message body failed to parse")
	}
	if _, ok := doc["default"].(string); !ok {
		return nil, badTopic("Message Structure - No default entry in JSON message body")
	}
	texts := make(map[string]string, len(doc))
	for protocol, v := range doc {
		if s, ok := v.(string); ok { // values of other types are passed over
			texts[protocol] = s
		}
	}
	return texts, nil
}

// TextFor returns what a subscription of a protocol gets of the message.
func (n *Notice) TextFor(protocol string) string {
	if n.Structure != "json" {
		return n.Message
	}
	texts, err := n.texts()
	if err != nil {
		return n.Message // it was refused when it came
	}
	if s, ok := texts[protocol]; ok {
		return s
	}
	return texts["default"]
}

// validSubject is for up to a hundred characters, none of which controls anything.
func validSubject(s string) bool {
	return s != "" && runes(s) <= SubjectMax && !strings.ContainsFunc(s, func(u rune) bool { return u < ' ' || u == 0x7f || u == 0xFFFD })
}

func checkPublish(in *PublishInput) *Error {
	named := 0
	for _, s := range []string{in.TopicARN, in.TargetARN, in.PhoneNumber} {
		if s != "" {
			named++
		}
	}
	switch named {
	case 0:
		return badTopic("TopicArn or TargetArn Reason: no value for required parameter")
	case 1:
	default:
		return badTopic("TopicArn, TargetArn or PhoneNumber Reason: only one of them may be given")
	}
	if in.TopicARN != "" {
		if _, err := ParseTopicARN("TopicArn", in.TopicARN); err != nil {
			return err
		}
	}
	if in.TargetARN != "" {
		if _, err := ParseTopicARN("TargetArn", in.TargetARN); err != nil {
			return err
		}
	}
	return in.check(0)
}

func checkPublishBatch(in *PublishBatchInput) *Error {
	if _, err := ParseTopicARN("TopicArn", in.TopicARN); err != nil {
		return err
	}
	switch n := len(in.Entries); {
	case n == 0:
		return Refuse(TopicEmptyBatch, "The batch request doesn't contain any entries.")
	case n > BatchMax:
		return Refuse(TopicTooManyBatchEntries, "The batch request contains more entries than permissible.")
	}
	for i := range in.Entries {
		e := &in.Entries[i]
		for j := range i {
			if in.Entries[j].ID == e.ID {
				return Refuse(TopicBatchIDsNotDistinct, "Two or more batch entries in the request have the same Id.")
			}
		}
		switch {
		case len(e.ID) > BatchIDBytesMax:
			return Refuse(TopicInvalidBatchID, "The Id of a batch entry in the batch request is too long: "+e.ID)
		case !validBatchID(e.ID):
			return Refuse(TopicInvalidBatchID, "The Id of a batch entry in the batch request contains an impermissible character: "+e.ID)
		}
		if err := e.check(i + 1); err != nil {
			return err
		}
	}
	return nil
}

func checkTopicAttributes(a Attributes, entry int) *Error {
	refuse := func(text string) *Error { return Refuse(TopicParameterValueInvalid, text) }
	for i := range a {
		at := &a[i]
		for j := range i {
			if a[j].Name == at.Name {
				return badTopic("Duplicated keys are not allowed.")
			}
		}
		if err := checkTopicAttributeName(at.Name); err != nil {
			return err
		}
		if at.DataType == "" {
			where := "messageAttributes." + at.Name + ".member.dataType"
			if entry > 0 {
				where = "publishBatchRequestEntries." + itoa(entry) + ".member." + where
			}
			return Refuse(TopicValidationError, "1 validation error detected: Value null at '"+where+"' failed to satisfy constraint: Member must not be null")
		}
		base := baseType(at.DataType)
		field, empty, other := typeString, at.String.V == "", at.Binary != nil && !at.String.Set
		if base == typeBinary {
			field, empty, other = typeBinary, len(at.Binary) == 0, at.String.Set && at.Binary == nil
		}
		switch {
		case base != typeString && base != typeNumber && base != typeBinary || at.DataType == base+".":
			return refuse("The message attribute '" + at.Name + "' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
		case other:
			return refuse("The message attribute '" + at.Name + "' with type '" + at.DataType + "' must use field '" + field + "'.")
		case empty:
			return refuse("The message attribute '" + at.Name + "' must contain non-empty message attribute value for message attribute type '" + at.DataType + "'.")
		case base == typeNumber && !isNumber(at.String.V):
			return refuse("The message attribute '" + at.Name + "' with type 'Number' must contain a number.")
		}
	}
	return nil
}

func checkTopicAttributeName(name string) *Error {
	refuse := func(text string) *Error { return Refuse(TopicParameterValueInvalid, text) }
	switch {
	case name == "":
		return refuse("The message attribute name must not be empty.")
	case len(name) > AttributeNameMax:
		return refuse("Length of message attribute name must be less than 256 bytes.")
	case name[0] == '.':
		return refuse("Invalid message attribute name starting with character '.' was found.")
	case name[len(name)-1] == '.':
		return refuse("Invalid message attribute name ending with character '.' was found.")
	}
	for i, u := range name {
		switch {
		case !nameRune(u):
			return refuse("Invalid non-alphanumeric character '#x" + strings.ToUpper(strconv.FormatInt(int64(u), 16)) +
				"' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.")
		case u == '.' && name[i+1] == '.':
			return refuse("Message attribute name can not have successive '.' character.")
		}
	}
	return nil
}

func checkTopic(in *TopicInput) *Error {
	_, err := ParseTopicARN("TopicArn", in.TopicARN)
	return err
}

func checkSubscription(in *SubscriptionInput) *Error {
	a, err := ParseTopicARN("SubscriptionArn", in.SubscriptionARN)
	if err != nil {
		return err
	}
	if _, _, ok := a.TopicOf(); !ok {
		return badTopic("SubscriptionId")
	}
	return nil
}

// protocols are those that subscriptions may have.
var protocols = map[string]bool{
	"http": true, "https": true, "email": true, "email-json": true, "sms": true, "sqs": true, "application": true, "lambda": true, "firehose": true,
}

func checkSubscribe(in *SubscribeInput) *Error {
	if _, err := ParseTopicARN("TopicArn", in.TopicARN); err != nil {
		return err
	}
	if in.Endpoint == "" {
		return badTopic("Endpoint")
	}
	switch in.Protocol {
	case "http", "https":
		if !strings.HasPrefix(in.Endpoint, in.Protocol+"://") {
			return badTopic("Endpoint must match the specified protocol")
		}
	case "sqs":
		a, _, ok := ParseARN(in.Endpoint)
		if !ok || a.Service != "sqs" {
			return badTopic("SQS endpoint ARN")
		}
		if strings.HasSuffix(a.Resource, ".fifo") && !strings.HasSuffix(in.TopicARN, ".fifo") {
			return badTopic("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
		}
	case "application", "lambda", "firehose":
		if _, _, ok := ParseARN(in.Endpoint); !ok {
			return badTopic("Endpoint Reason: An ARN is wanted")
		}
	default:
		if !protocols[in.Protocol] {
			return badTopic("Amazon SNS does not support this protocol string: " + in.Protocol)
		}
	}
	return nil
}

func checkTopicTags(tags []Pair) *Error {
	if len(tags) > TagsMax {
		return Refuse(TopicTagLimit, "Could not complete request: tag quota of per resource exceeded")
	}
	for i, t := range tags {
		for j := range i {
			if tags[j].Name == t.Name {
				return badTopic("Duplicated keys are not allowed.")
			}
		}
		if n := runes(t.Name); n == 0 || n > TagKeyMax {
			return badTopic("Tag keys must be between 1 and " + itoa(TagKeyMax) + " characters in length")
		}
		if runes(t.Value) > TagValueMax {
			return badTopic("Tag values must be between 0 and " + itoa(TagValueMax) + " characters in length")
		}
	}
	return nil
}

// topicActions are the actions that AddPermission may let others do with a topic.
var topicActions = map[string]bool{
	"GetTopicAttributes": true, "SetTopicAttributes": true, "AddPermission": true, "RemovePermission": true, "DeleteTopic": true,
	"Subscribe": true, "ListSubscriptionsByTopic": true, "Publish": true, "Receive": true,
}

func checkTopicPermission(in *TopicPermissionInput) *Error {
	if _, err := ParseTopicARN("TopicArn", in.TopicARN); err != nil {
		return err
	}
	for _, a := range in.Actions {
		if !topicActions[a] {
			return badTopic("Policy statement action out of service scope!")
		}
	}
	return nil
}
