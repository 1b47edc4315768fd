package asyncapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Input is what the document tells of.
type Input struct {
	Title       string
	Version     string
	Description string
	ID          string // of the cluster
	Servers     []Server
	Users       bool // somebody has to log in
	Registry    string
	Channels    []Channel
	Messages    []Message
	Operations  []Operation
}

// Channel is a stream, or what goes to one address in it.
type Channel struct {
	Name       string
	Address    string // within the stream, or a pattern of such; "": all of it
	Partitions int32
	Types      []string // of its messages
}

// id tells channels apart: no name has a zero in it.
func (c *Channel) id() string {
	if c.Address == "" {
		return c.Name
	}
	return c.Name + "\x00" + c.Address
}

func (c *Channel) object(messages object, servers []Server) object {
	x := object{"address": c.Name, "title": c.Name, "messages": messages}
	if c.Address != "" {
		x["address"], x["title"], x["x-stream"], x["x-address"] = c.Address, c.Address+" in "+c.Name, c.Name, c.Address
	}
	if Pattern(c.Address) || strings.ContainsAny(c.Address, "{}") { // braces would be parameters of a template
		x["address"] = nil
	}
	if b := channelBindings(servers, c); len(b) > 0 {
		x["bindings"] = b
	}
	return x
}

// Message is a type of event.
type Message struct {
	Type        string
	Description string
	Format      string // AVRO, JSON, PROTOBUF; "": no schema is known
	Schema      string
	Subject     string
	Version     int
	References  bool // the schema refers to others
	Framed      bool // payloads have the schema's id in front
	Contract    string
	Owner       []string
	Tags        []string
}

// Operation is what a service does with types of a stream.
type Operation struct {
	Service  string
	Produces bool
	Channel  string
	Types    []string
	Protocol string
	Via      string // the subscription or group
}

// Pattern reports whether a name stands for others, too.
func Pattern(name string) bool { return strings.ContainsAny(name, `*?[\`) }

// object is a JSON object; Go writes its members in the order of their names.
type object = map[string]any

func ref(parts ...string) object {
	for i := range parts {
		parts[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(parts[i])
	}
	return object{"$ref": "#/" + strings.Join(parts, "/")}
}

// keys gives names that may be keys of components: letters, digits, dots, dashes and underscores, each once.
type keys struct {
	of   map[string]string
	used map[string]bool
}

func (k *keys) key(name string) string {
	if k.of == nil {
		k.of, k.used = map[string]string{}, map[string]bool{}
	}
	if s, ok := k.of[name]; ok {
		return s
	}
	s := cmp.Or(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name), "_")
	for base, i := s, 2; k.used[s]; i++ {
		s = fmt.Sprintf("%s_%d", base, i)
	}
	k.of[name], k.used[s] = s, true
	return s
}

// another is a key of its own for a name that may come more than once.
func (k *keys) another(name string) string {
	s := k.key(name)
	delete(k.of, name)
	return s
}

// Document is the document, as JSON.
func Document(in *Input) ([]byte, error) {
	d := object{
		"asyncapi": "3.0.0", "id": "urn:leat:" + cmp.Or(in.ID, "node"),
		"info": object{"title": in.Title, "version": in.Version, "description": in.Description}, "defaultContentType": "application/json",
	}
	var servers, channels, messages keys
	components := object{}
	if len(in.Servers) > 0 {
		all := object{}
		for i := range in.Servers {
			all[servers.key(in.Servers[i].Name)] = in.Servers[i].object(in)
		}
		d["servers"] = all
		if in.Users {
			components["securitySchemes"] = securitySchemes(in.Servers)
		}
	}
	known, all := map[string]bool{}, object{}
	for i := range in.Messages {
		m := &in.Messages[i]
		known[m.Type] = true
		all[messages.key(m.Type)] = m.object()
	}
	components["messages"] = all
	d["components"] = components
	streams, places := object{}, map[string]*Channel{}
	for i := range in.Channels {
		c := &in.Channels[i]
		if c.Address == "" {
			places[c.Name] = c
		}
		of := object{}
		for _, t := range c.Types {
			if known[t] {
				of[messages.key(t)] = ref("components", "messages", messages.key(t))
			}
		}
		streams[channels.key(c.id())] = c.object(of, in.Servers)
	}
	d["channels"] = streams
	d["operations"] = operations(in, places, known, &channels, &messages)
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(d)
	return buf.Bytes(), err
}

func operations(in *Input, places map[string]*Channel, known map[string]bool, channels, messages *keys) object {
	out, names := object{}, keys{}
	for i := range in.Operations {
		o := &in.Operations[i]
		c := places[o.Channel]
		if c == nil {
			continue
		}
		of := []object{}
		for _, t := range o.Types {
			if known[t] && slices.Contains(c.Types, t) {
				of = append(of, ref("channels", channels.key(o.Channel), "messages", messages.key(t)))
			}
		}
		action, does := "receive", "consumes"
		if o.Produces {
			action, does = "send", "produces"
		}
		x := object{"action": action, "channel": ref("channels", channels.key(o.Channel)), "title": o.Service + " " + does + " " + o.Channel, "x-service": o.Service, "x-protocol": o.Protocol}
		if len(of) > 0 {
			x["messages"] = of
		}
		if b := operationBindings(o); len(b) > 0 {
			x["bindings"] = b
		}
		if o.Via != "" {
			x["x-via"] = o.Via
		}
		name := strings.Join([]string{o.Service, action, o.Channel, o.Protocol}, ".")
		if o.Via != "" && o.Via != o.Service {
			name += "." + o.Via
		}
		out[names.another(name)] = x
	}
	return out
}
