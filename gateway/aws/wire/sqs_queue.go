package wire

import "strings"

// The quiet half of SQS: queues, their attributes, tags, permissions, and tasks that move messages.

// CreateQueueInput asks for a queue.
type CreateQueueInput struct {
	Name       string
	Attributes Pairs
	Tags       Pairs
}

// QueueInput is the request of actions that need nothing but a queue: DeleteQueue, PurgeQueue, ListQueueTags.
type QueueInput struct{ QueueURL string }

// QueueURLOutput answers CreateQueue and GetQueueUrl.
type QueueURLOutput struct{ QueueURL string }

// GetQueueURLInput asks for the URL of a queue.
type GetQueueURLInput struct {
	Name  string
	Owner string // an account
}

// ListQueuesInput asks for a page of queues.
type ListQueuesInput struct {
	Prefix     string
	NextToken  string
	MaxResults Opt[int64]
}

// ListQueuesOutput is a page.
type ListQueuesOutput struct {
	QueueURLs []string
	NextToken string
}

// ListSourcesInput asks for the queues that have this one for their dead letters.
type ListSourcesInput struct {
	QueueURL   string
	NextToken  string
	MaxResults Opt[int64]
}

// GetQueueAttributesInput asks for attributes: names, or All.
type GetQueueAttributesInput struct {
	QueueURL string
	Names    []string
}

// AttributesOutput answers with attributes; of a queue, a topic, a subscription.
type AttributesOutput struct{ Attributes Pairs }

// SetQueueAttributesInput changes attributes.
type SetQueueAttributesInput struct {
	QueueURL   string
	Attributes Pairs
}

// TagQueueInput sets tags.
type TagQueueInput struct {
	QueueURL string
	Tags     Pairs
}

// UntagQueueInput takes tags away.
type UntagQueueInput struct {
	QueueURL string
	Keys     []string
}

// TagsOutput answers ListQueueTags.
type TagsOutput struct{ Tags Pairs }

// AddPermissionInput lets accounts do actions.
type AddPermissionInput struct {
	QueueURL string
	Label    string
	Accounts []string
	Actions  []string
}

// RemovePermissionInput takes that back.
type RemovePermissionInput struct {
	QueueURL string
	Label    string
}

// StartMoveInput begins to move the messages of a queue of dead letters.
type StartMoveInput struct {
	SourceARN      string
	DestinationARN string // "" for where they came from
	PerSecond      Opt[int64]
}

// StartMoveOutput names the task.
type StartMoveOutput struct{ TaskHandle string }

// CancelMoveInput stops it.
type CancelMoveInput struct{ TaskHandle string }

// CancelMoveOutput says how far it had come.
type CancelMoveOutput struct{ Moved int64 }

// ListMovesInput asks for the last tasks of a queue.
type ListMovesInput struct {
	SourceARN  string
	MaxResults Opt[int64]
}

// ListMovesOutput has them, the newest first.
type ListMovesOutput struct{ Results []MoveTask }

// MoveTask is a task and how far it has come.
type MoveTask struct {
	TaskHandle     string // of one that runs
	Status         string // RUNNING COMPLETED CANCELLING CANCELLED FAILED
	SourceARN      string
	DestinationARN string
	PerSecond      Opt[int64]
	Moved          int64
	ToMove         Opt[int64]
	FailureReason  string
	StartedMillis  int64
}

