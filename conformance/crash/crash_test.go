package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Runs that are short enough for every change: about twenty kills each, five in the last one. make crash is the long one. In the second one events leave
// the journal all the time, and streams are truncated; in the third one clients of SQS are at work; in the last one contracts put aside what breaks them.
func TestKillLoop_NothingAcknowledgedIsLost(t *testing.T) {
	dir := t.TempDir()
	leat := filepath.Join(dir, "leat")
	build := exec.Command("go", "build", "-o", leat, "./cmd/leat")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for i, config := range []string{smallFiles, smallWindows, smallFiles, smallFiles} {
		var said strings.Builder
		o := options{
			queues: i == 2, aside: i == 3,
			leat: leat, seed: uint64(time.Now().UnixNano() % 1_000_000), cycles: 25, within: 10 * time.Second, producers: 8, life: 600 * time.Millisecond,
			checkEvery: 6, config: config, keeping: config == smallWindows, out: &said,
		}
		if o.aside {
			o.cycles, o.life = 5, 300*time.Millisecond
		}
		if err := runIn(context.Background(), o); err != nil {
			t.Fatalf("%s%v", &said, err)
		}
		t.Log(said.String())
	}
}

// history is a right one: two events of "a" in partition 0, one of "b" in partition 1 of a versioned stream.
func rightHistory() (map[partitionOf][]stored, []promise, map[string]rules) {
	const seed = 1
	ev := func(stream string, partition int32, offset int64, key, producer string, seq int) stored {
		return stored{place{stream, partition, offset}, key, payload(seed, producer, seq)}
	}
	h := map[partitionOf][]stored{
		{"single", 0}:          {ev("single", 0, 0, "k", "a", 0), ev("single", 0, 1, "k", "a", 1), ev("single", 0, 2, "k", "a", 2)},
		{conditionalStream, 1}: {ev(conditionalStream, 1, 0, "account", "b", 0), ev(conditionalStream, 1, 1, "account", "b", 1)},
		{"batch", 0}:           {ev("batch", 0, 0, "k", "c", 0), ev("batch", 0, 1, "k", "c", 1)},
	}
	promises := []promise{
		{"a", 0, place{"single", 0, 0}, "k", 0},
		{"a", 1, place{"single", 0, 1}, "k", 0},
		{"b", 0, place{conditionalStream, 1, 0}, "account", 1},
		{"b", 1, place{conditionalStream, 1, 1}, "account", 2},
	}
	all := map[string]rules{
		"a": {unique: true, ordered: true, streams: 1}, "b": {unique: true, ordered: true, streams: 1},
		"c": {unique: true, ordered: true, streams: 1, group: 2},
	}
	return h, promises, all
}

