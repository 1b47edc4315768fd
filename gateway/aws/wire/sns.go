package wire

// SNS: topics, subscriptions to them, and what is published.

// PublishInput asks for one message to be published, to a topic or to an endpoint of one.
type PublishInput struct {
	TopicARN    string
	TargetARN   string
	PhoneNumber string
	Notice
}

// Notice is what is published, alone or as an entry of a batch.
type Notice struct {
	Message         string
	Subject         Opt[string]
	Structure       string // "json": Message is a document with a text for each protocol
	Attributes      Attributes
	DeduplicationID Opt[string]
	GroupID         Opt[string]
}

// PublishOutput answers it.
type PublishOutput struct {
	MessageID      string
	SequenceNumber string // of FIFO topics
}

// PublishBatchInput asks for up to ten to be published.
type PublishBatchInput struct {
	TopicARN string
	Entries  []PublishBatchEntry
}

// PublishBatchEntry is one of them.
type PublishBatchEntry struct {
	ID string
	Notice
}

// PublishBatchOutput answers it, each entry for itself.
type PublishBatchOutput struct {
	Successful []PublishBatchResult
	Failed     []BatchFailure
}

// PublishBatchResult is an entry that was published.
type PublishBatchResult struct {
	ID string
	PublishOutput
}

// CreateTopicInput asks for a topic.
type CreateTopicInput struct {
	Name             string
	Attributes       Pairs
	Tags             []Pair
	ProtectionPolicy string
}

// TopicInput is the request of actions that need nothing but a topic: DeleteTopic, GetTopicAttributes, and ListSubscriptionsByTopic with a
// token.
type TopicInput struct {
	TopicARN  string
	NextToken string
}

// TopicOutput answers CreateTopic.
type TopicOutput struct{ TopicARN string }

// PageInput asks for a page of a list.
type PageInput struct{ NextToken string }

// ListTopicsOutput is a page of topics.
type ListTopicsOutput struct {
	Topics    []TopicOutput
	NextToken string
}

// SetAttributeInput changes one attribute of a topic or a subscription.
type SetAttributeInput struct {
	ARN   string
	Name  string
	Value string
}

// SubscribeInput asks for a subscription.
type SubscribeInput struct {
	TopicARN   string
	Protocol   string
	Endpoint   string
	Attributes Pairs
	ReturnARN  bool // also where it has to be confirmed yet
}

// SubscriptionInput is the request of actions that need nothing but a subscription: Unsubscribe, GetSubscriptionAttributes.
type SubscriptionInput struct{ SubscriptionARN string }

// SubscriptionOutput answers Subscribe and ConfirmSubscription.
type SubscriptionOutput struct{ SubscriptionARN string }

// What stands for a subscription's ARN before it is confirmed: in the answer to Subscribe, and in lists.
const (
	PendingARN    = "pending confirmation"
	PendingListed = "PendingConfirmation"
)

// ConfirmInput confirms a subscription with the token that its endpoint was sent.
type ConfirmInput struct {
	TopicARN     string
	Token        string
	Authenticate string // "true": only those who may can unsubscribe it
}

// ListSubscriptionsOutput is a page of subscriptions.
type ListSubscriptionsOutput struct {
	Subscriptions []Subscription
	NextToken     string
}

// Subscription is one as lists have it.
type Subscription struct {
	SubscriptionARN string
	Owner           string
	Protocol        string
	Endpoint        string
	TopicARN        string
}

// TagResourceInput sets tags of a topic.
type TagResourceInput struct {
	ARN  string
	Tags []Pair
}

// UntagResourceInput takes tags away.
type UntagResourceInput struct {
	ARN  string
	Keys []string
}

// ResourceInput is the request of actions that need nothing but a resource.
type ResourceInput struct{ ARN string }

// TopicTagsOutput answers ListTagsForResource.
type TopicTagsOutput struct{ Tags []Pair }

