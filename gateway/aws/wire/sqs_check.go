package wire

import (
	"slices"
	"strconv"
	"strings"
)

// What can be said of a request without knowing the queue is checked by Decode; what depends on the queue's attributes by CheckFor. Texts
// are Amazon's.

// QueueRules is what the attributes of a queue say about the messages that are sent to it.
type QueueRules struct {
	FIFO         bool
	ContentDedup bool  // ContentBasedDeduplication
	BytesMax     int64 // MaximumMessageSize
}

// Size is what a message counts towards MaximumMessageSize: its body and its attributes, those of the system excepted.
func (m *Message) Size() int {
	n := len(m.Body)
	for i := range m.Attributes {
		n += m.Attributes[i].Size()
	}
	return n
}

// check is what holds for messages to any queue.
func (m *Message) check() *Error {
	if !ValidText(m.Body) {
		return Refuse(InvalidMessageContents, "Invalid binary character '#x"+strings.ToUpper(strconv.FormatInt(int64(badRune(m.Body)), 16))+
			"' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	if d := m.DelaySeconds; d.Set && (d.V < 0 || d.V > DelayMax) {
		return badNumber(d.V, "DelaySeconds", "DelaySeconds must be >= 0 and <= "+itoa(DelayMax)+".")
	}
	for _, id := range []struct {
		name  string
		value Opt[string]
	}{{"MessageGroupId", m.GroupID}, {"MessageDeduplicationId", m.DeduplicationID}} {
		if id.value.Set && !validID(id.value.V) {
			return badValue(id.value.V, id.name, id.name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	if err := checkAttributes(m.Attributes, false); err != nil {
		return err
	}
	return checkAttributes(m.System, true)
}

// checkFor is what holds for messages to one queue. reason is how the text about the size begins.
func (m *Message) checkFor(q QueueRules, reason string) *Error {
	if int64(m.Size()) > q.BytesMax {
		return Refuse(InvalidParameterValue, reason+" Reason: Message must be shorter than "+itoa(int(q.BytesMax))+" bytes.")
	}
	switch {
	case q.FIFO && m.DelaySeconds.Or(0) != 0:
		return badNumber(m.DelaySeconds.V, "DelaySeconds", "The request include parameter that is not valid for this queue type.")
	case !q.FIFO && m.DeduplicationID.Set:
		return badValue(m.DeduplicationID.V, "MessageDeduplicationId", "The request includes a parameter that is not valid for this queue type.")
	}
	return nil
}

// ordered is what a FIFO queue asks for besides.
func (m *Message) ordered(q QueueRules, missing Code) *Error {
	switch {
	case !q.FIFO:
		return nil
	case !m.GroupID.Set:
		return Refuse(missing, "The request must contain the parameter MessageGroupId.")
	case !m.DeduplicationID.Set && !q.ContentDedup:
		return Refuse(InvalidParameterValue, "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	return nil
}

// CheckFor judges a message that was decoded against its queue.
func (in *SendMessageInput) CheckFor(q QueueRules) *Error {
	if err := in.ordered(q, MissingParameter); err != nil {
		return err
	}
	return in.checkFor(q, "One or more parameters are invalid.")
}

// CheckFor judges what fails a whole batch by its queue. Each entry is judged for itself beside.
func (in *SendMessageBatchInput) CheckFor(q QueueRules) *Error {
	for i := range in.Entries {
		if err := in.Entries[i].ordered(q, InvalidParameterValue); err != nil {
			return err
		}
	}
	return nil
}

// CheckFor judges an entry, of a batch that passed, against its queue. What it refuses becomes a BatchFailure; the other entries are sent.
func (e *SendMessageBatchEntry) CheckFor(q QueueRules) *Error {
	if err := e.check(); err != nil {
		return err
	}
	return e.checkFor(q, "One or more parameters cannot be validated.")
}

func checkSend(in *SendMessageInput) *Error { return in.check() }

func checkSendBatch(in *SendMessageBatchInput) *Error {
	const entry = "SendMessageBatchRequestEntry"
	if err := checkBatch(entry, in.Entries, func(e *SendMessageBatchEntry) string { return e.ID }); err != nil {
		return err
	}
	total := 0
	for i := range in.Entries {
		if in.Entries[i].Body == "" {
			return Refuse(MissingParameter, "The request must contain the parameter "+entry+"."+itoa(i+1)+".MessageBody.")
		}
		total += in.Entries[i].Size()
	}
	if total > BatchBytesMax {
		return Refuse(BatchTooLong, "Batch requests cannot be longer than "+itoa(BatchBytesMax)+" bytes. You have sent "+itoa(total)+" bytes.")
	}
	return nil
}

// checkBatch is what holds for all batches: one to ten entries, each with an id of its own.
func checkBatch[E any](entry string, entries []E, id func(*E) string) *Error {
	switch n := len(entries); {
	case n == 0:
		return Refuse(EmptyBatch, "There should be at least one "+entry+" in the request.")
	case n > BatchMax:
		return Refuse(TooManyBatchEntries, "Maximum number of entries per request are "+itoa(BatchMax)+". You have sent "+itoa(n)+".")
	}
	for i := range entries {
		s := id(&entries[i])
		if !validBatchID(s) {
			return Refuse(InvalidBatchID, "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		for j := range i {
			if id(&entries[j]) == s {
				return Refuse(BatchIDsNotDistinct, "Id "+s+" repeated.")
			}
		}
	}
	return nil
}

func checkReceive(in *ReceiveMessageInput) *Error {
	if n := in.MaxMessages; n.Set && (n.V < 1 || n.V > ReceiveMax) {
		return badNumber(n.V, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
	}
	if w := in.WaitTimeSeconds; w.Set && (w.V < 0 || w.V > WaitMax) {
		return badNumber(w.V, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
	}
	if err := checkTimeout(in.VisibilityTimeout); err != nil {
		return err
	}
	if id := in.AttemptID; id != "" && (len(id) > ReceiveAttemptIDMax || !validID(id)) {
		return badValue(id, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	return nil
}

func checkTimeout(t Opt[int64]) *Error {
	if t.Set && (t.V < 0 || t.V > VisibilityMax) {
		return badNumber(t.V, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
	}
	return nil
}

func checkVisibility(in *ChangeMessageVisibilityInput) *Error {
	return checkTimeout(in.VisibilityTimeout)
}

func checkDeleteBatch(in *DeleteMessageBatchInput) *Error {
	const entry = "DeleteMessageBatchRequestEntry"
	if err := checkBatch(entry, in.Entries, func(e *DeleteMessageBatchEntry) string { return e.ID }); err != nil {
		return err
	}
	for i := range in.Entries {
		if in.Entries[i].ReceiptHandle == "" {
			return Refuse(MissingParameter, "The request must contain the parameter "+entry+"."+itoa(i+1)+".ReceiptHandle.")
		}
	}
	return nil
}

func checkVisibilityBatch(in *ChangeMessageVisibilityBatchInput) *Error {
	const entry = "ChangeMessageVisibilityBatchRequestEntry"
	if err := checkBatch(entry, in.Entries, func(e *ChangeMessageVisibilityBatchEntry) string { return e.ID }); err != nil {
		return err
	}
	for i := range in.Entries {
		if in.Entries[i].ReceiptHandle == "" {
			return Refuse(MissingParameter, "The request must contain the parameter "+entry+"."+itoa(i+1)+".ReceiptHandle.")
		}
	}
	return nil
}

// Check judges an entry of a batch for itself.
func (e *ChangeMessageVisibilityBatchEntry) Check() *Error {
	if !e.VisibilityTimeout.Set {
		return Refuse(MissingParameter, "The request must contain the parameter VisibilityTimeout.")
	}
	return checkTimeout(e.VisibilityTimeout)
}

// SystemNames is what a receiver asked to be told of each message, under the older and the newer name of it; all is for All.
func (in *ReceiveMessageInput) SystemNames() (names []string, all bool) {
	names = in.SystemAttributeNames
	if len(names) == 0 {
		names = in.AttributeNames
	}
	if slices.Contains(names, "All") {
		return nil, true
	}
	return names, false
}

// validBatchID is for [A-Za-z0-9_-]{1,80}.
func validBatchID(s string) bool {
	return s != "" && len(s) <= BatchIDBytesMax && !strings.ContainsFunc(s, func(u rune) bool { return !nameRune(u) || u == '.' })
}

// validID is for the ids of groups and of deduplication: up to 128 of ASCII's characters that can be seen.
func validID(s string) bool {
	if s == "" || len(s) > GroupIDBytesMax {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// badRune is the first character of a text that is not ValidText.
func badRune(s string) rune {
	for _, u := range s {
		if !inXML(u) {
			return u
		}
	}
	return 0xFFFD
}

func itoa(n int) string { return strconv.Itoa(n) }