// The checker must notice each thing that can be wrong, and nothing else.
func TestCheck_NoticesEachWrong(t *testing.T) {
	single, conditional, batch := partitionOf{"single", 0}, partitionOf{conditionalStream, 1}, partitionOf{"batch", 0}
	for name, c := range map[string]struct {
		spoil func(h map[partitionOf][]stored, p []promise) []promise
		want  string
	}{
		"nothing": {func(_ map[partitionOf][]stored, p []promise) []promise { return p }, ""},
		"a lost event at the end": {func(h map[partitionOf][]stored, p []promise) []promise {
			h[conditional] = h[conditional][:1]
			return p
		}, "LOST: b 1"},
		"a hole": {func(h map[partitionOf][]stored, p []promise) []promise {
			h[single] = append(h[single][:1:1], h[single][2])
			return p
		}, "offset 2 follows 0"},
		"a changed byte": {func(h map[partitionOf][]stored, p []promise) []promise {
			h[single][0].data = "a 0 x" + h[single][0].data[5:]
			return p
		}, "nobody sent"},
		"a changed key": {func(h map[partitionOf][]stored, p []promise) []promise {
			h[single][0].key = "other"
			return p
		}, "LOST: a 0"},
		"a duplicate": {func(h map[partitionOf][]stored, p []promise) []promise {
			e := h[single][0]
			e.at.offset = 3
			h[single] = append(h[single], e)
			return p
		}, "a 0 is stored 2 times"},
		"wrong order": {func(h map[partitionOf][]stored, p []promise) []promise {
			s := h[single]
			s[1].data, s[2].data = s[2].data, s[1].data
			return p[2:]
		}, "a 1 comes after 2"},
		"half a batch": {func(h map[partitionOf][]stored, p []promise) []promise {
			h[batch] = h[batch][:1]
			return p
		}, "of group 0 of c, 1 of 2"},
		"a version twice": {func(_ map[partitionOf][]stored, p []promise) []promise {
			p[3].version = 1
			return p
		}, "version 1 of key account was given to"},
		"a version that is not there": {func(_ map[partitionOf][]stored, p []promise) []promise {
			p[3].version = 3
			return p
		}, "version 3 of key account was answered, but the key has 2"},
	} {
		t.Run(name, func(t *testing.T) {
			h, promises, all := rightHistory()
			promises = c.spoil(h, promises)
			got := strings.Join(newChecker(1).check(h, promises, all, nil).wrong, "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

// What a reader was given once must be there for ever, acknowledged or not.
func TestCheck_NoticesWhatVanishedSinceTheLastCheck(t *testing.T) {
	h, promises, all := rightHistory()
	c := newChecker(1)
	if r := c.check(h, promises, all, nil); len(r.wrong) > 0 {
		t.Fatal(r.wrong)
	}
	single := partitionOf{"single", 0}
	h[single] = h[single][:2] // a 2 was never promised
	got := strings.Join(c.check(h, promises, all, nil).wrong, "\n")
	if !strings.Contains(got, "3 events were read before, now there are 2") {
		t.Errorf("got %q", got)
	}
}

func TestFollowedRight_NoticesGapsAndRepeats(t *testing.T) {
	places := map[string]place{"a": {"s", 0, 0}, "b": {"s", 0, 1}, "c": {"s", 1, 0}}
	for name, c := range map[string]struct {
		got  []string
		want string
	}{
		"right":    {[]string{"a", "c", "b"}, ""},
		"repeated": {[]string{"a", "c", "a", "b"}, "was given s/0/0, next is offset 1"},
		"missing":  {[]string{"c", "b"}, "was given s/0/1, next is offset 0"},
		"short":    {[]string{"a", "c"}, "2 events, 3 are stored"},
		"foreign":  {[]string{"a", "b", "c", "d"}, "which is not stored"},
	} {
		r := &report{}
		followedRight("s", c.got, places, 3, r)
		got := strings.Join(r.wrong, "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", name, got, c.want)
		}
	}
}

// What was truncated comes back from earlier readings; a partition must begin where the truncation was answered.
func TestTrimmer_CompletesAndNotices(t *testing.T) {
	part := partitionOf{trimmedStreams[0], 0}
	whole := make([]stored, 6)
	for i := range whole {
		whole[i] = stored{place{part.stream, part.partition, int64(i)}, "k", fmt.Sprint(i)}
	}
	for name, c := range map[string]struct {
		start int64
		read  []stored
		want  string
	}{
		"right":         {2, whole[2:], ""},
		"not truncated": {2, whole[1:], "begins at offset 1, want 2"},
		"too far":       {2, whole[3:], "begins at offset 3, want 2"},
		"all gone":      {2, nil, "is empty, and was truncated before 2 of 4"},
	} {
		tr := &trimmer{seen: map[partitionOf][]stored{part: whole[:4]}, start: map[partitionOf]int64{part: c.start}}
		h := map[partitionOf][]stored{part: c.read}
		got := strings.Join(tr.complete(h), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", name, got, c.want)
		}
		if c.want == "" && !slices.Equal(h[part], whole) {
			t.Errorf("%s: completed to %v", name, h[part])
		}
	}
}
