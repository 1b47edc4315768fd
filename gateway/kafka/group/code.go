package group

// Code is an error code of the protocol, as far as groups have them.
type Code int16

// What a group answers.
const (
	None                      Code = 0
	CoordinatorNotAvailable   Code = 15
	NotCoordinator            Code = 16
	IllegalGeneration         Code = 22
	InconsistentGroupProtocol Code = 23
	InvalidGroupID            Code = 24
	UnknownMemberID           Code = 25
	InvalidSessionTimeout     Code = 26
	RebalanceInProgress       Code = 27
	UnsupportedVersion        Code = 35
	InvalidRequest            Code = 42
	NonEmptyGroup             Code = 68
	GroupIDNotFound           Code = 69
	MemberIDRequired          Code = 79
	GroupMaxSizeReached       Code = 81
	FencedInstanceID          Code = 82
	FencedMemberEpoch         Code = 110
	UnreleasedInstanceID      Code = 111
	UnsupportedAssignor       Code = 112
	StaleMemberEpoch          Code = 113
	InvalidRegularExpression  Code = 128
)

// Refusal is a code and, where the code does not say it, why.
type Refusal struct {
	Code Code
	Text string
}

func refuse(c Code, text string) *Refusal { return &Refusal{c, text} }
