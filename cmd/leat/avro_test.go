package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"leat/internal/avrofile"
)

// oddLines are records that CloudEvents alone does not give back.
const oddLines = `{"leatref":"odd/0/0","leattimestamp":"1700000000000","leatrecordheaders":"3:a=1&b&a=%FF","leatkeybase64":"/wA=","data_base64":"AAEC"}
{"leatref":"odd/1/0","leattimestamp":"5","leatrecordheaders":"0:"}
{"leatref":"odd/2/7","leattimestamp":"-1","leatrecordheaders":"1:x=","partitionkey":"k","data":""}
`

// A file of Avro has the same records in every codec, in pieces joined to one, and they are the same again when it is imported.
func TestExport_Avro(t *testing.T) {
	url, _ := realNode(t, "")
	c := cli{url: url}
	c.must(t, "", "stream create orders --partitions 3")
	var in strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&in, `{"n":%d,"text":%q}`+"\n", i, strings.Repeat("x", i%700))
	}
	c.must(t, in.String(), "publish orders --lines --type t")
	c.must(t, oddLines, "stream import orders -f -")
	want := c.must(t, "", "stream export orders")
	var plain int
	for _, codec := range []string{avrofile.Null, avrofile.Deflate, avrofile.Zstd} {
		file := c.must(t, "", "stream export orders --format avro --codec "+codec)
		if plain = max(plain, len(file)); codec != avrofile.Null && len(file) > plain/3 {
			t.Errorf("%s: %d bytes of %d", codec, len(file), plain)
		}
		r, err := avrofile.NewReader(bufio.NewReader(strings.NewReader(file)))
		if err != nil || r.Codec != codec {
			t.Fatal(err)
		}
		records := 0
		for {
			n, data, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if data, err = r.Inflate(data); err != nil || n == 0 || len(data) == 0 {
				t.Fatal(err, n)
			}
			records += n
		}
		if records != 2503 {
			t.Errorf("%s: %d records", codec, records)
		}
		name := "copy-" + codec
		if out := c.must(t, file, "stream import "+name+" --partitions 3 -f -"); !strings.Contains(out, "imported\t2503\n") {
			t.Fatal(out)
		}
		lines := func(s, stream string) map[string]int {
			m := map[string]int{}
			for l := range strings.SplitSeq(strip(s, stream), "\n") {
				m[l]++
			}
			return m
		}
		a, b := lines(want, "orders"), lines(c.must(t, "", "stream export "+name), name)
		for l, n := range a {
			l = strings.ReplaceAll(l, "/streams/orders", "/streams/"+name)
			if b[l] != n && !strings.Contains(l, `"id":"`+"orders/") { // an id that was made of the ref is another
				t.Fatalf("%s: not in the copy: %s", codec, l)
			}
		}
		if out := c.must(t, file, "stream import "+name+" -f -"); !strings.Contains(out, "imported\t0\n") {
			t.Errorf("again: %s", out)
		}
		if _, errs, code := c.run(context.Background(), file[:len(file)-9], "stream", "import", "cut", "--partitions", "3", "-f", "-"); code == exitOK || !strings.Contains(errs, "behind record") {
			t.Errorf("cut short: %d %s", code, errs)
		}
		foreign := bytes.Replace([]byte(file), []byte(`"offset"`), []byte(`"offsat"`), 1)
		if _, errs, code := c.run(context.Background(), string(foreign), "stream", "import", "cut", "-f", "-"); code == exitOK || !strings.Contains(errs, "leat.Record") {
			t.Errorf("other records: %d %s", code, errs)
		}
		readByPython(t, file)
	}
	for _, args := range []string{"--format csv", "--codec zstandard", "--format avro --codec snappy"} {
		if _, _, code := c.run(context.Background(), "", strings.Fields("stream export orders "+args)...); code != exitUsage {
			t.Errorf("%s: exit %d", args, code)
		}
	}
	empty := c.must(t, "", "stream export orders --format avro --from latest")
	if _, err := avrofile.NewReader(strings.NewReader(empty)); err != nil {
		t.Error(err)
	}
}

// readByPython reads a file with fastavro, where there is one.
func readByPython(t *testing.T, file string) {
	t.Helper()
	const script = `
import sys, json
try:
    import fastavro
except ImportError:
    sys.exit(3)
rs = list(fastavro.reader(open(sys.argv[1], "rb")))
odd = [r for r in rs if r["timestamp"].timestamp() * 1000 in (1700000000000, 5, -1)]
print(json.dumps({"records": len(rs), "odd": [[r["partition"], r["key"] and r["key"].hex(), [[h["name"], h["value"] if h["value"] is None else h["value"].hex()] for h in r["headers"]], r["value"] if r["value"] is None else r["value"].hex()] for r in sorted(odd, key=lambda r: r["partition"])]}))
`
	path := filepath.Join(t.TempDir(), "x.avro")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		python = "python3"
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", script, path).Output()
	if err != nil {
		t.Logf("not read by fastavro: %v", err) // no Python, or no fastavro
		return
	}
	var got struct {
		Records int
		Odd     json.RawMessage
	}
	if err := json.Unmarshal(out, &got); err != nil || got.Records != 2503 {
		t.Fatalf("%s %v", out, err)
	}
	if want := `[[0, "ff00", [["a", "31"], ["b", null], ["a", "ff"]], "000102"], [1, null, [], null], [2, "6b", [["x", ""]], "2222"]]`; string(got.Odd) != want {
		t.Errorf("fastavro reads %s; want %s", got.Odd, want)
	}
}
