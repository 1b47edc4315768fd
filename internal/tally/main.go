// Tally runs the tests of one or more modules and says at the end how many passed, failed and were skipped, and why.
//
// # What
//
// go test hides skipped tests. A conformance test that is skipped because its peer (kcat, a Java client) is missing has not passed,
// so tally names each, and counts it, in its closing line.
//
// # Promises
//
// It exits 0 only when every module could be built and no test failed. The output of a test that failed is shown whole; that of a test
// that passed is not. When the race detector cannot be had, that is said at the start and at the end.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// main, then tally.read, which is fed with what `go test -json` prints.
//
// # How tested
//
// main_test.go: a stream of events in, a report out.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// lineBytesMax is the longest line of go test -json that is understood; a test that prints more on one line is cut off by go itself.
const lineBytesMax = 16 << 20

func main() {
	short := flag.Bool("short", true, "run the short tests only")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: tally [-short=false] MODULE_DIR...")
		flag.PrintDefaults()
	}
	flag.Parse()
	t := newTally(os.Stdout)
	race := raceIsThere()
	if !race {
		fmt.Println("NO RACE DETECTOR: no C compiler here, so the tests run without -race. Install gcc or clang to have them run with it.")
	}
	for _, dir := range flag.Args() {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			t.skip(dir, "no module here")
			continue
		}
		t.run(dir, race, *short)
	}
	if !race {
		t.skip("race detector", "no C compiler")
	}
	if !t.report() {
		os.Exit(1)
	}
}

// raceIsThere reports whether -race can be used: it needs cgo, hence a C compiler.
func raceIsThere() bool {
	cc, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return false
	}
	words := strings.Fields(string(cc))
	if len(words) == 0 {
		return false
	}
	_, err = exec.LookPath(words[0])
	return err == nil
}

// event is a line of go test -json; go doc test2json describes it.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Elapsed    float64
	Output     string
}

// tally counts tests and keeps what has to be shown.
type tally struct {
	out     io.Writer
	passed  int
	failed  []string
	skipped []string
	output  map[string][]string // of tests that are still running
}

func newTally(out io.Writer) *tally { return &tally{out: out, output: map[string][]string{}} }

func (t *tally) skip(what, why string) { t.skipped = append(t.skipped, what+": "+why) }

// run runs the tests of the module in dir.
func (t *tally) run(dir string, race, short bool) {
	args := []string{"test", "-json", "-timeout=20m"}
	env := os.Environ()
	if race {
		args, env = append(args, "-race"), append(env, "CGO_ENABLED=1")
	}
	if short {
		args = append(args, "-short")
	}
	cmd := exec.Command("go", append(args, "./...")...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.failed = append(t.failed, dir+": "+err.Error())
		return
	}
	before := len(t.failed)
	if err := t.read(pipe); err != nil {
		t.failed = append(t.failed, dir+": reading go test: "+err.Error())
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && (!errors.As(err, &exit) || len(t.failed) == before) {
		t.failed = append(t.failed, dir+": go test: "+err.Error())
	}
}

// read takes events until the stream ends.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(t.out, lines.Text()) // not an event: go itself has something to say
			continue
		}
		t.take(e)
	}
	return lines.Err()
}

func (t *tally) take(e event) {
	name := e.Package
	if e.Test != "" {
		name += " " + e.Test
	}
	switch e.Action {
	case "output":
		t.output[name] = append(t.output[name], e.Output)
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "build-fail":
		t.failed = append(t.failed, e.ImportPath+" does not build")
	case "pass":
		if e.Test != "" {
			t.passed++
		} else {
			fmt.Fprintf(t.out, "ok    %-50s %6.1fs\n", e.Package, e.Elapsed)
		}
		delete(t.output, name)
	case "fail":
		t.fail(e, name)
	case "skip":
		if e.Test != "" { // a package without tests is skipped too; that is not news
			t.skip(name, reason(t.output[name]))
		}
		delete(t.output, name)
	}
}

func (t *tally) fail(e event, name string) {
	if e.Test == "" {
		fmt.Fprintf(t.out, "FAIL  %-50s %6.1fs\n", e.Package, e.Elapsed)
		if !t.failedIn(e.Package) {
			t.failed = append(t.failed, name) // it died outside a test; its own output says why
		}
	} else {
		t.failed = append(t.failed, name)
	}
	fmt.Fprint(t.out, strings.Join(t.output[name], ""))
	delete(t.output, name)
}

func (t *tally) failedIn(pkg string) bool {
	for _, f := range t.failed {
		if strings.HasPrefix(f, pkg+" ") {
			return true
		}
	}
	return false
}

// reason is what the test gave to t.Skip: the last line that is not go's own. A line is "    file_test.go:12: why".
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		line := strings.TrimSpace(output[i])
		if line == "" || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "=== ") {
			continue
		}
		if _, why, ok := strings.Cut(line, ": "); ok {
			return why
		}
		return line
	}
	return "no reason given"
}

// report prints what was skipped and what failed and the closing line, and reports whether all is well.
func (t *tally) report() bool {
	sort.Strings(t.skipped)
	for _, s := range t.skipped {
		fmt.Fprintln(t.out, "SKIPPED", s)
	}
	for _, f := range t.failed {
		fmt.Fprintln(t.out, "FAILED ", f)
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, len(t.failed), len(t.skipped))
	return len(t.failed) == 0
}
