package wire

// The busy half of SQS: what happens to messages.

// SendMessageInput is a request to send one message.
type SendMessageInput struct {
	QueueURL string
	Message
}

// Message is what is sent, alone or as an entry of a batch.
type Message struct {
	Body            string
	DelaySeconds    Opt[int64]
	Attributes      Attributes
	System          Attributes // AWSTraceHeader
	DeduplicationID Opt[string]
	GroupID         Opt[string]
}

// SendMessageOutput answers it.
type SendMessageOutput struct {
	MD5OfBody       string
	MD5OfAttributes string
	MD5OfSystem     string
	MessageID       string
	SequenceNumber  string // of FIFO queues
}

// SendMessageBatchInput is a request to send up to ten messages.
type SendMessageBatchInput struct {
	QueueURL string
	Entries  []SendMessageBatchEntry
}

// SendMessageBatchEntry is one of them.
type SendMessageBatchEntry struct {
	ID string
	Message
}

// SendMessageBatchOutput answers it, each entry for itself.
type SendMessageBatchOutput struct {
	Successful []SendMessageBatchResult
	Failed     []BatchFailure
}

// SendMessageBatchResult is an entry that was sent.
type SendMessageBatchResult struct {
	ID string
	SendMessageOutput
}

// BatchFailure is an entry that was refused.
type BatchFailure struct {
	ID          string
	SenderFault bool
	Code        string
	Message     string
}

// Failure makes the answer to an entry that was refused.
func Failure(id string, e *Error) BatchFailure {
	return BatchFailure{ID: id, SenderFault: e.SenderFault(), Code: e.Name(), Message: e.Message}
}

// ReceiveMessageInput is a request for messages.
type ReceiveMessageInput struct {
	QueueURL             string
	AttributeNames       []string // the older name of SystemAttributeNames
	SystemAttributeNames []string
	MessageAttributes    []string // names, for Pick
	MaxMessages          Opt[int64]
	VisibilityTimeout    Opt[int64]
	WaitTimeSeconds      Opt[int64]
	AttemptID            string // ReceiveRequestAttemptId, of FIFO queues
}

// ReceiveMessageOutput answers it. Messages are left out where there are none.
type ReceiveMessageOutput struct {
	Messages []ReceivedMessage
}

// ReceivedMessage is a message as a receiver gets it.
type ReceivedMessage struct {
	MessageID       string
	ReceiptHandle   string
	MD5OfBody       string
	Body            string
	System          Pairs // ApproximateReceiveCount, SentTimestamp, …
	MD5OfAttributes string
	Attributes      Attributes
}

// DeleteMessageInput is the acknowledgement of a message.
type DeleteMessageInput struct {
	QueueURL      string
	ReceiptHandle string
}

// DeleteMessageBatchInput is that of up to ten.
type DeleteMessageBatchInput struct {
	QueueURL string
	Entries  []DeleteMessageBatchEntry
}

// DeleteMessageBatchEntry is one of them.
type DeleteMessageBatchEntry struct {
	ID            string
	ReceiptHandle string
}

// BatchOutput answers batches of which nothing is to say but that an entry was done.
type BatchOutput struct {
	Successful []BatchDone
	Failed     []BatchFailure
}

// BatchDone is an entry that was done.
type BatchDone struct{ ID string }

// ChangeMessageVisibilityInput is a request to hold a message longer, or to give it back (0).
type ChangeMessageVisibilityInput struct {
	QueueURL          string
	ReceiptHandle     string
	VisibilityTimeout Opt[int64]
}

// ChangeMessageVisibilityBatchInput is that for up to ten.
type ChangeMessageVisibilityBatchInput struct {
	QueueURL string
	Entries  []ChangeMessageVisibilityBatchEntry
}

// ChangeMessageVisibilityBatchEntry is one of them.
type ChangeMessageVisibilityBatchEntry struct {
	ID                string
	ReceiptHandle     string
	VisibilityTimeout Opt[int64]
}