// The actions.
var (
	CreateQueue = action(SQS, "CreateQueue", of(
		member("QueueName", text, func(in *CreateQueueInput) *string { return &in.Name }).must(),
		member("Attributes", pairs(flat, "Name", "Value"), func(in *CreateQueueInput) *Pairs { return &in.Attributes }).as("Attribute"),
		member("tags", pairs(flat, "Key", "Value"), func(in *CreateQueueInput) *Pairs { return &in.Tags }).as("Tag"),
	), queueURLOutput, func(in *CreateQueueInput) *Error {
		if _, err := CheckQueueName(in.Name); err != nil {
			return err
		}
		return checkTags(in.Name, in.Tags)
	})

	DeleteQueue   = action(SQS, "DeleteQueue", queueInput, (*shape[None])(nil), nil)
	PurgeQueue    = action(SQS, "PurgeQueue", queueInput, (*shape[None])(nil), nil)
	ListQueueTags = action(SQS, "ListQueueTags", queueInput, of(
		member("Tags", pairs(flat, "Key", "Value"), func(o *TagsOutput) *Pairs { return &o.Tags }).as("Tag"),
	), nil)

	GetQueueURL = action(SQS, "GetQueueUrl", of(
		member("QueueName", text, func(in *GetQueueURLInput) *string { return &in.Name }).must(),
		member("QueueOwnerAWSAccountId", text, func(in *GetQueueURLInput) *string { return &in.Owner }),
	), queueURLOutput, nil)

	ListQueues = action(SQS, "ListQueues", of(
		member("QueueNamePrefix", text, func(in *ListQueuesInput) *string { return &in.Prefix }),
		member("NextToken", text, func(in *ListQueuesInput) *string { return &in.NextToken }),
		member("MaxResults", optNumber, func(in *ListQueuesInput) *Opt[int64] { return &in.MaxResults }),
	), of(
		member("QueueUrls", list(text, flat), func(o *ListQueuesOutput) *[]string { return &o.QueueURLs }).as("QueueUrl"),
		member("NextToken", text, func(o *ListQueuesOutput) *string { return &o.NextToken }),
	), func(in *ListQueuesInput) *Error { return checkPage(in.MaxResults, ListMax) })

	ListDeadLetterSourceQueues = action(SQS, "ListDeadLetterSourceQueues", of(
		member("QueueUrl", text, (*ListSourcesInput).queue).must(),
		member("NextToken", text, func(in *ListSourcesInput) *string { return &in.NextToken }),
		member("MaxResults", optNumber, func(in *ListSourcesInput) *Opt[int64] { return &in.MaxResults }),
	), of(
		member("queueUrls", always(list(text, flat)), func(o *ListQueuesOutput) *[]string { return &o.QueueURLs }).as("QueueUrl"),
		member("NextToken", text, func(o *ListQueuesOutput) *string { return &o.NextToken }),
	), func(in *ListSourcesInput) *Error { return checkPage(in.MaxResults, ListMax) })

	GetQueueAttributes = action(SQS, "GetQueueAttributes", of(
		member("QueueUrl", text, (*GetQueueAttributesInput).queue).must(),
		member("AttributeNames", list(text, flat), func(in *GetQueueAttributesInput) *[]string { return &in.Names }).as("AttributeName"),
	), of(
		member("Attributes", pairs(flat, "Name", "Value"), func(o *AttributesOutput) *Pairs { return &o.Attributes }).as("Attribute"),
	), func(in *GetQueueAttributesInput) *Error {
		for _, n := range in.Names {
			if n != "All" && !isQueueAttribute(n) {
				return unknownAttribute(n)
			}
		}
		return nil
	})

	SetQueueAttributes = action(SQS, "SetQueueAttributes", of(
		member("QueueUrl", text, (*SetQueueAttributesInput).queue).must(),
		member("Attributes", pairs(flat, "Name", "Value"), func(in *SetQueueAttributesInput) *Pairs { return &in.Attributes }).as("Attribute").must(),
	), (*shape[None])(nil), nil)

	TagQueue = action(SQS, "TagQueue", of(
		member("QueueUrl", text, (*TagQueueInput).queue).must(),
		member("Tags", pairs(flat, "Key", "Value"), func(in *TagQueueInput) *Pairs { return &in.Tags }).as("Tag", "Tags").must(),
	), (*shape[None])(nil), func(in *TagQueueInput) *Error {
		return checkTags(in.QueueURL[strings.LastIndexByte(in.QueueURL, '/')+1:], in.Tags)
	})

	UntagQueue = action(SQS, "UntagQueue", of(
		member("QueueUrl", text, (*UntagQueueInput).queue).must(),
		member("TagKeys", list(text, flat), func(in *UntagQueueInput) *[]string { return &in.Keys }).as("TagKey"),
	), (*shape[None])(nil), checkUntag)

	AddPermission = action(SQS, "AddPermission", of(
		member("QueueUrl", text, (*AddPermissionInput).queue).must(),
		member("Label", text, func(in *AddPermissionInput) *string { return &in.Label }).must(),
		member("AWSAccountIds", list(text, flat), func(in *AddPermissionInput) *[]string { return &in.Accounts }).as("AWSAccountId"),
		member("Actions", list(text, flat), func(in *AddPermissionInput) *[]string { return &in.Actions }).as("ActionName").must(),
	), (*shape[None])(nil), checkPermission)

	RemovePermission = action(SQS, "RemovePermission", of(
		member("QueueUrl", text, (*RemovePermissionInput).queue).must(),
		member("Label", text, func(in *RemovePermissionInput) *string { return &in.Label }).must(),
	), (*shape[None])(nil), nil)

	StartMessageMoveTask = action(SQS, "StartMessageMoveTask", of(
		member("SourceArn", text, func(in *StartMoveInput) *string { return &in.SourceARN }).must(),
		member("DestinationArn", text, func(in *StartMoveInput) *string { return &in.DestinationARN }),
		member("MaxNumberOfMessagesPerSecond", optNumber, func(in *StartMoveInput) *Opt[int64] { return &in.PerSecond }),
	), of(
		member("TaskHandle", text, func(o *StartMoveOutput) *string { return &o.TaskHandle }),
	), checkMove)

	CancelMessageMoveTask = action(SQS, "CancelMessageMoveTask", of(
		member("TaskHandle", text, func(in *CancelMoveInput) *string { return &in.TaskHandle }).must(),
	), of(
		member("ApproximateNumberOfMessagesMoved", number, func(o *CancelMoveOutput) *int64 { return &o.Moved }),
	), nil)

	ListMessageMoveTasks = action(SQS, "ListMessageMoveTasks", of(
		member("SourceArn", text, func(in *ListMovesInput) *string { return &in.SourceARN }).must(),
		member("MaxResults", optNumber, func(in *ListMovesInput) *Opt[int64] { return &in.MaxResults }),
	), of(
		member("Results", list(moveTask.kind(), flat), func(o *ListMovesOutput) *[]MoveTask { return &o.Results }).as("ListMessageMoveTasksResultEntry"),
	), func(in *ListMovesInput) *Error {
		if err := checkPage(in.MaxResults, MoveTasksMax); err != nil {
			return err
		}
		return checkQueueARN("SourceArn", in.SourceARN)
	})
)

