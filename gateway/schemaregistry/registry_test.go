package schemaregistry

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
)

func avroRecord(fields ...string) string {
	var b strings.Builder
	for i, f := range fields {
		name, def, ok := strings.Cut(f, "=")
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{\"name\":\"%s\",\"type\":\"string\"`, name)
		if ok {
			fmt.Fprintf(&b, `,\"default\":\"%s\"`, def)
		}
		b.WriteByte('}')
	}
	return `{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[` + b.String() + `]}"}`
}

func TestRegister_IDsAndVersions(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `[]`, "GET", "subjects", "")
	a.want(200, `{"id":1,"version":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(200, `{"id":1,"version":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(200, `{"id":1,"version":1}`, "POST", "subjects/b/versions", avroRecord("x"))
	a.want(200, `{"id":2,"version":2}`, "POST", "subjects/a/versions", avroRecord("x", "y=1"))
	a.want(200, `["a","b"]`, "GET", "schemas/ids/1/subjects", "")
	a.want(200, `[{"subject":"a","version":1},{"subject":"b","version":1}]`, "GET", "schemas/ids/1/versions", "")
	a.want(200, `[1,2]`, "GET", "subjects/a/versions", "")
	a.want(200, `{"subject":"a","version":2,"id":2}`, "GET", "subjects/a/versions/latest", "")
	a.want(200, `{"subject":"a","version":2,"id":2}`, "GET", "subjects/a/versions/-1", "")
	a.want(200, `{"type":"record","name":"R"}`, "GET", "subjects/a/versions/1/schema", "")
	a.want(200, `{"version":1,"id":1}`, "POST", "subjects/a", avroRecord("x"))
	a.want(404, `{"error_code":40403}`, "POST", "subjects/a", avroRecord("z"))
	a.want(404, `{"error_code":40401}`, "POST", "subjects/c", avroRecord("x"))
	a.want(409, `{"error_code":40901}`, "POST", "subjects/a/versions", avroRecord("x", "y=1", "z"))
	a.want(200, `{"is_compatible":false}`, "POST", "compatibility/subjects/a/versions/latest", avroRecord("x", "z"))
	a.want(200, `the new schema has no default value`, "POST", "compatibility/subjects/a/versions?verbose=true", avroRecord("x", "z"))
	a.want(200, `{"is_compatible":true}`, "POST", "compatibility/subjects/nothing/versions/latest", avroRecord("x"))
	a.want(404, `{"error_code":40402}`, "POST", "compatibility/subjects/a/versions/9", avroRecord("x"))
	a.want(422, `{"error_code":42201}`, "POST", "subjects/a/versions", `{"schema":"{"}`)
	a.want(422, `{"error_code":42201}`, "POST", "subjects/a/versions", `{"schema":"\"strin\""}`)
	a.want(422, `{"error_code":42201}`, "POST", "subjects/a/versions", `{"schema":"{}","schemaType":"XML"}`)
	a.want(422, `{"error_code":42202}`, "GET", "subjects/a/versions/x", "")
	a.want(404, `{"error_code":40402}`, "GET", "subjects/a/versions/9", "")
	a.want(404, `{"error_code":40403}`, "GET", "schemas/ids/99", "")
	a.want(200, `["JSON","PROTOBUF","AVRO"]`, "GET", "schemas/types", "")
	a.want(422, `Unrecognized field: other`, "POST", "subjects/a/versions", `{"schema":"{}","other":1}`)
	a.want(400, `{"error_code":400}`, "POST", "subjects/a/versions", `{`)
	a.want(415, `{"error_code":415}`, "POST", "subjects/a/versions", `{}`, "Content-Type", "text/plain")
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} { // as Jackson reads it, with a mark or without
		for _, mark := range []string{"", "\ufeff"} {
			var body []byte
			for _, u := range utf16.Encode([]rune(mark + avroRecord("x"))) {
				body = order.AppendUint16(body, u)
			}
			a.want(200, `{"id":1,"version":1}`, "POST", "subjects/a/versions", string(body), "Content-Type", "application/json; charset=UTF-16")
		}
	}
	a.want(400, `{"error_code":400}`, "POST", "subjects/a/versions", "{\x00}", "Content-Type", "application/json")
	a.want(415, `{"error_code":415}`, "POST", "subjects/a/versions", `{}`, "Content-Type", "application/json; charset=ebcdic")
	a.want(406, `{"error_code":406}`, "GET", "subjects", "", "Accept", "text/html")
	a.want(200, `["a","b"]`, "GET", "subjects", "", "Accept", "text/html, image/gif, *; q=.2, */*; q=.2")
	a.want(405, `{"error_code":405}`, "PUT", "subjects", "")
	a.want(404, `{"error_code":404}`, "GET", "nowhere", "")
	a.want(422, `{"error_code":42208}`, "POST", "subjects/__GLOBAL/versions", avroRecord("x"))
}

func TestDelete_IDsAreNeverGivenAgain(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `{"id":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(200, `{"id":2}`, "POST", "subjects/a/versions", avroRecord("x", "y=1"))
	a.want(404, `{"error_code":40407}`, "DELETE", "subjects/a/versions/2?permanent=true", "")
	a.want(200, `2`, "DELETE", "subjects/a/versions/2", "")
	a.want(404, `{"error_code":40406}`, "DELETE", "subjects/a/versions/2", "")
	a.want(200, `[1]`, "GET", "subjects/a/versions", "")
	a.want(200, `[1,2]`, "GET", "subjects/a/versions?deleted=true", "")
	a.want(200, `[1,-2]`, "GET", "subjects/a/versions?deletedAsNegative=true", "")
	a.want(200, `{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"string\"},{\"name\":\"y\",\"type\":\"string\",\"default\":\"1\"}]}"}`, "GET", "schemas/ids/2", "")
	a.want(200, `2`, "DELETE", "subjects/a/versions/2?permanent=true", "")
	a.want(404, `{"error_code":40403}`, "GET", "schemas/ids/2", "")
	a.want(200, `{"id":3,"version":2}`, "POST", "subjects/a/versions", avroRecord("x", "z=1"))
	a.want(404, `{"error_code":40405}`, "DELETE", "subjects/a?permanent=true", "")
	a.want(200, `[1,2]`, "DELETE", "subjects/a", "")
	a.want(404, `{"error_code":40404}`, "DELETE", "subjects/a", "")
	a.want(200, `[]`, "GET", "subjects", "")
	a.want(200, `["a"]`, "GET", "subjects?deleted=true", "")
	// The same content comes back as a new version, with its id.
	a.want(200, `{"id":3,"version":3}`, "POST", "subjects/a/versions", avroRecord("x", "z=1"))
	a.want(200, `[3]`, "DELETE", "subjects/a", "")
	a.want(200, `[1,3]`, "DELETE", "subjects/a?permanent=true", "")
	a.want(404, `{"error_code":40401}`, "DELETE", "subjects/a", "")
	a.want(200, `{"id":4,"version":1}`, "POST", "subjects/a/versions", avroRecord("x"))
}

func TestReferences(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `{"id":1}`, "POST", "subjects/ref/versions", avroRecord("x"))
	uses := `{"schema":"{\"type\":\"record\",\"name\":\"Top\",\"fields\":[{\"name\":\"r\",\"type\":\"R\"}]}","references":[{"name":"R","subject":"ref","version":1}]}`
	a.want(200, `{"id":2}`, "POST", "subjects/top/versions", uses)
	a.want(200, `[2]`, "GET", "subjects/ref/versions/1/referencedby", "")
	a.want(422, `{"error_code":42206}`, "DELETE", "subjects/ref", "")
	a.want(422, `{"error_code":42206}`, "DELETE", "subjects/ref/versions/1", "")
	a.want(422, `{"error_code":42201}`, "POST", "subjects/other/versions", strings.Replace(uses, `"version":1`, `"version":7`, 1))
	a.want(200, `[1]`, "DELETE", "subjects/top", "")
	a.want(200, `[1]`, "DELETE", "subjects/ref", "")
	a.want(422, `{"error_code":42206}`, "DELETE", "subjects/ref?permanent=true", "")
	a.want(200, `[1]`, "DELETE", "subjects/top?permanent=true", "")
	a.want(200, `[1]`, "DELETE", "subjects/ref?permanent=true", "")
}

func TestReferences_Ring(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `{"id":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	uses := func(s string) string {
		return `{"schema":"{\"type\":\"record\",\"name\":\"` + strings.ToUpper(s) + `X\",\"fields\":[]}","references":[{"name":"n","subject":"` + s + `","version":-1}]}`
	}
	a.want(200, `{"id":2}`, "POST", "subjects/b/versions", uses("a"))
	a.want(200, `{"compatibility":"NONE"}`, "PUT", "config", `{"compatibility":"NONE"}`)
	_, _ = a.do("POST", "subjects/a/versions", uses("b"))
	a.want(422, `ring`, "POST", "subjects/c/versions", uses("a"))
}

func TestSettings(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `{"compatibilityLevel":"BACKWARD"}`, "GET", "config", "")
	a.want(404, `{"error_code":40408}`, "GET", "config/a", "")
	a.want(200, `{"compatibilityLevel":"BACKWARD"}`, "GET", "config/a?defaultToGlobal=true", "")
	a.want(422, `{"error_code":42203}`, "PUT", "config/a", `{"compatibility":"SIDEWAYS"}`)
	a.want(200, `{"compatibility":"FULL"}`, "PUT", "config/a", `{"compatibility":"FULL"}`)
	a.want(200, `{"compatibilityLevel":"FULL"}`, "GET", "config/a", "")
	a.want(200, `{"normalize":true}`, "PUT", "config/a", `{"normalize":true}`)
	a.want(200, `{"compatibilityLevel":"FULL","normalize":true}`, "GET", "config/a", "")
	a.want(200, `{"compatibilityLevel":"FULL"}`, "DELETE", "config/a", "")
	a.want(404, `{"error_code":40401}`, "DELETE", "config/a", "")

	a.want(200, `{"mode":"READWRITE"}`, "GET", "mode", "")
	a.want(404, `{"error_code":40409}`, "GET", "mode/a", "")
	a.want(422, `{"error_code":42204}`, "PUT", "mode", `{"mode":"SOMETIMES"}`)
	a.want(200, `{"mode":"READONLY"}`, "PUT", "mode/a", `{"mode":"READONLY"}`)
	a.want(422, `{"error_code":42205}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(200, `{"id":1}`, "POST", "subjects/b/versions", avroRecord("x"))
	a.want(200, `{"mode":"READONLY"}`, "DELETE", "mode/a", "")
	a.want(422, `{"error_code":42205}`, "PUT", "mode/b", `{"mode":"IMPORT"}`)
	a.want(422, `{"error_code":42205}`, "POST", "subjects/i/versions", strings.Replace(avroRecord("q"), `{"`, `{"id":70,"version":5,"`, 1))
	a.want(200, `{"mode":"IMPORT"}`, "PUT", "mode/i", `{"mode":"IMPORT"}`)
	a.want(200, `{"id":70,"version":5}`, "POST", "subjects/i/versions", strings.Replace(avroRecord("q"), `{"`, `{"id":70,"version":5,"`, 1))
	a.want(422, `{"error_code":42205}`, "POST", "subjects/i/versions", strings.Replace(avroRecord("w"), `{"`, `{"id":70,"version":6,"`, 1))
	a.want(422, `{"error_code":42205}`, "POST", "subjects/i/versions", avroRecord("w"))
	a.want(200, `{"id":71}`, "POST", "subjects/j/versions", avroRecord("w"))
	a.want(200, `{"mode":"READONLY_OVERRIDE"}`, "PUT", "mode", `{"mode":"READONLY_OVERRIDE"}`)
	a.want(422, `{"error_code":42205}`, "DELETE", "subjects/b", "")
}

func TestContexts(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `{"id":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(200, `{"id":1}`, "POST", "subjects/:.c:a/versions", avroRecord("y"))
	a.want(200, `{"id":2}`, "POST", "contexts/.c/subjects/b%2Fc/versions", avroRecord("z"))
	a.want(200, `[".",".c"]`, "GET", "contexts", "")
	a.want(200, `[":.c:a",":.c:b/c","a"]`, "GET", "subjects", "")
	a.want(200, `["a"]`, "GET", "subjects?subjectPrefix=", "")
	a.want(200, `[":.c:a",":.c:b/c"]`, "GET", "contexts/.c/subjects", "")
	a.want(200, `{"subject":":.c:a"}`, "GET", "contexts/.c/schemas/ids/1", "")
	a.want(200, `{"subject":":.c:b/c","id":2}`, "GET", "subjects/:.c:b%2Fc/versions/1", "")
	a.want(200, `{"compatibility":"NONE"}`, "PUT", "config/:.c:", `{"compatibility":"NONE"}`)
	a.want(200, `{"compatibilityLevel":"NONE"}`, "GET", "config/:.c:a?defaultToGlobal=true", "")
	a.want(200, `{"compatibilityLevel":"BACKWARD"}`, "GET", "config/a?defaultToGlobal=true", "")
	a.want(422, `{"error_code":42211}`, "DELETE", "contexts/.c", "")
}

func TestMetadata(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	with := func(s, more string) string { return strings.TrimSuffix(s, "}") + "," + more + "}" }
	a.want(200, `{"compatibility":"BACKWARD"}`, "PUT", "config/a",
		`{"compatibility":"BACKWARD","defaultMetadata":{"properties":{"owner":"all","team":"x"}},"overrideMetadata":{"properties":{"team":"must"}}}`)
	a.want(200, `{"id":1,"metadata":{"properties":{"owner":"me","team":"must"}}}`, "POST", "subjects/a/versions", with(avroRecord("x"), `"metadata":{"properties":{"owner":"me"}}`))
	a.want(200, `{"id":2,"version":2}`, "POST", "subjects/a/versions", `{"metadata":{"properties":{"owner":"you"}}}`)
	a.want(200, `{"version":1}`, "GET", "subjects/a/metadata?key=owner&value=me", "")
	a.want(404, `{"error_code":40403}`, "GET", "subjects/a/metadata?key=owner&value=nobody", "")
	rules := `"ruleSet":{"domainRules":[{"name":"r","kind":"CONDITION","mode":"WRITE","type":"CEL","expr":"true","onFailure":"DLQ"}]}`
	a.want(200, `{"id":3,"version":3}`, "POST", "subjects/a/versions", with(avroRecord("x"), rules))
	a.want(200, `"onFailure":"DLQ"`, "GET", "subjects/a/versions/3", "")
	a.want(422, `{"error_code":42210}`, "POST", "subjects/a/versions", with(avroRecord("x"), `"ruleSet":{"domainRules":[{"kind":"CONDITION"}]}`))
	_, guid := a.do("GET", "subjects/a/versions/1", "")
	g := guid[strings.Index(guid, `"guid":"`)+8:][:36]
	a.want(200, `{"metadata":{"properties":{"owner":"me","team":"must"}}}`, "GET", "schemas/guids/"+g, "")
	a.want(200, `[{"context":".","id":1}]`, "GET", "schemas/guids/"+g+"/ids", "")
}

func TestRights(t *testing.T) {
	b := newBroker(t, true)
	root := &broker.Caller{Principal: "alice"}
	reader := broker.User{Name: "bob", Password: "long enough", Grants: []broker.Grant{{Action: broker.ActionDescribe, Kind: broker.KindContract, Pattern: "a*"}}}
	if _, err := b.PutUser(t.Context(), root, reader); err != nil {
		t.Fatal(err)
	}
	a := serve(t, New(b, Default()))
	a.want(401, `{"error_code":401}`, "GET", "subjects", "")
	a.auth = "alice:wonderland"
	a.want(200, `{"id":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(200, `{"id":2}`, "POST", "subjects/b/versions", avroRecord("y"))
	a.auth = "bob:long enough"
	a.want(200, `["a"]`, "GET", "subjects", "")
	a.want(200, `{"version":1}`, "POST", "subjects/a/versions", avroRecord("x"))
	a.want(403, `{"error_code":40301}`, "POST", "subjects/a/versions", avroRecord("x", "z=1"))
	a.want(403, `{"error_code":40301}`, "GET", "subjects/b/versions", "")
	a.want(404, `{"error_code":40403}`, "GET", "schemas/ids/2", "")
	a.want(403, `{"error_code":40301}`, "PUT", "config/a", `{"compatibility":"NONE"}`)
}

// Of many who register at once, all of one content get one id, and ids and versions are dense.
func TestRegister_AtOnce(t *testing.T) {
	a := serve(t, New(newBroker(t, false), Default()))
	a.want(200, `{"compatibility":"NONE"}`, "PUT", "config", `{"compatibility":"NONE"}`)
	var mu sync.Mutex
	answers := map[string]map[string]bool{}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			body := avroRecord(fmt.Sprintf("f%d", i%6))
			status, text := a.do("POST", "subjects/s/versions", body)
			mu.Lock()
			defer mu.Unlock()
			if answers[body] == nil {
				answers[body] = map[string]bool{}
			}
			answers[body][fmt.Sprint(status, text)] = true
		})
	}
	wg.Wait()
	for body, all := range answers {
		if len(all) != 1 {
			t.Errorf("%s: %v", body, all)
		}
	}
	a.want(200, `[1,2,3,4,5,6]`, "GET", "subjects/s/versions", "")
}

func TestContractsOfStreams(t *testing.T) {
	b := newBroker(t, false)
	a := serve(t, New(b, Default()))
	a.want(200, `{"id":1}`, "POST", "subjects/s/versions", aSchema)
	a.want(200, `{"name":"c","enforce":"reject","checked":0}`, "PUT", "contracts/c", `{"stream":"x","subject":"s"}`)
	a.want(422, `off, warn, reject or quarantine`, "PUT", "contracts/d", `{"stream":"x","subject":"s","enforce":"often"}`)
	a.want(404, `{"error_code":40401}`, "PUT", "contracts/d", `{"stream":"x","subject":"nothing"}`)
	_, err := b.AppendEvents(t.Context(), &broker.Caller{}, broker.EventsAppend{AutoCreate: true, Events: []broker.EventEntry{{Stream: "x", Partition: -1, Record: record.Record{Value: []byte("?")}}}})
	if !fault.Is(err, fault.ContractBroken) {
		t.Error(err)
	}
	a.want(200, `{"subject":"s","checked":1,"broken":1}`, "GET", "contracts/c", "")
	a.want(200, `"name":"c"`, "GET", "contracts", "")
	a.want(204, ``, "DELETE", "contracts/c", "")
	a.want(404, `{"error_code":40450}`, "GET", "contracts/c", "")
}