// TopicPermissionInput lets accounts do actions with a topic.
type TopicPermissionInput struct {
	TopicARN string
	Label    string
	Accounts []string
	Actions  []string
}

// RemoveTopicPermissionInput takes that back.
type RemoveTopicPermissionInput struct {
	TopicARN string
	Label    string
}

// ProtectionInput sets a topic's policy about personal data, which is kept and given back, no more.
type ProtectionInput struct {
	ARN    string
	Policy string
}

// ProtectionOutput has it.
type ProtectionOutput struct{ Policy string }

// The actions.
var (
	Publish = action(SNS, "Publish", of(append([]field[PublishInput]{
		member("TopicArn", text, func(in *PublishInput) *string { return &in.TopicARN }),
		member("TargetArn", text, func(in *PublishInput) *string { return &in.TargetARN }),
		member("PhoneNumber", text, func(in *PublishInput) *string { return &in.PhoneNumber }),
	}, notice(func(in *PublishInput) *Notice { return &in.Notice })...)...),
		of(published(func(o *PublishOutput) *PublishOutput { return o })...), checkPublish)

	PublishBatch = action(SNS, "PublishBatch", of(
		member("TopicArn", text, func(in *PublishBatchInput) *string { return &in.TopicARN }).must(),
		member("PublishBatchRequestEntries", list(of(append([]field[PublishBatchEntry]{
			member("Id", text, func(e *PublishBatchEntry) *string { return &e.ID }),
		}, notice(func(e *PublishBatchEntry) *Notice { return &e.Notice })...)...).kind(), members),
			func(in *PublishBatchInput) *[]PublishBatchEntry { return &in.Entries }),
	), of(
		member("Successful", always(list(of(append([]field[PublishBatchResult]{
			member("Id", text, func(e *PublishBatchResult) *string { return &e.ID }),
		}, published(func(e *PublishBatchResult) *PublishOutput { return &e.PublishOutput })...)...).kind(), members)),
			func(o *PublishBatchOutput) *[]PublishBatchResult { return &o.Successful }),
		member("Failed", always(list(failure.kind(), members)), func(o *PublishBatchOutput) *[]BatchFailure { return &o.Failed }),
	), checkPublishBatch)

	CreateTopic = action(SNS, "CreateTopic", of(
		member("Name", text, func(in *CreateTopicInput) *string { return &in.Name }), // "" is refused as a name
		member("Attributes", pairs(entries, "key", "value"), func(in *CreateTopicInput) *Pairs { return &in.Attributes }),
		member("Tags", list(tag.kind(), members), func(in *CreateTopicInput) *[]Pair { return &in.Tags }),
		member("DataProtectionPolicy", text, func(in *CreateTopicInput) *string { return &in.ProtectionPolicy }),
	), of(
		member("TopicArn", text, func(o *TopicOutput) *string { return &o.TopicARN }),
	), func(in *CreateTopicInput) *Error {
		if _, err := CheckTopicName(in.Name); err != nil {
			return err
		}
		return checkTopicTags(in.Tags)
	})

	DeleteTopic        = action(SNS, "DeleteTopic", topicInput, (*shape[None])(nil), checkTopic)
	GetTopicAttributes = action(SNS, "GetTopicAttributes", topicInput, attributesOutput, checkTopic)

	SetTopicAttributes = action(SNS, "SetTopicAttributes", setAttribute("TopicArn"), (*shape[None])(nil), func(in *SetAttributeInput) *Error {
		_, err := ParseTopicARN("TopicArn", in.ARN)
		return err
	})

	ListTopics = action(SNS, "ListTopics", page, of(
		member("Topics", always(list(of(member("TopicArn", text, func(o *TopicOutput) *string { return &o.TopicARN })).kind(), members)),
			func(o *ListTopicsOutput) *[]TopicOutput { return &o.Topics }),
		member("NextToken", text, func(o *ListTopicsOutput) *string { return &o.NextToken }),
	), nil)

	Subscribe = action(SNS, "Subscribe", of(
		member("TopicArn", text, func(in *SubscribeInput) *string { return &in.TopicARN }).must(),
		member("Protocol", text, func(in *SubscribeInput) *string { return &in.Protocol }).must(),
		member("Endpoint", text, func(in *SubscribeInput) *string { return &in.Endpoint }),
		member("Attributes", pairs(entries, "key", "value"), func(in *SubscribeInput) *Pairs { return &in.Attributes }),
		member("ReturnSubscriptionArn", mark, func(in *SubscribeInput) *bool { return &in.ReturnARN }),
	), subscriptionOutput, checkSubscribe)

	ConfirmSubscription = action(SNS, "ConfirmSubscription", of(
		member("TopicArn", text, func(in *ConfirmInput) *string { return &in.TopicARN }).must(),
		member("Token", text, func(in *ConfirmInput) *string { return &in.Token }).must(),
		member("AuthenticateOnUnsubscribe", text, func(in *ConfirmInput) *string { return &in.Authenticate }),
	), subscriptionOutput, func(in *ConfirmInput) *Error {
		if _, err := ParseTopicARN("Topic", in.TopicARN); err != nil {
			return badTopic("Topic")
		}
		return nil
	})

	Unsubscribe               = action(SNS, "Unsubscribe", subscriptionInput, (*shape[None])(nil), checkSubscription)
	GetSubscriptionAttributes = action(SNS, "GetSubscriptionAttributes", subscriptionInput, attributesOutput, checkSubscription)

	SetSubscriptionAttributes = action(SNS, "SetSubscriptionAttributes", setAttribute("SubscriptionArn"), (*shape[None])(nil), func(in *SetAttributeInput) *Error {
		return checkSubscription(&SubscriptionInput{in.ARN})
	})

	ListSubscriptions        = action(SNS, "ListSubscriptions", page, listSubscriptions, nil)
	ListSubscriptionsByTopic = action(SNS, "ListSubscriptionsByTopic", topicInput, listSubscriptions, checkTopic)

	TagResource = action(SNS, "TagResource", of(
		member("ResourceArn", text, func(in *TagResourceInput) *string { return &in.ARN }).must(),
		member("Tags", list(tag.kind(), members), func(in *TagResourceInput) *[]Pair { return &in.Tags }).must(),
	), of[None](), func(in *TagResourceInput) *Error { return checkTopicTags(in.Tags) })

	UntagResource = action(SNS, "UntagResource", of(
		member("ResourceArn", text, func(in *UntagResourceInput) *string { return &in.ARN }).must(),
		member("TagKeys", list(text, members), func(in *UntagResourceInput) *[]string { return &in.Keys }).must(),
	), of[None](), nil)

	ListTagsForResource = action(SNS, "ListTagsForResource", resourceInput, of(
		member("Tags", always(list(tag.kind(), members)), func(o *TopicTagsOutput) *[]Pair { return &o.Tags }),
	), nil)

	AddTopicPermission = action(SNS, "AddPermission", of(
		member("TopicArn", text, func(in *TopicPermissionInput) *string { return &in.TopicARN }).must(),
		member("Label", text, func(in *TopicPermissionInput) *string { return &in.Label }).must(),
		member("AWSAccountId", list(text, members), func(in *TopicPermissionInput) *[]string { return &in.Accounts }).must(),
		member("ActionName", list(text, members), func(in *TopicPermissionInput) *[]string { return &in.Actions }).must(),
	), (*shape[None])(nil), checkTopicPermission)

	RemoveTopicPermission = action(SNS, "RemovePermission", of(
		member("TopicArn", text, func(in *RemoveTopicPermissionInput) *string { return &in.TopicARN }).must(),
		member("Label", text, func(in *RemoveTopicPermissionInput) *string { return &in.Label }).must(),
	), (*shape[None])(nil), func(in *RemoveTopicPermissionInput) *Error {
		_, err := ParseTopicARN("TopicArn", in.TopicARN)
		return err
	})

	PutDataProtectionPolicy = action(SNS, "PutDataProtectionPolicy", of(
		member("ResourceArn", text, func(in *ProtectionInput) *string { return &in.ARN }).must(),
		member("DataProtectionPolicy", text, func(in *ProtectionInput) *string { return &in.Policy }).must(),
	), (*shape[None])(nil), nil)

	GetDataProtectionPolicy = action(SNS, "GetDataProtectionPolicy", resourceInput, of(
		member("DataProtectionPolicy", text, func(o *ProtectionOutput) *string { return &o.Policy }),
	), nil)
)

