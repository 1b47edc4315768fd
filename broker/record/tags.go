package record

import (
	"strings"

	"leat/broker/fault"
)

// HeaderTags is the header of a record's tags: words with spaces between them, each a thing that the event is about, as in
// "course:go-101 student:7". It is the CloudEvents attribute "tags".
const HeaderTags = "ce_" + AttributeTags

// AttributeTags is the extension of a CloudEvent that has its tags.
const AttributeTags = "tags"

// Limits of the tags of an event.
const (
	TagsMax     = 32  // of one event
	TagBytesMax = 256 // of one tag
)

// EachTag calls fn for each tag of a text, at most once for each. It is Invalid when there are too many or one is too long.
func EachTag(text string, fn func(tag string)) error {
	var seen [TagsMax]string
	n := 0
next:
	for tag := range strings.FieldsSeq(text) {
		for _, s := range seen[:n] {
			if s == tag {
				continue next
			}
		}
		if n == TagsMax {
			return fault.New(fault.Invalid, "tags", AttributeTags, "there are more than %d tags", TagsMax)
		}
		if len(tag) > TagBytesMax {
			return fault.New(fault.Invalid, "tags", AttributeTags, "the tag %q has %d bytes; the limit is %d", clip(tag), len(tag), TagBytesMax)
		}
		seen[n] = tag
		n++
		fn(tag)
	}
	return nil
}
