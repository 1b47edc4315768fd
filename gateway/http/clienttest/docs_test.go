package clienttest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// followed is curl's status when its time is up, which is how a follower ends here.
const followed = 28

// Every command of docs/http.md does what it says. They run in their order, on one node; what the prose supposes to be there is published
// first.
func TestDocs_CommandsWork(t *testing.T) {
	for _, program := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not installed, so the commands of docs/http.md were NOT tested", program)
		}
	}
	text, err := os.ReadFile("../../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	node := strings.TrimPrefix(start(t), "http://")
	before := []string{
		"curl localhost:8080/v1/streams/payments/events -d x",
		`for v in none 1 2 3 4 5 6 7 8 9 10 11; do curl localhost:8080/v1/streams/stock/events -H 'leat-key: item-7' -H "leat-expected-version: $v" -d x; done`,
	}
	n, token, next := 0, "", ""
	for _, block := range append(before, blocks(string(text))...) {
		for _, command := range commands(block) {
			command = strings.ReplaceAll(command, "localhost:8080", node)
			command = strings.ReplaceAll(command, "/orders/0/1234", "/orders/0/0")
			command = strings.ReplaceAll(command, "=orders/0/1234", "=orders/0/2") // truncated by then
			command = strings.ReplaceAll(command, "$TOKEN", token)
			command = strings.ReplaceAll(command, `"after":"AQAHBP____8P_____w8"`, `"after":"`+next+`"`) // a position of a node is of no use to another
			script := `curl() { command curl -sS --fail-with-body --max-time 2 "$@" || exit $?; }` + "\n" + command
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput()
			cancel()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == followed && strings.Contains(string(out), "retry: ") {
				err = nil
			}
			if err != nil {
				t.Errorf("%s\n%v: %s", command, err, out)
			}
			if _, rest, ok := strings.Cut(string(out), `"token":"`); ok {
				token, _, _ = strings.Cut(rest, `"`)
			}
			if _, rest, ok := strings.Cut(string(out), `"next":"`); ok {
				next, _, _ = strings.Cut(rest, `"`)
			}
			n++
		}
	}
	if n < 25 {
		t.Errorf("only %d commands were found in docs/http.md", n)
	}
}

// blocks are the parts of the page that are marked as shell.
func blocks(text string) (out []string) {
	for _, part := range strings.Split(text, "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		out = append(out, block)
	}
	return out
}

// commands are the pieces of a block that begin with a command at the start of a line.
func commands(block string) (out []string) {
	for line := range strings.SplitSeq(block, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "curl ") || strings.HasPrefix(line, "for ") || len(out) == 0:
			out = append(out, line)
		default:
			out[len(out)-1] += "\n" + line
		}
	}
	return out
}