var (
	topicInput = of(
		member("TopicArn", text, func(in *TopicInput) *string { return &in.TopicARN }).must(),
		member("NextToken", text, func(in *TopicInput) *string { return &in.NextToken }),
	)

	page = of(member("NextToken", text, func(in *PageInput) *string { return &in.NextToken }))

	resourceInput = of(member("ResourceArn", text, func(in *ResourceInput) *string { return &in.ARN }).must())

	subscriptionInput = of(member("SubscriptionArn", text, func(in *SubscriptionInput) *string { return &in.SubscriptionARN }).must())

	subscriptionOutput = of(member("SubscriptionArn", text, func(o *SubscriptionOutput) *string { return &o.SubscriptionARN }))

	attributesOutput = of(member("Attributes", pairs(entries, "key", "value"), func(o *AttributesOutput) *Pairs { return &o.Attributes }))

	listSubscriptions = of(
		member("Subscriptions", always(list(of(
			member("SubscriptionArn", text, func(s *Subscription) *string { return &s.SubscriptionARN }),
			member("Owner", text, func(s *Subscription) *string { return &s.Owner }),
			member("Protocol", text, func(s *Subscription) *string { return &s.Protocol }),
			member("Endpoint", text, func(s *Subscription) *string { return &s.Endpoint }),
			member("TopicArn", text, func(s *Subscription) *string { return &s.TopicARN }),
		).kind(), members)), func(o *ListSubscriptionsOutput) *[]Subscription { return &o.Subscriptions }),
		member("NextToken", text, func(o *ListSubscriptionsOutput) *string { return &o.NextToken }),
	)

	tag = of(
		member("Key", keepEmpty, func(p *Pair) *string { return &p.Name }),
		member("Value", keepEmpty, func(p *Pair) *string { return &p.Value }),
	)
)

