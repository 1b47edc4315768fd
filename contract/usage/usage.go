package usage

// Role is what somebody does with events.
type Role uint8

// Roles.
const (
	Produces Role = iota
	Consumes
)

func (r Role) String() string {
	if r == Consumes {
		return "consumes"
	}
	return "produces"
}

// Party is somebody at the door: as whom it logged in, by which protocol, and what it calls itself.
type Party struct {
	Principal string
	Protocol  string
	Client    string
	Via       string // the subscription or group it reads by; "" where it just reads, and for producers
}

// What says which kind of event: what the event itself says. What it means — a version of a subject — is looked up by whoever shows it.
type What struct {
	Type   string // as the event says; "" says nothing
	Schema int32  // id in front of the payload; 0: none
	GUID   string // of the schema, where a header says it
}

// Others is the type under which the types of a line beyond TypesMax are counted.
const Others = "(others)"

// Place is where events lie.
type Place struct{ Namespace, Stream string }

// Use is what one party did with one kind of events of one stream.
type Use struct {
	Place
	Party
	What
	Role    Role
	FirstMS int64
	LastMS  int64
	Records int64
	Bytes   int64
}
