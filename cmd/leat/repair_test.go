package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leat/node"
)

// flip changes a byte in the middle of a file.
func flip(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// stored returns the files of a kind of the one shard.
func stored(t *testing.T, data, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(data, "shard-0", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names
}

func damages(t *testing.T, args ...string) (found []map[string]any, code int) {
	t.Helper()
	out, errs, code := (cli{}).run(context.Background(), "", append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %v: %s %s", args, err, out, errs)
	}
	return found, code
}

func TestStreamVerify(t *testing.T) {
	data, _ := golden(t, "v2")
	c := cli{}
	if found, code := damages(t, "stream", "verify", "--data", data); len(found) != 0 || code != exitOK {
		t.Fatalf("exit %d: %v", code, found)
	}
	c.must(t, "", "stream verify orders --data "+data)
	for _, bad := range []string{stored(t, data, "segments/*.seg")[0], stored(t, data, "keys/*.idx")[0], stored(t, data, "segments/*.dir")[2]} {
		was := mustRead(t, bad)
		flip(t, bad)
		found, code := damages(t, "stream", "verify", "--data", data)
		if code != exitFailed || len(found) == 0 || !strings.HasSuffix(filepath.ToSlash(bad), found[0]["file"].(string)) {
			t.Errorf("%s: exit %d: %v", bad, code, found)
		}
		if strings.HasSuffix(bad, ".seg") && (found[0]["stream"] != "orders" || found[0]["next"].(float64) <= found[0]["base"].(float64)) {
			t.Errorf("%s: %v", bad, found)
		}
		if err := os.WriteFile(bad, []byte(was), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for args, code := range map[string]int{
		"stream verify": exitUsage, "stream verify nothing --data " + data: exitFailed, "stream verify --data " + t.TempDir(): exitFailed, "repair": exitUsage,
		"repair --act --data " + data: exitUsage, "repair --data " + data: exitOK,
	} {
		if _, errs, got := c.run(context.Background(), "", strings.Fields(args)...); got != code {
			t.Errorf("leat %s: exit %d: %s", args, got, errs)
		}
	}
}

// TestRepair_Keys: key files are built again from segment files and the journal, and answer as they did: histories, latest, versions.
func TestRepair_Keys(t *testing.T) {
	for name, spoil := range map[string]func(data string) error{
		"a block":      func(data string) error { flip(t, stored(t, data, "keys/*.idx")[0]); return nil },
		"the manifest": func(data string) error { flip(t, stored(t, data, "keys/MANIFEST")[0]); return nil },
		"no manifest":  func(data string) error { return os.Remove(stored(t, data, "keys/MANIFEST")[0]) },
		"a file gone":  func(data string) error { return os.Remove(stored(t, data, "keys/*.idx")[0]) },
		"the folder":   func(data string) error { return os.RemoveAll(filepath.Join(data, "shard-0", "keys")) },
	} {
		t.Run(name, func(t *testing.T) {
			data, asked := golden(t, "v2")
			asked = whole(asked)
			if err := spoil(data); err != nil {
				t.Fatal(err)
			}
			c := cli{}
			if found, code := damages(t, "stream", "verify", "--data", data); code != exitFailed {
				t.Fatalf("not found: %v", found)
			}
			if out := c.must(t, "", "repair --data "+data); !strings.Contains(out, "would be done") {
				t.Error(out)
			}
			if _, code := damages(t, "stream", "verify", "--data", data); code != exitFailed {
				t.Error("something was changed without --act")
			}
			c.must(t, "", "repair --act --yes --data "+data)
			c.must(t, "", "stream verify --data "+data)
			_, url, stop := smallNode(t, data)
			ask(t, url, asked, false)
			appendEverywhere(t, url, 3)
			stop()
			_, url, _ = smallNode(t, data)
			ask(t, url, asked, true)
		})
	}
}

// TestRepair_Terms: types and tags are in the index again, so that nothing is appended that must not be.
func TestRepair_Terms(t *testing.T) {
	data := t.TempDir()
	_, url, stop := smallNode(t, data)
	first := stored(t, data, "journal/*.log")[0]
	c := cli{url: url}
	c.must(t, "", "stream create users --set tags=true")
	c.must(t, "", "publish users ann --type user.registered --tag name:ann")
	c.must(t, "", "publish users bob --tag name:bob")
	c.must(t, strings.Repeat(strings.Repeat("x", 100)+"\n", 4000), "publish load --lines")
	eventually(t, "the journal has let go of the first events", func() bool { return !slices.Contains(stored(t, data, "journal/*.log"), first) })
	stop()
	if err := os.RemoveAll(filepath.Join(data, "shard-0", "keys")); err != nil {
		t.Fatal(err)
	}
	if out := c.must(t, "", "repair --act --yes --data "+data); !strings.Contains(out, "built again") {
		t.Fatal(out)
	}
	_, url, _ = smallNode(t, data)
	c.url = url
	for unless, place := range map[string]string{
		"type=user.registered tag=name:ann": "users/0/0", "tag=name:bob": "users/0/1",
	} {
		if _, errs, code := c.run(t.Context(), "", "publish", "users", "again", "--unless", unless); code != 6 || !strings.Contains(errs, place) {
			t.Errorf("unless %s: exit %d: %s", unless, code, errs)
		}
	}
	if out := c.must(t, "", "read users --tag name:ann"); strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
}

// TestRepair_SegmentsFromArchive: damaged segment files come back from the archive; without one, what is lost is told.
func TestRepair_SegmentsFromArchive(t *testing.T) {
	data, asked := golden(t, "v2")
	asked = whole(asked)
	place := "file://" + filepath.ToSlash(t.TempDir())
	_, url, stop := smallNode(t, data, func(c *node.Config) { c.Archive.URL = place })
	appendEverywhere(t, url, 3)
	admin(url).must(t, "", "archive checkpoint"+asAdmin)
	stop()

	c := cli{}
	first := stored(t, data, "segments/*.seg")
	flip(t, first[0])
	if err := os.Remove(first[1]); err != nil {
		t.Fatal(err)
	}
	flip(t, stored(t, data, "segments/*.dir")[2])
	flip(t, stored(t, data, "keys/*.idx")[0])
	if out, errs, code := c.run(context.Background(), "", "repair", "--data", data); code != exitFailed || !strings.Contains(out, "leat.system\t0\t0") {
		t.Errorf("without an archive: exit %d: %s %s", code, out, errs)
	}
	if out := c.must(t, "", "repair --data "+data+" --from "+place); strings.Count(out, "from the archive") != 3 {
		t.Errorf("would do %s", out)
	}
	c.must(t, "", "repair --act --yes --data "+data+" --from "+place)
	c.must(t, "", "stream verify --data "+data)
	_, url, _ = smallNode(t, data)
	ask(t, url, asked, true)
}

// TestOpen_DeletedFolders: what the journal has let go of is not made up. The node says which folder is gone and what to do.
func TestOpen_DeletedFolders(t *testing.T) {
	for folder, want := range map[string]string{"state-2": "leat restore", "keys": "leat repair"} {
		data, _ := golden(t, "v2")
		if err := os.RemoveAll(filepath.Join(data, "shard-0", folder)); err != nil {
			t.Fatal(err)
		}
		n, err := node.Open(node.Options{Data: data, Config: node.DefaultConfig(protocols()), Protocols: protocols(), Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			t.Fatal(folder, "is gone, and the node opens", n.Stop())
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "folder "+folder+" ") {
			t.Errorf("%s: %v", folder, err)
		}
	}
	// Of format 1 the journal is whole: everything is built again.
	data, asked := golden(t, "v1")
	_, _, stop := smallNode(t, data)
	stop()
	for _, folder := range []string{"state-2", "keys", "segments"} {
		if err := os.RemoveAll(filepath.Join(data, "shard-0", folder)); err != nil {
			t.Fatal(err)
		}
	}
	_, url, _ := smallNode(t, data)
	ask(t, url, asked, false)
}