func setAttribute(arn string) *shape[SetAttributeInput] {
	return of(
		member(arn, text, func(in *SetAttributeInput) *string { return &in.ARN }).must(),
		member("AttributeName", text, func(in *SetAttributeInput) *string { return &in.Name }).must(),
		member("AttributeValue", text, func(in *SetAttributeInput) *string { return &in.Value }),
	)
}

// notice is the members of what is published, whatever it is part of.
func notice[T any](at func(*T) *Notice) []field[T] {
	return []field[T]{
		member("Message", text, func(t *T) *string { return &at(t).Message }),
		member("Subject", optText, func(t *T) *Opt[string] { return &at(t).Subject }),
		member("MessageStructure", text, func(t *T) *string { return &at(t).Structure }),
		member("MessageAttributes", attributes(entries), func(t *T) *Attributes { return &at(t).Attributes }),
		member("MessageDeduplicationId", optText, func(t *T) *Opt[string] { return &at(t).DeduplicationID }),
		member("MessageGroupId", optText, func(t *T) *Opt[string] { return &at(t).GroupID }),
	}
}

func published[T any](at func(*T) *PublishOutput) []field[T] {
	return []field[T]{
		member("MessageId", text, func(t *T) *string { return &at(t).MessageID }),
		member("SequenceNumber", text, func(t *T) *string { return &at(t).SequenceNumber }),
	}
}
