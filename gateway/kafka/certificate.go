package kafka

import (
	"fmt"
	"regexp"
	"strings"

	"leat/gateway"
)

// A client that has shown a certificate, signed by the node's client CA, is the user that the certificate names: it need not log in. Which
// user that is, rules say, written as Kafka's ssl.principal.mapping.rules:
//
//	RULE:^CN=(.*?),OU=service.*$/$1/L,RULE:^CN=(.*?),.*$/$1/,DEFAULT
//
// The first rule whose pattern fits the whole distinguished name (as RFC 2253 writes it) gives the user: its replacement, in lower (L) or upper (U)
// letters where it says so. DEFAULT is the distinguished name as it is. Without rules it is the common name. Users that are not there are nobody.

// certificateRule is one of them. A nil pattern is DEFAULT.
type certificateRule struct {
	pattern     *regexp.Regexp
	replacement string
	letters     byte // 'L', 'U' or 0
}

// certificateRulesMax is how many there can be.
const certificateRulesMax = 100

// ruleForm is one rule at the beginning of what is left. Slashes in patterns are written \/.
var ruleForm = regexp.MustCompile(`^(?:DEFAULT|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?))\s*(?:,\s*|$)`)

func parseRules(text string) ([]certificateRule, error) {
	var rules []certificateRule
	for text = strings.TrimSpace(text); text != ""; {
		m := ruleForm.FindStringSubmatch(text)
		switch {
		case m == nil:
			return nil, fmt.Errorf("%q is neither DEFAULT nor RULE:pattern/replacement/[LU]", clip(text))
		case len(rules) == certificateRulesMax:
			return nil, fmt.Errorf("there are more than %d rules", certificateRulesMax)
		case strings.HasPrefix(m[0], "DEFAULT"):
			rules = append(rules, certificateRule{})
		default:
			pattern, err := regexp.Compile("^(?:" + strings.ReplaceAll(m[1], `\/`, "/") + ")$")
			if err != nil {
				return nil, err
			}
			r := certificateRule{pattern: pattern, replacement: references.ReplaceAllString(strings.ReplaceAll(m[2], `\/`, "/"), "$${$1}")}
			if m[3] != "" {
				r.letters = m[3][0]
			}
			rules = append(rules, r)
		}
		text = text[len(m[0]):]
	}
	return rules, nil
}

// references are groups as Java writes them: $1a is group 1 and an a.
var references = regexp.MustCompile(`\$(\d)`)

// principalOf is the user that a distinguished name stands for; "" is none.
func principalOf(rules []certificateRule, name string) string {
	for i := range rules {
		r := &rules[i]
		if r.pattern == nil {
			return name
		}
		at := r.pattern.FindStringSubmatchIndex(name)
		if at == nil {
			continue
		}
		user := string(r.pattern.ExpandString(nil, r.replacement, name, at))
		switch r.letters {
		case 'L':
			user = strings.ToLower(user)
		case 'U':
			user = strings.ToUpper(user)
		}
		return user
	}
	return ""
}

// certified is the user of the certificate that a peer has shown, if there is such a user.
func (g *Gateway) certified(c *gateway.Conn) string {
	t := c.TLSState()
	if t == nil || len(t.VerifiedChains) == 0 || len(t.PeerCertificates) == 0 {
		return ""
	}
	subject := &t.PeerCertificates[0].Subject
	user := subject.CommonName
	if len(g.rules) > 0 {
		user = principalOf(g.rules, subject.String())
	}
	if user == "" || !g.b.HasUser(user) {
		return ""
	}
	return user
}