// The actions.
var (
	SendMessage = action(SQS, "SendMessage", of(append([]field[SendMessageInput]{
		member("QueueUrl", text, (*SendMessageInput).queue).must(),
	}, sent(func(in *SendMessageInput) *Message { return &in.Message })...)...),
		of(sentResult(func(o *SendMessageOutput) *SendMessageOutput { return o })...), checkSend)

	SendMessageBatch = action(SQS, "SendMessageBatch", of(
		member("QueueUrl", text, (*SendMessageBatchInput).queue).must(),
		member("Entries", list(of(append([]field[SendMessageBatchEntry]{
			member("Id", text, func(e *SendMessageBatchEntry) *string { return &e.ID }),
		}, sent(func(e *SendMessageBatchEntry) *Message { return &e.Message })...)...).kind(), flat),
			func(in *SendMessageBatchInput) *[]SendMessageBatchEntry { return &in.Entries }).as("SendMessageBatchRequestEntry"),
	), of(
		member("Successful", list(of(append([]field[SendMessageBatchResult]{
			member("Id", text, func(e *SendMessageBatchResult) *string { return &e.ID }),
		}, sentResult(func(e *SendMessageBatchResult) *SendMessageOutput { return &e.SendMessageOutput })...)...).kind(), flat),
			func(o *SendMessageBatchOutput) *[]SendMessageBatchResult { return &o.Successful }).as("SendMessageBatchResultEntry"),
		member("Failed", failures, func(o *SendMessageBatchOutput) *[]BatchFailure { return &o.Failed }).as("BatchResultErrorEntry"),
	), checkSendBatch)

	ReceiveMessage = action(SQS, "ReceiveMessage", of(
		member("QueueUrl", text, (*ReceiveMessageInput).queue).must(),
		member("AttributeNames", list(text, flat), func(in *ReceiveMessageInput) *[]string { return &in.AttributeNames }).as("AttributeName"),
		member("MessageSystemAttributeNames", list(text, flat), func(in *ReceiveMessageInput) *[]string { return &in.SystemAttributeNames }).as("MessageSystemAttributeName"),
		member("MessageAttributeNames", list(text, flat), func(in *ReceiveMessageInput) *[]string { return &in.MessageAttributes }).as("MessageAttributeName"),
		member("MaxNumberOfMessages", optNumber, func(in *ReceiveMessageInput) *Opt[int64] { return &in.MaxMessages }),
		member("VisibilityTimeout", optNumber, func(in *ReceiveMessageInput) *Opt[int64] { return &in.VisibilityTimeout }),
		member("WaitTimeSeconds", optNumber, func(in *ReceiveMessageInput) *Opt[int64] { return &in.WaitTimeSeconds }),
		member("ReceiveRequestAttemptId", text, func(in *ReceiveMessageInput) *string { return &in.AttemptID }),
	), of(
		member("Messages", list(received.kind(), flat), func(o *ReceiveMessageOutput) *[]ReceivedMessage { return &o.Messages }).as("Message"),
	), checkReceive)

	DeleteMessage = action(SQS, "DeleteMessage", of(
		member("QueueUrl", text, (*DeleteMessageInput).queue).must(),
		member("ReceiptHandle", text, func(in *DeleteMessageInput) *string { return &in.ReceiptHandle }).must(),
	), (*shape[None])(nil), nil)

	DeleteMessageBatch = action(SQS, "DeleteMessageBatch", of(
		member("QueueUrl", text, (*DeleteMessageBatchInput).queue).must(),
		member("Entries", list(of(
			member("Id", text, func(e *DeleteMessageBatchEntry) *string { return &e.ID }),
			member("ReceiptHandle", text, func(e *DeleteMessageBatchEntry) *string { return &e.ReceiptHandle }),
		).kind(), flat), func(in *DeleteMessageBatchInput) *[]DeleteMessageBatchEntry { return &in.Entries }).as("DeleteMessageBatchRequestEntry"),
	), batchOutput("DeleteMessageBatchResultEntry"), checkDeleteBatch)

	ChangeMessageVisibility = action(SQS, "ChangeMessageVisibility", of(
		member("QueueUrl", text, (*ChangeMessageVisibilityInput).queue).must(),
		member("ReceiptHandle", text, func(in *ChangeMessageVisibilityInput) *string { return &in.ReceiptHandle }).must(),
		member("VisibilityTimeout", optNumber, func(in *ChangeMessageVisibilityInput) *Opt[int64] { return &in.VisibilityTimeout }).must(),
	), (*shape[None])(nil), checkVisibility)

	ChangeMessageVisibilityBatch = action(SQS, "ChangeMessageVisibilityBatch", of(
		member("QueueUrl", text, (*ChangeMessageVisibilityBatchInput).queue).must(),
		member("Entries", list(of(
			member("Id", text, func(e *ChangeMessageVisibilityBatchEntry) *string { return &e.ID }),
			member("ReceiptHandle", text, func(e *ChangeMessageVisibilityBatchEntry) *string { return &e.ReceiptHandle }),
			member("VisibilityTimeout", optNumber, func(e *ChangeMessageVisibilityBatchEntry) *Opt[int64] { return &e.VisibilityTimeout }),
		).kind(), flat), func(in *ChangeMessageVisibilityBatchInput) *[]ChangeMessageVisibilityBatchEntry { return &in.Entries }).as("ChangeMessageVisibilityBatchRequestEntry"),
	), batchOutput("ChangeMessageVisibilityBatchResultEntry"), checkVisibilityBatch)
)

