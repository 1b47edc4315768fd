package wire

import (
	"strings"
	"unicode/utf8"
)

// Protocol is how a request is written, and so its answer.
type Protocol uint8

// The two protocols.
const (
	Query Protocol = iota // parameters in, XML out
	JSON                  // AWS JSON 1.0
)

// ContentType is that of answers.
func (p Protocol) ContentType() string {
	if p == JSON {
		return "application/x-amz-json-1.0"
	}
	return "text/xml"
}

// Service is who is asked; all listen at one endpoint.
type Service uint8

// The services.
const (
	SQS Service = iota
	SNS
	STS
)

func (s Service) String() string { return [...]string{"sqs", "sns", "sts"}[s] }

func (s Service) namespace() string { return [...]string{sqsNamespace, snsNamespace, stsNamespace}[s] }

// The versions of the services, as requests in the query form name them, and the targets of those in JSON.
const (
	sqsVersion = "2012-11-05"
	snsVersion = "2010-03-31"
	stsVersion = "2011-06-15"
	sqsTarget  = "AmazonSQS."
)

// Head is what of a request's head says which call it is.
type Head struct {
	Path        string // /, or the queue's: /000000000000/orders
	Query       string // what stands behind the question mark, escaped
	Target      string // the header X-Amz-Target
	ContentType string
	Signed      string // the service of the signature's scope, or ""
}

// Call is a request whose form, service and action are known and whose members are not read yet.
type Call struct {
	Protocol Protocol
	Service  Service
	Action   string
	Path     string // the path of the URL, which may name a queue

	body []byte // in JSON
	form *form  // in the query form
}

// ParseCall finds out what a request wants. The body belongs to the call from then on: texts of it are not copied, escapes are undone in
// it, and what Decode reads lives as long as it does.
//
// Where it fails the call still says in which protocol and in whose name the refusal is to be written.
func ParseCall(h *Head, body []byte) (Call, *Error) {
	c := Call{Path: h.Path, body: body}
	if h.Target != "" {
		c.Protocol = JSON
		action, ok := strings.CutPrefix(h.Target, sqsTarget)
		if !ok || action == "" {
			return c, Refuse(InvalidAction, "The action "+h.Target+" is not valid for this endpoint.")
		}
		c.Action = action
		return c, nil
	}
	if isJSON(h.ContentType) {
		c.Protocol = JSON
		return c, Refuse(MissingAction, "The request must contain the header X-Amz-Target.")
	}
	switch h.Signed {
	case "sns":
		c.Service = SNS
	case "sts":
		c.Service = STS
	}
	text := ""
	if isForm(h.ContentType) {
		text = view(body)
	}
	f, err := parseForm(h.Query, text)
	if err != nil {
		return c, err
	}
	c.form = f
	var ok bool
	if c.Action, ok = f.get("Action"); !ok || c.Action == "" {
		return c, Refuse(MissingAction, "The request must contain the parameter Action.")
	}
	c.Service = c.whose(h.Signed)
	return c, nil
}

// whose says which service is meant by a call in the query form. Two actions, AddPermission and RemovePermission, are both services'.
func (c *Call) whose(signed string) Service {
	version, _ := c.form.get("Version")
	switch {
	case version == stsVersion || signed == "sts":
		return STS
	case version == snsVersion || signed == "sns":
		return SNS
	case version == sqsVersion || signed == "sqs":
		return SQS
	}
	if _, ok := c.form.get("TopicArn"); ok {
		return SNS
	}
	if _, ok := registry[Key{SNS, c.Action}]; ok {
		if _, both := registry[Key{SQS, c.Action}]; !both {
			return SNS
		}
	}
	return SQS
}

// isForm reports whether a body is parameters. Clients that say nothing of it mean that.
func isForm(contentType string) bool {
	return contentType == "" || strings.HasPrefix(strings.ToLower(contentType), "application/x-www-form-urlencoded")
}

func isJSON(contentType string) bool {
	return strings.HasPrefix(strings.ToLower(contentType), "application/x-amz-json-1.0")
}

// Key names an action.
type Key struct {
	Service Service
	Action  string
}

// registry has every action that there is.
var registry = map[Key]bool{}

// Known reports whether there is such an action; UnknownAction is the refusal of one that is not.
func Known(k Key) bool { return registry[k] }

