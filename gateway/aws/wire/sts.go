package wire

// STS: who am I. Nothing else of it is here; clients ask to see whether their credentials are good.

// IdentityOutput answers that.
type IdentityOutput struct {
	ARN     string
	UserID  string
	Account string
}

// GetCallerIdentity asks who has signed the request.
var GetCallerIdentity = action(STS, "GetCallerIdentity", of[None](), of(
	member("Arn", text, func(o *IdentityOutput) *string { return &o.ARN }),
	member("UserId", text, func(o *IdentityOutput) *string { return &o.UserID }),
	member("Account", text, func(o *IdentityOutput) *string { return &o.Account }),
), nil)