var (
	queueInput = of(member("QueueUrl", text, (*QueueInput).queue).must())

	queueURLOutput = of(member("QueueUrl", text, func(o *QueueURLOutput) *string { return &o.QueueURL }))

	moveTask = of(
		member("TaskHandle", text, func(m *MoveTask) *string { return &m.TaskHandle }),
		member("Status", text, func(m *MoveTask) *string { return &m.Status }),
		member("SourceArn", text, func(m *MoveTask) *string { return &m.SourceARN }),
		member("DestinationArn", text, func(m *MoveTask) *string { return &m.DestinationARN }),
		member("MaxNumberOfMessagesPerSecond", optNumber, func(m *MoveTask) *Opt[int64] { return &m.PerSecond }),
		member("ApproximateNumberOfMessagesMoved", number, func(m *MoveTask) *int64 { return &m.Moved }),
		member("ApproximateNumberOfMessagesToMove", optNumber, func(m *MoveTask) *Opt[int64] { return &m.ToMove }),
		member("FailureReason", text, func(m *MoveTask) *string { return &m.FailureReason }),
		member("StartedTimestamp", number, func(m *MoveTask) *int64 { return &m.StartedMillis }),
	)
)

func (in *QueueInput) queue() *string              { return &in.QueueURL }
func (in *ListSourcesInput) queue() *string        { return &in.QueueURL }
func (in *GetQueueAttributesInput) queue() *string { return &in.QueueURL }
func (in *SetQueueAttributesInput) queue() *string { return &in.QueueURL }
func (in *TagQueueInput) queue() *string           { return &in.QueueURL }
func (in *UntagQueueInput) queue() *string         { return &in.QueueURL }
func (in *AddPermissionInput) queue() *string      { return &in.QueueURL }
func (in *RemovePermissionInput) queue() *string   { return &in.QueueURL }

