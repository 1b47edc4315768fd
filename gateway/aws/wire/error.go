package wire

import "strconv"

// Code is one of the closed set of refusals of SQS and SNS. Each has two names: the shape's, which JSON clients see, and the older one of
// the query protocol, which people's programs compare with.
type Code uint8

// What a request can be refused for.
const (
	// Every service's.
	InternalFailure Code = iota
	AccessDenied
	ExpiredToken
	IncompleteSignature
	InvalidAction
	InvalidClientTokenID
	InvalidSignature
	MalformedRequest
	MissingAction
	MissingAuthentication
	RequestExpired
	RequestTooLarge
	ServiceUnavailable
	Throttled

	// Of SQS.
	BatchIDsNotDistinct
	BatchTooLong
	EmptyBatch
	InvalidAddress
	InvalidAttributeName
	InvalidAttributeValue
	InvalidBatchID
	InvalidIDFormat
	InvalidMessageContents
	InvalidParameterValue
	InvalidSecurity
	MessageNotInflight
	MissingParameter
	OverLimit
	PurgeInProgress
	QueueDeletedRecently
	QueueDoesNotExist
	QueueNameExists
	ReceiptHandleInvalid
	ResourceNotFound
	TooManyBatchEntries
	UnsupportedOperation

	// Of SNS.
	TopicAuthorizationError
	TopicBatchIDsNotDistinct
	TopicBatchTooLong
	TopicConcurrentAccess
	TopicEmptyBatch
	TopicEndpointDisabled
	TopicFilterPolicyLimit
	TopicInternalError
	TopicInvalidBatchID
	TopicInvalidParameter
	TopicInvalidSecurity
	TopicInvalidState
	TopicNotFound
	TopicOptedOut
	TopicParameterValueInvalid
	TopicReplayLimit
	TopicResourceNotFound
	TopicSubscriptionLimit
	TopicTagLimit
	TopicThrottled
	TopicTooManyBatchEntries
	TopicLimit
	TopicValidationError

	codes // their number
)

// Where the shapes of errors live, in front of their names in JSON.
const (
	coral = "com.amazon.coral.service#"
	inSQS = "com.amazonaws.sqs#"
	inSNS = "com.amazonaws.sns#"

	// oldSQS is in front of some of the older names.
	oldSQS = "AWS.SimpleQueueService."
)

// names is how a code appears.
type names struct {
	shape  string // in JSON
	query  string // in XML, and in the header x-amzn-query-error
	status int
	ours   bool // the fault is ours, not the sender's
}

