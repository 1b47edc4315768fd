package registry

import "fmt"

// Code is the number of a refusal. Its first three digits are the status of HTTP. The numbers are those of Confluent's registry.
type Code int

// Codes.
const (
	SubjectNotFound       Code = 40401
	VersionNotFound       Code = 40402
	SchemaNotFound        Code = 40403
	SubjectSoftDeleted    Code = 40404
	SubjectNotSoftDeleted Code = 40405
	VersionSoftDeleted    Code = 40406
	VersionNotSoftDeleted Code = 40407
	ConfigNotSet          Code = 40408
	ModeNotSet            Code = 40409
	Incompatible          Code = 40901
	InvalidSchema         Code = 42201
	InvalidVersion        Code = 42202
	InvalidLevel          Code = 42203
	InvalidMode           Code = 42204
	OperationNotPermitted Code = 42205
	ReferenceExists       Code = 42206
	IDMismatch            Code = 42207
	InvalidSubject        Code = 42208
	SchemaTooLarge        Code = 42209
	InvalidRuleSet        Code = 42210
	ContextNotEmpty       Code = 42211
	BindingNotFound       Code = 40450 // ours
	ReadsNotFound         Code = 40451 // ours
	InvalidBinding        Code = 42250 // ours
	InvalidReads          Code = 42252 // ours
	RegistryFull          Code = 42251 // ours
)

// Problem is a refusal.
type Problem struct {
	Code Code
	Text string
}

func (p *Problem) Error() string { return p.Text }

func refuse(c Code, format string, a ...any) *Problem {
	return &Problem{c, fmt.Sprintf(format, a...)}
}

func subjectNotFound(s string) error { return refuse(SubjectNotFound, "Subject '%s' not found.", s) }

func versionNotFound(v int) error {
	if v == Latest {
		return refuse(VersionNotFound, "Version latest not found.")
	}
	return refuse(VersionNotFound, "Version %d not found.", v)
}
