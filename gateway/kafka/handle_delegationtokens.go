package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker/fault"
)

// Delegation tokens(38-41) are not made here. A broker of Kafka without a secret for them offers their requests all the same and refuses each, and tools
// take one that does not offer them for a very old one; so it is here, too, and with the same two words. Tokens of an OpenID provider (OAUTHBEARER) do
// what these are for.
//
// -1 stands where there would be a time, as in Kafka.

const (
	codeTokensDisabled   int16 = 61
	codeTokensNotAllowed int16 = 64
)

// noTokens is why a request for tokens is refused: who is nobody in particular, or speaks in the open and did not log in, could not have any.
func (k *conn) noTokens(s *slot) (int16, error) {
	if s.caller.Principal == "" {
		return codeTokensNotAllowed, fault.New(fault.Denied, "token", "", "delegation tokens are for those who have logged in")
	}
	return codeTokensDisabled, fault.New(fault.Unsupported, "token", "", "there are no delegation tokens here")
}

// CreateDelegationToken(38), versions 0-3.
func (k *conn) createToken(_ context.Context, s *slot, _ *kmsg.CreateDelegationTokenRequest) (*kmsg.CreateDelegationTokenResponse, error) {
	r := kmsg.NewPtrCreateDelegationTokenResponse()
	var err error
	r.ErrorCode, err = k.noTokens(s)
	r.PrincipalType, r.PrincipalName = "User", s.caller.Principal
	r.TokenRequesterPrincipalType, r.TokenRequesterPrincipalName = r.PrincipalType, r.PrincipalName
	r.IssueTimestamp, r.ExpiryTimestamp, r.MaxTimestamp, r.HMAC = -1, -1, -1, []byte{}
	return r, err
}

// RenewDelegationToken(39), versions 0-2.
func (k *conn) renewToken(_ context.Context, s *slot, _ *kmsg.RenewDelegationTokenRequest) (*kmsg.RenewDelegationTokenResponse, error) {
	r := kmsg.NewPtrRenewDelegationTokenResponse()
	var err error
	r.ErrorCode, err = k.noTokens(s)
	r.ExpiryTimestamp = -1
	return r, err
}

// ExpireDelegationToken(40), versions 0-2.
func (k *conn) expireToken(_ context.Context, s *slot, _ *kmsg.ExpireDelegationTokenRequest) (*kmsg.ExpireDelegationTokenResponse, error) {
	r := kmsg.NewPtrExpireDelegationTokenResponse()
	var err error
	r.ErrorCode, err = k.noTokens(s)
	r.ExpiryTimestamp = -1
	return r, err
}

// DescribeDelegationToken(41), versions 0-3.
func (k *conn) describeTokens(_ context.Context, s *slot, _ *kmsg.DescribeDelegationTokenRequest) (*kmsg.DescribeDelegationTokenResponse, error) {
	r := kmsg.NewPtrDescribeDelegationTokenResponse()
	var err error
	r.ErrorCode, err = k.noTokens(s)
	return r, err
}
