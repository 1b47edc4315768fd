package usage

import (
	"cmp"
	"regexp"
	"strings"
)

// libraries are names that clients have when nobody gave them one: they say which library it is, not which service.
var libraries = regexp.MustCompile(`(?i)^(rdkafka|librdkafka|sarama|kgo|kafka-go|kafkajs|console-(producer|consumer)|(producer|consumer|adminclient)-[0-9]+|` +
	`consumer-.*-[0-9]+|kafka-python(-.*)?|aiokafka(-.*)?|confluent-kafka.*|` +
	`(go-http-client|curl|wget|python-requests|python-urllib|axios|node-fetch|node|okhttp|java|apache-httpclient|mozilla|aws-sdk-.*|aws-cli|boto3|botocore|undici|.*rabbitmq.*|amqp.*|pika)([/ ].*)?)$`)

// Service is which service a party most probably is: whom it logged in as; else what it calls itself, unless that is a library's own name; else the
// group or subscription it reads by. What the platform carries for others — webhooks in and out — is called by the name it has here. "": nothing says.
func (p *Party) Service() string {
	client := p.Client
	switch p.Protocol {
	case "push", "webhook", "link":
		return cmp.Or(client, p.Via)
	}
	if libraries.MatchString(client) {
		client = ""
	}
	if name, version, ok := strings.Cut(client, "/"); ok && name != "" && (p.Protocol == "http" || p.Protocol == "aws" || version != "" && version[0] >= '0' && version[0] <= '9') {
		client = name // a user agent: what it is, not which version of it
	}
	return cmp.Or(p.Principal, client, p.Via)
}
