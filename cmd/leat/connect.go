package main

import (
	"embed"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// leat connect prints a program, for one protocol and one language, that runs against the node: it sends "hello" and reads it back. The
// templates are connect/PROTOCOL.LANGUAGE.tmpl; a test runs what comes of each.

//go:embed connect/*.tmpl
var connectPrograms embed.FS

var (
	connectProtocols = []string{"kafka", "amqp", "aws", "http"}
	connectLanguages = map[string]string{"go": "go", "java": "java", "python": "py", "py": "py", "js": "js", "javascript": "js"}
)

// connectData is what a template is filled with.
type connectData struct {
	How              string // the command that printed it
	Addr, Host, Port string
	URL              string // of listeners that speak HTTP
	TLS              bool
	CA               string // file, "" for the machine's
	User             string // "" while there are no users
	Stream, Queue    string
}

// StreamURL is the stream's by HTTP.
func (d connectData) StreamURL() string { return d.URL + "/v1/streams/" + url.PathEscape(d.Stream) }

// UserText is the user's name within the quotes of another text.
func (d connectData) UserText() string { return strings.Trim(strconv.Quote(d.User), `"`) }

// values is what templates name.
func (d connectData) values() map[string]string {
	v := map[string]string{
		"How": d.How, "Addr": d.Addr, "Host": d.Host, "Port": d.Port, "URL": d.URL, "CA": d.CA, "User": d.User, "Stream": d.Stream, "Queue": d.Queue,
		"TLS": "", "StreamURL": d.StreamURL(), "UserText": d.UserText(),
	}
	if d.TLS {
		v["TLS"] = "true"
	}
	return v
}

func (a *app) connectCommand() *cobra.Command {
	var lang, stream, ca string
	cmd := &cobra.Command{
		Use: "connect kafka|amqp|aws|http", Short: "Print a program that connects to this node", Args: exactly(1),
		Long: "Print a program for a protocol's usual client library, with this node's address, TLS and user in it. It sends \"hello\" and reads it back.\n" +
			"It takes the password from LEAT_PASSWORD, and for aws a token of the user from LEAT_TOKEN, when it runs; neither is printed.",
		Example:           "  leat connect kafka --lang python > try.py\n  leat connect amqp --lang go --user ann --ca ca.pem > try.go",
		ValidArgsFunction: cobra.FixedCompletions(connectProtocols, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			extension, known := connectLanguages[strings.ToLower(lang)]
			switch {
			case !slices.Contains(connectProtocols, args[0]):
				return usageError("%q is none of %s", args[0], strings.Join(connectProtocols, ", "))
			case !known:
				return usageError("--lang %q: it is one of go, java, python, js", lang)
			case a.namespace != "":
				return usageError("--namespace: clients of other protocols are in the namespace of their user, and so is what is printed")
			}
			d, err := a.connectData(cmd, args[0], ca)
			if err != nil {
				return err
			}
			d.How = "Printed by: leat connect " + args[0] + " --lang " + lang
			d.Stream, d.Queue = stream, stream+".try"
			if args[0] == "aws" {
				d.Queue = strings.NewReplacer(".", "-").Replace(stream) + "-try"
			}
			text, err := connectPrograms.ReadFile("connect/" + args[0] + "." + extension + ".tmpl")
			if err != nil {
				return err
			}
			program, err := fillIn(string(text), d.values())
			if err == nil {
				_, err = io.WriteString(a.out, program)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&lang, "lang", "go", "go, java, python or js")
	f.StringVar(&stream, "stream", "try", "stream (topic, exchange) that it uses")
	f.StringVar(&ca, "ca", "", "file of the certificate that signed the node's, where the machine does not know it")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"go", "java", "python", "js"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// connectData asks the node where it listens.
func (a *app) connectData(cmd *cobra.Command, protocol, ca string) (d connectData, err error) {
	c, err := a.client()
	if err != nil {
		return d, err
	}
	var got struct {
		Listeners map[string]struct {
			Addr, Advertise string
			TLS             bool
		}
		Users bool
	}
	if err := c.call(cmd.Context(), "GET", "/v1/listeners", nil, &got); err != nil {
		return d, err
	}
	l, open := got.Listeners[protocol]
	if !open {
		return d, fmt.Errorf("the node does not listen for %s; it does for %s", protocol, strings.Join(slices.Sorted(maps.Keys(got.Listeners)), ", "))
	}
	if l.Advertise != "" {
		l.Addr = l.Advertise
	}
	if d.Host, d.Port, err = net.SplitHostPort(l.Addr); err != nil {
		return d, fmt.Errorf("the address of the listener: %w", err)
	}
	if ip := net.ParseIP(d.Host); ip != nil && ip.IsUnspecified() { // it listens everywhere: we came in at one of its addresses
		if u, err := url.Parse(c.base); err == nil {
			d.Host = u.Hostname()
		}
	}
	d.Addr, d.TLS = net.JoinHostPort(d.Host, d.Port), l.TLS
	d.URL = "http://" + d.Addr
	if l.TLS {
		d.URL = "https://" + d.Addr
	}
	if l.TLS && ca != "" {
		if d.CA, err = filepath.Abs(ca); err != nil {
			return d, err
		}
	}
	if got.Users {
		if d.User, _, _ = strings.Cut(a.user, ":"); d.User == "" {
			return d, usageError("the node has users: say as whom the program shall connect, --user NAME")
		}
	}
	return d, nil
}
