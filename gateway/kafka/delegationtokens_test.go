package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Delegation tokens are offered in every version, and refused: in the open because they are not for the open, after a login because there are none.
func TestDelegationTokens(t *testing.T) {
	open := dial(t, serve(t, newBroker(t, 1)))
	user := dial(t, serve(t, newBroker(t, 1, testUser)))
	loginPlain(user, testUser.Name, testUser.Password)
	for c, want := range map[*client]int16{open: codeTokensNotAllowed, user: codeTokensDisabled} {
		for v := range int16(4) {
			made := ask[*kmsg.CreateDelegationTokenResponse](c, kmsg.NewPtrCreateDelegationTokenRequest(), v)
			if made.ErrorCode != want || made.ExpiryTimestamp != -1 || len(made.HMAC) != 0 {
				t.Errorf("create, version %d: %+v, want %d", v, made, want)
			}
			if r := ask[*kmsg.DescribeDelegationTokenResponse](c, kmsg.NewPtrDescribeDelegationTokenRequest(), v); r.ErrorCode != want || len(r.TokenDetails) != 0 {
				t.Errorf("describe, version %d: %+v, want %d", v, r, want)
			}
			if v > 2 {
				continue
			}
			if r := ask[*kmsg.RenewDelegationTokenResponse](c, kmsg.NewPtrRenewDelegationTokenRequest(), v); r.ErrorCode != want || r.ExpiryTimestamp != -1 {
				t.Errorf("renew, version %d: %+v, want %d", v, r, want)
			}
			if r := ask[*kmsg.ExpireDelegationTokenResponse](c, kmsg.NewPtrExpireDelegationTokenRequest(), v); r.ErrorCode != want || r.ExpiryTimestamp != -1 {
				t.Errorf("expire, version %d: %+v, want %d", v, r, want)
			}
		}
	}
}

// What is offered is what a broker of Kafka offers: tools that guess a version of it from that find one.
func TestApiVersions_AreOfABroker(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	r := ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 3)
	guess := kversion.FromApiVersionsResponse(r).VersionGuess()
	if strings.Contains(guess, "v0.") || strings.Contains(guess, "v1.") || strings.Contains(guess, "v2.") || strings.Contains(guess, "unknown") {
		t.Errorf("this is taken for a Kafka %s", guess)
	}
}
