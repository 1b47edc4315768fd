package asyncapi

import "slices"

// Server is a listener.
type Server struct {
	Name     string // of the listener
	Protocol string // as the listener says it: kafka, http, amqp, aws
	Host     string // with its port
	TLS      bool
}

// Versions of the bindings that are written.
const (
	kafkaBinding = "0.5.0"
	httpBinding  = "0.3.0"
)

// spoken are the protocols by which events come and go: plain, and inside TLS, with the ways to log in.
var spoken = map[string]struct {
	plain, secure string
	logins        []string
}{
	"kafka":   {"kafka", "kafka-secure", []string{"plain", "scram-sha-256", "scram-sha-512"}},
	"http":    {"http", "https", []string{"basic", "bearer"}},
	"amqp":    {"amqp", "amqps", []string{"user-password"}},
	"amqp091": {"amqp", "amqps", []string{"user-password"}},
	"aws":     {"sqs", "sqs", []string{"signature"}},
}

var schemes = map[string]object{
	"plain":         {"type": "plain", "description": "SASL/PLAIN"},
	"scram-sha-256": {"type": "scramSha256", "description": "SASL/SCRAM-SHA-256"},
	"scram-sha-512": {"type": "scramSha512", "description": "SASL/SCRAM-SHA-512"},
	"basic":         {"type": "http", "scheme": "basic"},
	"bearer":        {"type": "http", "scheme": "bearer", "description": "A token of the user's"},
	"user-password": {"type": "userPassword", "description": "PLAIN or AMQPLAIN"},
	"signature":     {"type": "httpApiKey", "name": "Authorization", "in": "header", "description": "AWS Signature Version 4, with an access key of the user's"},
}

// Carries reports whether events come and go by a protocol.
func Carries(protocol string) bool { _, ok := spoken[protocol]; return ok }

func (s *Server) object(in *Input) object {
	p := spoken[s.Protocol]
	x := object{"host": s.Host, "protocol": p.plain, "title": s.Name}
	if s.TLS {
		x["protocol"] = p.secure
	}
	if in.Users {
		logins := []object{}
		for _, l := range p.logins {
			logins = append(logins, ref("components", "securitySchemes", l))
		}
		x["security"] = logins
	}
	if s.Protocol == "kafka" && in.Registry != "" {
		x["bindings"] = object{"kafka": object{"schemaRegistryUrl": in.Registry, "schemaRegistryVendor": "confluent", "bindingVersion": kafkaBinding}}
	}
	return x
}

func securitySchemes(all []Server) object {
	out := object{}
	for i := range all {
		for _, l := range spoken[all[i].Protocol].logins {
			out[l] = schemes[l]
		}
	}
	return out
}

func channelBindings(all []Server, c *Channel) object {
	out := object{}
	if slices.ContainsFunc(all, func(s Server) bool { return s.Protocol == "kafka" }) {
		out["kafka"] = object{"topic": c.Name, "partitions": c.Partitions, "bindingVersion": kafkaBinding}
	}
	return out
}

func operationBindings(o *Operation) object {
	switch {
	case o.Protocol == "kafka" && !o.Produces && o.Via != "":
		return object{"kafka": object{"groupId": object{"type": "string", "enum": []string{o.Via}}, "bindingVersion": kafkaBinding}}
	case o.Protocol == "http" && o.Produces:
		return object{"http": object{"method": "POST", "bindingVersion": httpBinding}}
	case o.Protocol == "http":
		return object{"http": object{"method": "GET", "bindingVersion": httpBinding}}
	}
	return nil
}