var table = [codes]names{
	InternalFailure:       {coral + "InternalFailure", "InternalFailure", 500, true},
	AccessDenied:          {coral + "AccessDeniedException", "AccessDenied", 403, false},
	ExpiredToken:          {coral + "ExpiredTokenException", "ExpiredToken", 403, false},
	IncompleteSignature:   {coral + "IncompleteSignatureException", "IncompleteSignature", 400, false},
	InvalidAction:         {coral + "UnknownOperationException", "InvalidAction", 400, false},
	InvalidClientTokenID:  {coral + "UnrecognizedClientException", "InvalidClientTokenId", 403, false},
	InvalidSignature:      {coral + "InvalidSignatureException", "SignatureDoesNotMatch", 403, false},
	MalformedRequest:      {coral + "SerializationException", "MalformedInput", 400, false},
	MissingAction:         {coral + "MissingActionException", "MissingAction", 400, false},
	MissingAuthentication: {coral + "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403, false},
	RequestExpired:        {coral + "RequestExpired", "RequestExpired", 400, false},
	RequestTooLarge:       {coral + "RequestEntityTooLargeException", "RequestEntityTooLarge", 413, false},
	ServiceUnavailable:    {coral + "ServiceUnavailableException", "ServiceUnavailable", 503, true},
	Throttled:             {inSQS + "RequestThrottled", "RequestThrottled", 403, false},

	BatchIDsNotDistinct:    {inSQS + "BatchEntryIdsNotDistinct", oldSQS + "BatchEntryIdsNotDistinct", 400, false},
	BatchTooLong:           {inSQS + "BatchRequestTooLong", oldSQS + "BatchRequestTooLong", 400, false},
	EmptyBatch:             {inSQS + "EmptyBatchRequest", oldSQS + "EmptyBatchRequest", 400, false},
	InvalidAddress:         {inSQS + "InvalidAddress", "InvalidAddress", 404, false},
	InvalidAttributeName:   {inSQS + "InvalidAttributeName", "InvalidAttributeName", 400, false},
	InvalidAttributeValue:  {inSQS + "InvalidAttributeValue", "InvalidAttributeValue", 400, false},
	InvalidBatchID:         {inSQS + "InvalidBatchEntryId", oldSQS + "InvalidBatchEntryId", 400, false},
	InvalidIDFormat:        {inSQS + "InvalidIdFormat", "InvalidIdFormat", 400, false},
	InvalidMessageContents: {inSQS + "InvalidMessageContents", "InvalidMessageContents", 400, false},
	InvalidParameterValue:  {coral + "InvalidParameterValueException", "InvalidParameterValue", 400, false},
	InvalidSecurity:        {inSQS + "InvalidSecurity", "InvalidSecurity", 403, false},
	MessageNotInflight:     {inSQS + "MessageNotInflight", oldSQS + "MessageNotInflight", 400, false},
	MissingParameter:       {coral + "MissingRequiredParameterException", "MissingParameter", 400, false},
	OverLimit:              {inSQS + "OverLimit", "OverLimit", 403, false},
	PurgeInProgress:        {inSQS + "PurgeQueueInProgress", oldSQS + "PurgeQueueInProgress", 403, false},
	QueueDeletedRecently:   {inSQS + "QueueDeletedRecently", oldSQS + "QueueDeletedRecently", 400, false},
	QueueDoesNotExist:      {inSQS + "QueueDoesNotExist", oldSQS + "NonExistentQueue", 400, false},
	QueueNameExists:        {inSQS + "QueueNameExists", "QueueAlreadyExists", 400, false},
	ReceiptHandleInvalid:   {inSQS + "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404, false},
	ResourceNotFound:       {inSQS + "ResourceNotFoundException", "ResourceNotFoundException", 404, false},
	TooManyBatchEntries:    {inSQS + "TooManyEntriesInBatchRequest", oldSQS + "TooManyEntriesInBatchRequest", 400, false},
	UnsupportedOperation:   {inSQS + "UnsupportedOperation", oldSQS + "UnsupportedOperation", 400, false},

	TopicAuthorizationError:    {inSNS + "AuthorizationErrorException", "AuthorizationError", 403, false},
	TopicBatchIDsNotDistinct:   {inSNS + "BatchEntryIdsNotDistinctException", "BatchEntryIdsNotDistinct", 400, false},
	TopicBatchTooLong:          {inSNS + "BatchRequestTooLongException", "BatchRequestTooLong", 400, false},
	TopicConcurrentAccess:      {inSNS + "ConcurrentAccessException", "ConcurrentAccess", 400, false},
	TopicEmptyBatch:            {inSNS + "EmptyBatchRequestException", "EmptyBatchRequest", 400, false},
	TopicEndpointDisabled:      {inSNS + "EndpointDisabledException", "EndpointDisabled", 400, false},
	TopicFilterPolicyLimit:     {inSNS + "FilterPolicyLimitExceededException", "FilterPolicyLimitExceeded", 403, false},
	TopicInternalError:         {inSNS + "InternalErrorException", "InternalError", 500, true},
	TopicInvalidBatchID:        {inSNS + "InvalidBatchEntryIdException", "InvalidBatchEntryId", 400, false},
	TopicInvalidParameter:      {inSNS + "InvalidParameterException", "InvalidParameter", 400, false},
	TopicInvalidSecurity:       {inSNS + "InvalidSecurityException", "InvalidSecurity", 403, false},
	TopicInvalidState:          {inSNS + "InvalidStateException", "InvalidState", 400, false},
	TopicNotFound:              {inSNS + "NotFoundException", "NotFound", 404, false},
	TopicOptedOut:              {inSNS + "OptedOutException", "OptedOut", 400, false},
	TopicParameterValueInvalid: {inSNS + "InvalidParameterValueException", "ParameterValueInvalid", 400, false},
	TopicReplayLimit:           {inSNS + "ReplayLimitExceededException", "ReplayLimitExceeded", 403, false},
	TopicResourceNotFound:      {inSNS + "ResourceNotFoundException", "ResourceNotFound", 404, false},
	TopicSubscriptionLimit:     {inSNS + "SubscriptionLimitExceededException", "SubscriptionLimitExceeded", 403, false},
	TopicTagLimit:              {inSNS + "TagLimitExceededException", "TagLimitExceeded", 400, false},
	TopicThrottled:             {inSNS + "ThrottledException", "Throttled", 429, false},
	TopicTooManyBatchEntries:   {inSNS + "TooManyEntriesInBatchRequestException", "TooManyEntriesInBatchRequest", 400, false},
	TopicLimit:                 {inSNS + "TopicLimitExceededException", "TopicLimitExceeded", 403, false},
	TopicValidationError:       {inSNS + "ValidationException", "ValidationError", 400, false},
}

// Error is a refusal as a client is told of it. Message is for people and carries no internals.
type Error struct {
	Code    Code
	Message string
}

// Refuse makes an Error.
func Refuse(c Code, message string) *Error { return &Error{c, message} }

func (e *Error) Error() string { return table[e.Code].query + ": " + e.Message }

// Status is the HTTP status of the answer.
func (e *Error) Status() int { return table[e.Code].status }

// Name is the code in the query protocol, which is also the code of a failed entry of a batch.
func (e *Error) Name() string { return table[e.Code].query }

// SenderFault says whether it was the client's fault.
func (e *Error) SenderFault() bool { return !table[e.Code].ours }

// QueryError is the value of the header x-amzn-query-error of answers in JSON: clients take the older name of the code from it.
//
//	AWS.SimpleQueueService.NonExistentQueue;Sender
func (e *Error) QueryError() string { return e.Name() + ";" + e.fault() }

func (e *Error) fault() string {
	if e.SenderFault() {
		return "Sender"
	}
	return "Receiver"
}

// AppendError writes the body of a refusal. requestID appears in XML only; JSON answers carry it in a header.
//
//	{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}
//
//	<ErrorResponse xmlns="…"><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>
//	<Message>The specified queue does not exist.</Message><Detail/></Error><RequestId>…</RequestId></ErrorResponse>
func AppendError(b []byte, c *Call, e *Error, requestID string) []byte {
	if c.Protocol == JSON {
		b = append(b, `{"__type":"`...)
		b = append(b, table[e.Code].shape...)
		b = append(b, `","message":`...)
		return append(AppendQuoted(b, e.Message), '}')
	}
	b = append(b, declaration+`<ErrorResponse xmlns="`...)
	b = append(b, c.Service.namespace()...)
	b = append(b, `"><Error>`...)
	b = appendElement(b, "Type", e.fault())
	b = appendElement(b, "Code", e.Name())
	b = appendElement(b, "Message", e.Message)
	if c.Service == SQS {
		b = append(b, "<Detail/>"...)
	}
	b = append(b, "</Error>"...)
	b = appendElement(b, "RequestId", requestID)
	return append(b, "</ErrorResponse>"...)
}

func malformed(why string) *Error { return &Error{MalformedRequest, why} }

// badValue is the refusal of a parameter of SQS, in Amazon's words.
func badValue(value, parameter, reason string) *Error {
	return &Error{InvalidParameterValue, "Value " + value + " for parameter " + parameter + " is invalid. Reason: " + reason}
}

func badNumber(value int64, parameter, reason string) *Error {
	return badValue(strconv.FormatInt(value, 10), parameter, reason)
}

// badTopic is the refusal of a parameter of SNS, in Amazon's words.
func badTopic(what string) *Error { return &Error{TopicInvalidParameter, "Invalid parameter: " + what} }