// UnknownAction is the refusal of a call of no action.
func UnknownAction(c *Call) *Error {
	return Refuse(InvalidAction, "The action "+c.Action+" is not valid for this endpoint.")
}

// Action is one thing that a client may ask for: the shapes of what comes in and of what goes out, and what can be checked without knowing
// more than the request.
type Action[In, Out any] struct {
	Key

	in    *shape[In]
	out   *shape[Out]
	bare  bool // without an element around the members of the answer, even where it has none
	check func(in *In) *Error
}

// action registers an action. out is nil where the answer has no members at all.
func action[In, Out any](s Service, name string, in *shape[In], out *shape[Out], check func(in *In) *Error) *Action[In, Out] {
	a := &Action[In, Out]{Key: Key{s, name}, in: in, out: out, bare: out == nil, check: check}
	if out == nil {
		a.out = of[Out]()
	}
	registry[a.Key] = true
	return a
}

// None is what an action without members takes or answers.
type None struct{}

// Decode reads the members of a call into in, which is zeroed before, and checks them.
func (a *Action[In, Out]) Decode(c *Call, in *In) *Error {
	var zero In
	*in = zero
	if c.Protocol == JSON {
		if len(c.body) > 0 { // a call without members may have no body
			r := readDocument(c.body)
			a.in.readJSON(r, in)
			if err := r.finish(); err != nil {
				return err
			}
		}
	} else {
		a.in.readForm(c.form, in)
		if c.form.err != nil {
			return c.form.err
		}
	}
	if q, ok := any(in).(hasQueue); ok {
		if url := q.queue(); *url == "" && strings.Count(c.Path, "/") > 1 && utf8.ValidString(c.Path) {
			*url = c.Path
		}
	} else if (a.Key == CreateQueue.Key || a.Key == ListQueues.Key) && c.Protocol == Query && namesQueue(c.Path) {
		return UnknownAction(c)
	}
	if name := a.in.missing(in); name != "" {
		return a.missing(name)
	}
	if a.check != nil {
		return a.check(in)
	}
	return nil
}

// namesQueue reports whether a path is that of a queue, where nobody makes or lists queues.
func namesQueue(path string) bool {
	a, err := ParseQueueURL(path)
	return err == nil && a.Account != ""
}

// missing is the refusal of a request without a required member.
func (a *Action[In, Out]) missing(name string) *Error {
	if a.Service == SNS {
		return badTopic(name + " Reason: no value for required parameter")
	}
	return Refuse(MissingParameter, "The request must contain the parameter "+name+".")
}

// hasQueue is a request of SQS that names a queue, which in the query form may also stand in the URL's path.
type hasQueue interface{ queue() *string }

// Append writes the answer to a call.
//
//	<SendMessageResponse xmlns="…"><SendMessageResult>…</SendMessageResult>
//	<ResponseMetadata><RequestId>…</RequestId></ResponseMetadata></SendMessageResponse>
func (a *Action[In, Out]) Append(b []byte, p Protocol, out *Out, requestID string) []byte {
	if p == JSON {
		return a.out.appendJSON(b, out)
	}
	b = append(b, declaration...)
	b = append(b, '<')
	b = append(b, a.Action...)
	b = append(b, `Response xmlns="`...)
	b = append(b, a.Service.namespace()...)
	b = append(b, '"', '>')
	if !a.bare {
		result := a.Action + "Result"
		n := len(b) + len(result) + len("<>")
		if b = a.out.appendMembers(appendStart(b, result), out); len(b) == n {
			b = append(b[:n-1], "/>"...)
		} else {
			b = appendEnd(b, result)
		}
	}
	b = append(b, "<ResponseMetadata>"...)
	b = appendElement(b, "RequestId", requestID)
	b = append(b, "</ResponseMetadata></"...)
	b = append(b, a.Action...)
	return append(b, "Response>"...)
}

// AppendRequest writes a request as a client does: the body of a POST. Tests and tools use it.
func (a *Action[In, Out]) AppendRequest(b []byte, p Protocol, in *In) []byte {
	if p == JSON {
		return a.in.appendJSON(b, in)
	}
	version := [...]string{sqsVersion, snsVersion, stsVersion}[a.Service]
	w := &formWriter{b: append(b, "Action="+a.Action+"&Version="+version...)}
	a.in.appendForm(w, in)
	return w.b
}
