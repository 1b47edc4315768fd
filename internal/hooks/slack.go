package hooks

// SlackChallenge reads the request with which Slack asks whether an address is ours: {"type":"url_verification","challenge":"…"}. The challenge
// is the answer's body, as text/plain and 200. It is signed like every other request: verify first.
func SlackChallenge(body []byte) (challenge string, ok bool) {
	kind, challenge := members(body, "type", "challenge")
	if kind != "url_verification" || challenge == "" {
		return "", false
	}
	return challenge, true
}
