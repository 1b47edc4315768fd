package wire

import "strings"

// Address is a queue as a URL names it. Region and Account are "" where the URL says nothing of them.
type Address struct{ Region, Account, Name string }

// ParseQueueURL takes a QueueUrl apart. All that clients send is taken:
//
//	http://localhost:4566/000000000000/orders            the form that QueueURL writes
//	http://sqs.eu-west-1.amazonaws.com/000000000000/orders
//	http://localhost:4566/queue/eu-west-1/000000000000/orders
//	/000000000000/orders                                 the path of a request in the query form
//	orders                                               a bare name
func ParseQueueURL(url string) (Address, *Error) {
	host, path := "", url
	if i := strings.Index(url, "://"); i >= 0 {
		host, path, _ = strings.Cut(url[i+len("://"):], "/")
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	a := Address{Name: parts[len(parts)-1]}
	switch {
	case len(parts) == 1:
	case len(parts) == 2:
		a.Account = parts[0]
		a.Region = regionOf(host)
	case len(parts) == 4 && parts[0] == "queue":
		a.Region, a.Account = parts[1], parts[2]
	default:
		return Address{}, Refuse(InvalidAddress, "The address "+url+" is not valid for this endpoint.")
	}
	if _, err := CheckQueueName(a.Name); err != nil {
		return Address{}, Refuse(InvalidAddress, "The address "+url+" is not valid for this endpoint.")
	}
	return a, nil
}

// regionOf is the region that a host names: sqs.<region>.… or <region>.queue.…
func regionOf(host string) string {
	if rest, ok := strings.CutPrefix(host, "sqs."); ok {
		region, _, ok := strings.Cut(rest, ".")
		if ok && strings.Contains(region, "-") {
			return region
		}
		return ""
	}
	region, rest, _ := strings.Cut(host, ".")
	if strings.HasPrefix(rest, "queue.") {
		return region
	}
	return ""
}

// QueueURL writes a queue's URL. base is how the client reached us, scheme and host: some clients send what follows to the host of the URL.
func QueueURL(base string, a Address) string { return base + "/" + a.Account + "/" + a.Name }

// CheckQueueName judges a queue's name, and says whether it is a FIFO queue's.
func CheckQueueName(name string) (fifo bool, err *Error) {
	stem, fifo := strings.CutSuffix(name, ".fifo")
	if stem == "" || len(name) > QueueNameBytesMax || strings.ContainsFunc(stem, func(u rune) bool { return !nameRune(u) || u == '.' }) {
		return fifo, Refuse(InvalidParameterValue, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return fifo, nil
}

// ARN is a resource's name: arn:<partition>:<service>:<region>:<account>:<resource>. The resource may have colons of its own.
type ARN struct{ Partition, Service, Region, Account, Resource string }

func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// arnParts is how many parts an ARN has.
const arnParts = 6

// ParseARN takes an ARN apart; parts is how many it had where it is none.
func ParseARN(s string) (a ARN, parts int, ok bool) {
	p := strings.SplitN(s, ":", arnParts)
	if len(p) < arnParts || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return ARN{}, len(p), false
	}
	return ARN{p[1], p[2], p[3], p[4], p[5]}, arnParts, true
}

// ParseTopicARN reads a parameter of SNS that names a topic, or a subscription where parts of it follow the topic's name.
func ParseTopicARN(parameter, s string) (ARN, *Error) {
	a, parts, ok := ParseARN(s)
	switch {
	case !ok && parts < arnParts:
		return ARN{}, badTopic(parameter + " Reason: An ARN must have at least 6 elements, not " + itoa(parts))
	case !ok || a.Service != "sns":
		return ARN{}, badTopic(parameter)
	}
	return a, nil
}

// TopicOf is the topic's ARN within a subscription's: that without its last part.
func (a ARN) TopicOf() (topic ARN, subscription string, ok bool) {
	name, subscription, ok := strings.Cut(a.Resource, ":")
	a.Resource = name
	return a, subscription, ok && subscription != ""
}

// CheckTopicName judges a topic's name, and says whether it is a FIFO topic's.
func CheckTopicName(name string) (fifo bool, err *Error) {
	stem, fifo := strings.CutSuffix(name, ".fifo")
	if stem == "" || len(name) > TopicNameBytesMax || strings.ContainsFunc(stem, func(u rune) bool { return !nameRune(u) || u == '.' }) {
		return fifo, badTopic("Topic Name")
	}
	return fifo, nil
}
