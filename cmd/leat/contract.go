package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leat/contract"
	"leat/contract/avro"
	"leat/contract/jsonschema"
	"leat/contract/protobuf"
)

const defaultRegistryURL = "http://127.0.0.1:8081"

var (
	contractColumns   = []string{"name", "stream", "address", "type", "subject", "enforce", "owner", "checked", "broken", "quarantined"}
	contractDescribed = []string{"name", "stream", "address", "type", "subject", "key", "enforce", "framed", "owner", "tags", "checked", "broken", "quarantined"}
	contractEnforces  = []string{"off", "warn", "reject", "quarantine"}
)

func (a *app) contractCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "contract", Short: "Which schema the events of a stream or type keep to", Aliases: []string{"contracts"},
		Long: "Contracts and schemas are kept by the schema registry of a node: --registry says its address (LEAT_REGISTRY; default " + defaultRegistryURL + ").",
	}
	cmd.PersistentFlags().String("registry", "", "address of the schema registry")
	cmd.AddCommand(a.contractPut(), a.contractList(), a.contractShow(), a.contractDelete(), a.contractCheck(), a.contractQuarantine(),
		a.contractCatalogue(), a.contractCoupling(), a.contractReads(), a.contractLint(), a.contractTags(), a.contractDocument())
	return cmd
}

// registry is a client of the schema registry, as the same user.
func (a *app) registry(cmd *cobra.Command) (*client, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	a.registered = true
	flag, _ := cmd.Flags().GetString("registry") // is always there
	c.base = strings.TrimRight(first(flag, a.env("LEAT_REGISTRY"), defaultRegistryURL), "/")
	if !strings.Contains(c.base, "://") {
		c.base = "http://" + c.base
	}
	return c, nil
}

// formatFlags name a schema in a file.
type formatFlags struct{ file, format string }

func (f *formatFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "schema", "", "file with a schema")
	cmd.Flags().StringVar(&f.format, "format", "", "avro, json or protobuf (default by the file's name: .avsc, .json, .proto)")
}

func (f *formatFlags) read() (kind, text string, err error) {
	b, err := os.ReadFile(f.file) //nolint:forbidigo // a file of the user's, not of the data directory
	if err != nil {
		return "", "", err
	}
	kind = strings.ToUpper(f.format)
	if kind == "" {
		for end, k := range map[string]string{".avsc": "AVRO", ".json": "JSON", ".proto": "PROTOBUF"} {
			if strings.HasSuffix(f.file, end) {
				kind = k
			}
		}
	}
	if !slices.Contains([]string{"AVRO", "JSON", "PROTOBUF"}, kind) {
		return "", "", usageError("the name of %s does not say which format it has: --format is avro, json or protobuf", f.file)
	}
	return kind, string(b), nil
}

func (a *app) contractPut() *cobra.Command {
	var f formatFlags
	body := map[string]any{}
	var stream, address, kind, subject, key, enforce string
	var owner []string
	var framed bool
	cmd := &cobra.Command{
		Use: "put NAME", Short: "Bind a contract, and register its schema", Args: exactly(1),
		Long: "Bind a contract to a stream or a type of events (* stands for anything but a slash), or replace the one of that name. With --schema the schema is\n" +
			"registered first, as the next version of the subject (default NAME).",
		Example: "  leat contract put orders --stream orders --schema order.json\n  leat contract put orders --type 'com.shop.order.*' --subject orders --owner shop\n" +
			"  leat contract put jobs --stream amqp.default --address jobs --schema job.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			if f.file != "" {
				subject = cmp.Or(subject, args[0])
				format, text, err := f.read()
				if err != nil {
					return err
				}
				in := map[string]any{"schema": text, "schemaType": format}
				if err := c.call(cmd.Context(), "POST", "/subjects/"+url.PathEscape(subject)+"/versions", in, nil); err != nil {
					return err
				}
			}
			for name, v := range map[string]string{"stream": stream, "address": address, "type": kind, "subject": subject, "key": key, "enforce": enforce} {
				if v != "" {
					body[name] = v
				}
			}
			if len(owner) > 0 {
				body["owner"] = owner
			}
			if framed {
				body["framed"] = true
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "PUT", contractPath(args[0]), body, &got); err != nil {
				return err
			}
			return a.describe(got, contractDescribed)
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&stream, "stream", "", "stream, or a pattern with *")
	fl.StringVar(&address, "address", "", "with --stream: only events whose subject (the routing key of AMQP) is this, or fits a pattern with *")
	fl.StringVar(&kind, "type", "", "type of events, or a pattern with *")
	fl.StringVar(&subject, "subject", "", "subject whose schemas count")
	fl.StringVar(&key, "key", "", "subject of the schemas of keys")
	fl.StringVar(&enforce, "enforce", "", "off, warn, reject or quarantine (default reject)")
	fl.StringArrayVar(&owner, "owner", nil, "user who may publish; may be repeated")
	fl.BoolVar(&framed, "framed", false, "payloads must say which schema they were written with")
	_ = cmd.RegisterFlagCompletionFunc("enforce", cobra.FixedCompletions(contractEnforces, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("stream", a.completeStreams)
	return cmd
}

func contractPath(name string) string { return "/contracts/" + url.PathEscape(name) }

func (a *app) contractList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "All contracts you may see", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			rows := []map[string]any{}
			if err := c.call(cmd.Context(), "GET", "/contracts", nil, &rows); err != nil {
				return err
			}
			return a.list(rows, contractColumns)
		},
	}
}

