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
// The tests of all packages share a machine that may be busy with something else. A test that failed runs once more, by itself, when all others
// are through. If it passes then, it is unsteady: it is named and counted in the closing line, as a defect of the test to be mended, and
// does not stop a landing that has nothing to do with it. More than unsteadyMax of them do, and there is no second run for a data race,
// for a package that died or did not build.
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
	"slices"
	"sort"
	"strings"
)

// unsteadyMax is how many tests may pass at their second run only. More is no accident.
const unsteadyMax = 5

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
	t.runAgain(race, *short)
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
	out      io.Writer
	passed   int
	failed   []string
	unsteady []string
	skipped  []string
	output   map[string][]string // of tests that are still running
	dir      string              // the module that runs
	again    []again             // what may have failed by accident
	running  map[string]int      // tests, by package
	grave    map[string]bool     // packages that get no second run
}

// again is a test that runs once more.
type again struct{ dir, pkg, test string }

func newTally(out io.Writer) *tally {
	return &tally{out: out, output: map[string][]string{}, running: map[string]int{}, grave: map[string]bool{}}
}

func (t *tally) skip(what, why string) { t.skipped = append(t.skipped, what+": "+why) }

// run runs the tests of the module in dir.
func (t *tally) run(dir string, race, short bool) {
	t.dir = dir
	before := len(t.failed)
	err := t.goTest(dir, race, short, "./...")
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || len(t.failed) == before) {
		t.failed = append(t.failed, dir+": "+err.Error())
	}
}

func (t *tally) goTest(dir string, race, short bool, more ...string) error {
	args := []string{"test", "-json", "-timeout=20m"}
	env := os.Environ()
	if race {
		args, env = append(args, "-race"), append(env, "CGO_ENABLED=1")
	}
	if short {
		args = append(args, "-short")
	}
	cmd := exec.Command("go", append(args, more...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := t.read(pipe); err != nil {
		t.failed = append(t.failed, dir+": reading go test: "+err.Error())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return nil
}

// runAgain gives tests that failed their second run.
func (t *tally) runAgain(race, short bool) {
	if len(t.again) > unsteadyMax {
		return
	}
	for _, a := range t.again {
		if t.grave[a.pkg] {
			continue
		}
		fmt.Fprintf(t.out, "AGAIN %s %s, by itself\n", a.pkg, a.test)
		second := newTally(t.out)
		if err := second.goTest(a.dir, race, short, "-count=1", "-run", "^"+a.test+"$", a.pkg); err == nil {
			t.forgive(a, second)
		}
	}
}

// forgive takes a test from those that failed, which passed at its second run.
func (t *tally) forgive(a again, second *tally) {
	if len(second.failed) > 0 || second.passed == 0 {
		return
	}
	name := a.pkg + " " + a.test
	t.failed = slices.DeleteFunc(t.failed, func(f string) bool { return f == name || strings.HasPrefix(f, name+"/") })
	t.unsteady = append(t.unsteady, name)
	t.passed++
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
	case "run":
		t.running[e.Package]++
	case "pass", "fail", "skip":
		if e.Test != "" {
			t.running[e.Package]--
		}
	}
	switch e.Action {
	case "output":
		t.grave[e.Package] = t.grave[e.Package] || grave(e.Output)
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
		t.grave[e.Package] = t.grave[e.Package] || t.running[e.Package] > 0
		fmt.Fprintf(t.out, "FAIL  %-50s %6.1fs\n", e.Package, e.Elapsed)
		if !t.failedIn(e.Package) {
			t.failed = append(t.failed, name) // it died outside a test; its own output says why
		}
	} else {
		t.failed = append(t.failed, name)
		if !strings.Contains(e.Test, "/") {
			t.again = append(t.again, again{t.dir, e.Package, e.Test})
		}
	}
	fmt.Fprint(t.out, strings.Join(t.output[name], ""))
	delete(t.output, name)
}

// grave reports whether a line of output tells what a second run does not undo: a data race is there whether it shows again or not, and of a
// package that died the other tests have not run. Such a line may be ascribed to any test that ran at that time.
func grave(line string) bool {
	return strings.HasPrefix(line, "WARNING: DATA RACE") || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
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
	for _, u := range t.unsteady {
		fmt.Fprintln(t.out, "UNSTEADY", u)
	}
	for _, f := range t.failed {
		fmt.Fprintln(t.out, "FAILED ", f)
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped", t.passed, len(t.failed), len(t.skipped))
	if len(t.unsteady) > 0 {
		fmt.Fprintf(t.out, "; %d of those that passed needed a second run", len(t.unsteady))
	}
	fmt.Fprintln(t.out)
	return len(t.failed) == 0
}