func checkPage(n Opt[int64], most int64) *Error {
	if n.Set && (n.V < 1 || n.V > most) {
		return badNumber(n.V, "MaxResults", "MaxResults must be an integer between 1 and "+itoa(int(most))+".")
	}
	return nil
}

func checkTags(queue string, tags Pairs) *Error {
	if len(tags) > TagsMax {
		return Refuse(InvalidParameterValue, "Too many tags added for queue "+queue+".")
	}
	for _, t := range tags {
		if n := runes(t.Name); n == 0 || n > TagKeyMax {
			return Refuse(InvalidParameterValue, "Tag keys must be between 1 and "+itoa(TagKeyMax)+" characters in length.")
		}
		if runes(t.Value) > TagValueMax {
			return Refuse(InvalidParameterValue, "Tag values must be between 0 and "+itoa(TagValueMax)+" characters in length.")
		}
	}
	return nil
}

func checkUntag(in *UntagQueueInput) *Error {
	if len(in.Keys) == 0 {
		return Refuse(InvalidParameterValue, "Tag keys must be between 1 and "+itoa(TagKeyMax)+" characters in length.")
	}
	return nil
}

// permitted are the actions that AddPermission may let others do.
var permitted = map[string]bool{
	"*": true, "SendMessage": true, "ReceiveMessage": true, "DeleteMessage": true, "ChangeMessageVisibility": true, "GetQueueAttributes": true,
	"GetQueueUrl": true, "ListDeadLetterSourceQueues": true, "PurgeQueue": true,
}

func checkPermission(in *AddPermissionInput) *Error {
	if len(in.Label) > PermissionLabelMax || !validBatchID(in.Label) {
		return badValue(in.Label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	}
	if len(in.Accounts) == 0 {
		return badValue("[]", "PrincipalId", "Unable to verify.")
	}
	for _, a := range in.Actions {
		switch {
		case permitted[a]:
		case Known(Key{SQS, a}):
			return badValue("SQS:"+a, "ActionName", "Only the queue owner is allowed to invoke this action.")
		default:
			return badValue("SQS:"+a, "ActionName", "Please refer to the appropriate WSDL for a list of valid actions. ")
		}
	}
	if n := len(in.Actions); n > PermissionActionsMax {
		return Refuse(OverLimit, itoa(n)+" Actions were found, maximum allowed is "+itoa(PermissionActionsMax)+".")
	}
	return nil
}

func checkMove(in *StartMoveInput) *Error {
	if n := in.PerSecond; n.Set && (n.V < 1 || n.V > MoveRateMax) {
		return badNumber(n.V, "MaxNumberOfMessagesPerSecond", "MaxNumberOfMessagesPerSecond must be an integer between 1 and "+itoa(MoveRateMax)+".")
	}
	if err := checkQueueARN("SourceArn", in.SourceARN); err != nil {
		return err
	}
	if in.DestinationARN != "" {
		return checkQueueARN("DestinationArn", in.DestinationARN)
	}
	return nil
}

func checkQueueARN(parameter, s string) *Error {
	if a, _, ok := ParseARN(s); !ok || a.Service != "sqs" {
		return Refuse(InvalidParameterValue, "You must use this format to specify the "+parameter+": arn:<partition>:<service>:<region>:<account-id>:<resource-id>")
	}
	return nil
}