func (in *SendMessageInput) queue() *string                  { return &in.QueueURL }
func (in *SendMessageBatchInput) queue() *string             { return &in.QueueURL }
func (in *ReceiveMessageInput) queue() *string               { return &in.QueueURL }
func (in *DeleteMessageInput) queue() *string                { return &in.QueueURL }
func (in *DeleteMessageBatchInput) queue() *string           { return &in.QueueURL }
func (in *ChangeMessageVisibilityInput) queue() *string      { return &in.QueueURL }
func (in *ChangeMessageVisibilityBatchInput) queue() *string { return &in.QueueURL }

// sent is the members of a message that is sent, whatever it is part of.
func sent[T any](at func(*T) *Message) []field[T] {
	return []field[T]{
		member("MessageBody", text, func(t *T) *string { return &at(t).Body }).must(),
		member("DelaySeconds", optNumber, func(t *T) *Opt[int64] { return &at(t).DelaySeconds }),
		member("MessageAttributes", attributes(flat), func(t *T) *Attributes { return &at(t).Attributes }).as("MessageAttribute"),
		member("MessageSystemAttributes", attributes(flat), func(t *T) *Attributes { return &at(t).System }).as("MessageSystemAttribute"),
		member("MessageDeduplicationId", optText, func(t *T) *Opt[string] { return &at(t).DeduplicationID }),
		member("MessageGroupId", optText, func(t *T) *Opt[string] { return &at(t).GroupID }),
	}
}

func sentResult[T any](at func(*T) *SendMessageOutput) []field[T] {
	return []field[T]{
		member("MD5OfMessageBody", text, func(t *T) *string { return &at(t).MD5OfBody }),
		member("MD5OfMessageAttributes", text, func(t *T) *string { return &at(t).MD5OfAttributes }),
		member("MD5OfMessageSystemAttributes", text, func(t *T) *string { return &at(t).MD5OfSystem }),
		member("MessageId", text, func(t *T) *string { return &at(t).MessageID }),
		member("SequenceNumber", text, func(t *T) *string { return &at(t).SequenceNumber }),
	}
}

var received = of(
	member("MessageId", text, func(m *ReceivedMessage) *string { return &m.MessageID }),
	member("ReceiptHandle", text, func(m *ReceivedMessage) *string { return &m.ReceiptHandle }),
	member("MD5OfBody", text, func(m *ReceivedMessage) *string { return &m.MD5OfBody }),
	member("Body", keepEmpty, func(m *ReceivedMessage) *string { return &m.Body }),
	member("Attributes", pairs(flat, "Name", "Value"), func(m *ReceivedMessage) *Pairs { return &m.System }).as("Attribute"),
	member("MD5OfMessageAttributes", text, func(m *ReceivedMessage) *string { return &m.MD5OfAttributes }),
	member("MessageAttributes", attributes(flat), func(m *ReceivedMessage) *Attributes { return &m.Attributes }).as("MessageAttribute"),
)

var (
	failure = of(
		member("Id", keepEmpty, func(e *BatchFailure) *string { return &e.ID }),
		member("SenderFault", flag, func(e *BatchFailure) *bool { return &e.SenderFault }),
		member("Code", text, func(e *BatchFailure) *string { return &e.Code }),
		member("Message", text, func(e *BatchFailure) *string { return &e.Message }),
	)

	failures = list(failure.kind(), flat)
)

func batchOutput(done string) *shape[BatchOutput] {
	return of(
		member("Successful", list(of(
			member("Id", text, func(d *BatchDone) *string { return &d.ID }),
		).kind(), flat), func(o *BatchOutput) *[]BatchDone { return &o.Successful }).as(done),
		member("Failed", failures, func(o *BatchOutput) *[]BatchFailure { return &o.Failed }).as("BatchResultErrorEntry"),
	)
}
