package aws

import "leat/gateway/aws/wire"

// callerIdentity says who has signed, and to nobody in particular, where there are no users, that he is the account.
func callerIdentity(x *call, _ *wire.None, out *wire.IdentityOutput) error {
	account := x.g.config.Account
	out.Account, out.UserID, out.ARN = account, account, "arn:aws:iam::"+account+":root"
	if name := x.who.Principal; name != "" {
		out.UserID, out.ARN = name, "arn:aws:iam::"+account+":user/"+name
	}
	return nil
}
