package wire

// Limits of SQS, as its API reference has them (November 2026).
const (
	BatchMax             = 10      // entries of a batch
	BatchBytesMax        = 1 << 20 // of all its bodies and attributes
	BatchIDBytesMax      = 80
	MessageBytesMax      = 1 << 20 // body and attributes; the default of a queue's MaximumMessageSize too
	MessageBytesMin      = 1 << 10 // the least MaximumMessageSize
	AttributesMax        = 10      // of a message
	AttributeNameMax     = 256     // in bytes
	AttributeTypeMax     = 256
	GroupIDBytesMax      = 128 // of MessageGroupId and MessageDeduplicationId
	QueueNameBytesMax    = 80  // ".fifo" counts
	DelayMax             = 900 // seconds
	WaitMax              = 20  // seconds of a long poll
	VisibilityMax        = 43200
	VisibilityDefault    = 30
	RetentionMin         = 60
	RetentionMax         = 1209600
	RetentionDefault     = 345600
	KeyReuseMin          = 60
	KeyReuseMax          = 86400
	KeyReuseDefault      = 300
	ReceiveCountMax      = 1000 // maxReceiveCount
	ReceiveMax           = 10   // messages of one ReceiveMessage
	ListMax              = 1000 // of a page of ListQueues
	MoveRateMax          = 500  // MaxNumberOfMessagesPerSecond of a move task
	MoveTasksMax         = 10   // of ListMessageMoveTasks
	TagsMax              = 50
	TagKeyMax            = 128 // characters
	TagValueMax          = 256
	PermissionActionsMax = 7
	PermissionLabelMax   = 80
	RedriveSourcesMax    = 10 // sourceQueueArns of a RedriveAllowPolicy
	ReceiptHandleMax     = 1024
	ReceiveAttemptIDMax  = 128
)

// Limits of SNS.
const (
	TopicNameBytesMax     = 256
	PublishBytesMax       = 256 << 10 // the default of a topic's MaximumMessageSize
	SubjectMax            = 100       // characters; fewer than that
	FilterPolicyBytesMax  = 256 << 10
	FilterPolicyKeysMax   = 5
	FilterPolicyValuesMax = 150 // combinations
	TopicPageMax          = 100 // of ListTopics and ListSubscriptions
)