func (a *app) contractShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Aliases: []string{"describe"}, Short: "One contract, and what it has seen", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			var got map[string]any
			if err := c.call(cmd.Context(), "GET", contractPath(args[0]), nil, &got); err != nil {
				return err
			}
			return a.describe(got, contractDescribed)
		},
	}
}

func (a *app) contractDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Take a contract away; its schemas stay", Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.registry(cmd)
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), "DELETE", contractPath(args[0]), nil, nil)
		},
	}
}

func (a *app) contractCheck() *cobra.Command {
	var f formatFlags
	var subject, stream string
	var last int
	cmd := &cobra.Command{
		Use: "check", Short: "Whether a schema may follow, and whether past events keep to it", Args: exactly(0),
		Long: "Compare a schema in a file with the versions of a subject as the subject's compatibility level asks, and with what consumers declare that they read;\n" +
			"of those that declare nothing it says so. With --stream try it on the last events of a stream. Nothing is changed. The exit status is 1 where it may not\n" +
			"follow, breaks somebody, or an event breaks it.",
		Example: "  leat contract check --schema order.json --subject orders-value --stream orders --last 1000",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.file == "" || subject == "" && stream == "" {
				return usageError("say which --schema, and what to compare it with: --subject, --stream, or both")
			}
			kind, text, err := f.read()
			if err != nil {
				return err
			}
			wrong := 0
			if subject != "" {
				n, err := a.checkSubject(cmd, subject, kind, text)
				if err != nil {
					return err
				}
				wrong += n
				if n, err = a.checkReaders(cmd.Context(), subject, kind, text); err != nil {
					return err
				}
				wrong += n
			}
			if stream != "" {
				n, err := a.checkEvents(cmd.Context(), stream, last, kind, text)
				if err != nil {
					return err
				}
				wrong += n
			}
			if wrong > 0 {
				return errors.New(counted(wrong, "thing is", "things are") + " wrong")
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&subject, "subject", "", "subject to compare with")
	cmd.Flags().StringVar(&stream, "stream", "", "stream whose last events are tried")
	cmd.Flags().IntVar(&last, "last", 100, "how many events, up to 1000")
	_ = cmd.RegisterFlagCompletionFunc("stream", a.completeStreams)
	return cmd
}

func (a *app) checkSubject(cmd *cobra.Command, subject, kind, text string) (int, error) {
	c, err := a.registry(cmd)
	if err != nil {
		return 0, err
	}
	var got struct {
		Compatible bool     `json:"is_compatible"`
		Messages   []string `json:"messages"`
	}
	in := map[string]any{"schema": text, "schemaType": kind}
	if err := c.call(cmd.Context(), "POST", "/compatibility/subjects/"+url.PathEscape(subject)+"/versions?verbose=true", in, &got); err != nil {
		return 0, err
	}
	if got.Compatible {
		said := "it may follow the versions of %s\n"
		var p *problem
		switch err := c.call(cmd.Context(), "GET", "/subjects/"+url.PathEscape(subject)+"/versions", nil, nil); {
		case errors.As(err, &p) && p.Status == http.StatusNotFound:
			said = "%s has no versions yet: it may be the first\n"
		case err != nil:
			return 0, err
		}
		_, err = fmt.Fprintf(a.out, said, subject)
		return 0, err
	}
	_, err = fmt.Fprint(a.out, whyNot(subject, got.Messages))
	return 1, err
}

// A registry says why one schema cannot follow another in texts for programs of its own clients:
//
//	{errorType:"TYPE_NARROWED", description:"A type at path … is different …", additionalInfo:"…"}    Avro has single quotes
//	{oldSchemaVersion: 1}
//	{oldSchema: '…'}
//	{validateFields: 'false', compatibility: 'BACKWARD'}
var (
	differencePattern    = regexp.MustCompile(`^\{errorType:['"](\w+)['"], description:['"](.*?)['"](?:, additionalInfo:['"](.*)['"])?\}$`)
	oldVersionPattern    = regexp.MustCompile(`^\{oldSchemaVersion: (\d+)\}$`)
	compatibilityPattern = regexp.MustCompile(`compatibility: '(\w+)'`)
)

// whyNot says it for people. What it does not know stays as it is.
func whyNot(subject string, messages []string) string {
	version, level, lines := "the versions", "", ""
	for _, m := range messages {
		if d := differencePattern.FindStringSubmatch(m); d != nil {
			lines += "  " + d[2]
			if d[3] != "" {
				lines += "; " + d[3]
			}
			lines += " (" + d[1] + ")\n"
			continue
		}
		if v := oldVersionPattern.FindStringSubmatch(m); v != nil {
			version = "version " + v[1]
			continue
		}
		if l := compatibilityPattern.FindStringSubmatch(m); l != nil && strings.HasPrefix(m, "{validateFields:") {
			level = " as " + l[1] + " asks"
			continue
		}
		if !strings.HasPrefix(m, "{oldSchema: ") {
			lines += "  " + m + "\n"
		}
	}
	return "it may not follow " + version + " of " + subject + level + ":\n" + lines
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

var contractFormats = map[string]contract.Format{"AVRO": avro.Format{}, "JSON": jsonschema.Format{}, "PROTOBUF": protobuf.Format{}}

// checkEvents tries a schema on the newest events of a stream.
func (a *app) checkEvents(ctx context.Context, stream string, last int, kind, text string) (wrong int, err error) {
	s, err := contractFormats[kind].Parse(text, nil)
	if err != nil {
		return 0, err
	}
	c, err := a.client()
	if err != nil {
		return 0, err
	}
	q := url.Values{"direction": {"backward"}, "limit": {fmt.Sprint(min(max(last, 1), pageEvents))}}
	var page struct {
		Events []struct {
			Data   json.RawMessage `json:"data"`
			Base64 string          `json:"data_base64"`
		} `json:"events"`
		Stored []struct {
			Ref string `json:"ref"`
		} `json:"stored"`
	}
	if err := c.call(ctx, "GET", "/v1/streams/"+url.PathEscape(stream)+"/events?"+q.Encode(), nil, &page); err != nil {
		return 0, err
	}
	if len(page.Stored) != len(page.Events) {
		return 0, errors.New("the node does not say where its events are stored")
	}
	for i, e := range page.Events {
		payload := []byte(e.Data)
		if e.Base64 != "" {
			if payload, err = base64.StdEncoding.DecodeString(e.Base64); err != nil {
				return wrong, err
			}
		}
		if len(payload) == 0 {
			continue
		}
		if err := tryPayload(s, kind, payload); err != nil {
			wrong++
			if _, err := fmt.Fprintf(a.out, "%s %s\n", page.Stored[i].Ref, err); err != nil {
				return wrong, err
			}
		}
	}
	_, err = fmt.Fprintf(a.out, "%d of the last %d events of %s keep to it\n", len(page.Events)-wrong, len(page.Events), stream)
	return wrong, err
}

// tryPayload checks a payload, without the frame that it may have.
func tryPayload(s contract.Schema, kind string, payload []byte) error {
	f, rest, err := contract.Unframe(payload)
	if err != nil || !f.Named() {
		return s.Validate(payload, nil)
	}
	var index []int
	if kind == "PROTOBUF" {
		if index, rest, err = contract.Indexes(rest); err != nil {
			return err
		}
	}
	return s.Validate(rest, index)
}
