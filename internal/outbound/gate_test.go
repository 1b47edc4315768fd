package outbound

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world drives a gate by words, one line a step, and writes down what it does.
type world struct {
	g     *gate
	now   time.Time
	out   []ticket
	story strings.Builder
}

// run takes steps: "enter", "alive N", "failed N", "declined N", "throttled N [hold]", "gone N", "nothing N", "unused N", "wait D", "pause", "resume".
// N numbers tickets in the order they were given.
func (w *world) run(steps string) string {
	for line := range strings.SplitSeq(strings.TrimSpace(steps), "\n") {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		arg := func(i int) string {
			if i < len(f) {
				return f[i]
			}
			return ""
		}
		var n int
		fmt.Sscan(arg(1), &n)
		hold, _ := time.ParseDuration(arg(2))
		said := ""
		switch f[0] {
		case "enter":
			t, wait, ok := w.g.enter(w.now)
			switch {
			case ok && t.probe:
				said = fmt.Sprintf("probe %d", len(w.out))
			case ok:
				said = fmt.Sprintf("ticket %d", len(w.out))
			case wait == forever:
				said = "until something changes"
			default:
				said = "in " + wait.Round(time.Millisecond).String()
			}
			if ok {
				w.out = append(w.out, t)
			}
		case "wait":
			d, _ := time.ParseDuration(f[1])
			w.now = w.now.Add(d)
		case "pause":
			c, _ := w.g.pause(w.now, "told to")
			said = told(c, c.Seq > 0)
		case "resume":
			c, ok := w.g.resume(w.now)
			said = told(c, ok)
		case "unused":
			w.g.unused(w.out[n])
		default:
			s := map[string]signal{"alive": alive, "failed": failed, "declined": declined, "throttled": throttled, "gone": gone, "nothing": nothing}[f[0]]
			c, ok := w.g.leave(w.now, w.out[n], s, hold, "because")
			said = told(c, ok)
		}
		fmt.Fprintf(&w.story, "%s: %s\n", line, said)
	}
	return w.story.String()
}

func told(c Change, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%v to %v, %s", c.From, c.To, c.Why)
}

func story(t *testing.T, p Policy, script string) {
	t.Helper()
	var steps, want []string
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		step, answer, _ := strings.Cut(line, ":")
		steps, want = append(steps, step), append(want, step+":"+answer)
	}
	w := &world{g: newGate(p, 1), now: noon}
	got := strings.Split(strings.TrimSpace(w.run(strings.Join(steps, "\n"))), "\n")
	for i := range want {
		if strings.TrimSpace(got[i]) != strings.TrimSpace(want[i]) {
			t.Fatalf("step %d: got  %q\n        want %q", i+1, got[i], want[i])
		}
	}
	if w.g.inflight < 0 {
		t.Errorf("%d under way", w.g.inflight)
	}
}

// plain has no spread, so that stories can name times.
func plain() Policy {
	p := DefaultPolicy()
	p.Concurrency, p.FailuresMax, p.OpenFirst, p.OpenMost, p.PauseAfter = 4, 3, 10*time.Second, 40*time.Second, time.Hour
	return p
}

func TestGate_GrowsWithSuccessUpToItsConcurrency(t *testing.T) {
	story(t, plain(), `
		enter: ticket 0
		enter: until something changes
		alive 0: -
		enter: ticket 1
		enter: ticket 2
		enter: until something changes
		alive 1: -
		alive 2: -
		enter: ticket 3
		enter: ticket 4
		enter: ticket 5
		enter: ticket 6
		enter: until something changes
		failed 3: -
		alive 4: -
		enter: ticket 7
		enter: until something changes`)
}

// Deliveries that are not taken, one by one, do not slow the others down; when none is taken any more, it opens.
func TestGate_DeclinedDeliveries(t *testing.T) {
	story(t, plain(), `
		enter: ticket 0
		alive 0: -
		enter: ticket 1
		enter: ticket 2
		declined 1: -
		declined 2: -
		enter: ticket 3
		enter: ticket 4
		alive 3: -
		declined 4: -
		enter: ticket 5
		enter: ticket 6
		enter: ticket 7
		enter: until something changes
		declined 5: -
		declined 6: closed to open, because
		declined 7: -`)
}

func TestGate_OpensProbesAndCloses(t *testing.T) {
	p := plain()
	p.Probes = 2
	g := newGate(p, 1)
	w := &world{g: g, now: noon}
	w.run("enter\nfailed 0\nenter\nfailed 1\nenter\nfailed 2\nenter")
	if g.state != Open || g.opened != 1 {
		t.Fatalf("%v:\n%s", g.state, w.story.String())
	}
	first := g.openUntil.Sub(w.now)
	if first < 10*time.Second || first > 11*time.Second {
		t.Errorf("open for %v", first)
	}
	w.now = g.openUntil
	w.run("enter\nenter") // one probe, and no second beside it
	if g.state != Half || g.inflight != 1 {
		t.Fatalf("%v, %d under way:\n%s", g.state, g.inflight, w.story.String())
	}
	w.run("failed 3")
	if again := g.openUntil.Sub(w.now); g.state != Open || again < 20*time.Second || again > 22*time.Second {
		t.Fatalf("%v for %v", g.state, again)
	}
	w.now = g.openUntil
	w.run("enter\nalive 4\nenter")
	if g.state != Half {
		t.Fatalf("%v after one of two probes", g.state)
	}
	w.run("alive 5")
	if g.state != Closed || g.failures != 0 || g.opened != 0 {
		t.Fatalf("%v:\n%s", g.state, w.story.String())
	}
}

func TestGate_LateAnswersOfAnEarlierStateMoveNothing(t *testing.T) {
	p := plain()
	p.FailuresMax = 1
	g := newGate(p, 1)
	w := &world{g: g, now: noon}
	w.run("enter\nalive 0\nenter\nenter\nfailed 1") // 2 is still out
	if g.state != Open {
		t.Fatal(g.state)
	}
	w.now = g.openUntil
	w.run("enter\nalive 2")
	if g.state != Half {
		t.Errorf("an answer from before it opened made it %v", g.state)
	}
	w.run("enter") // the probe is still out
	if len(w.out) != 4 {
		t.Error("a second probe beside the first")
	}
	w.run("nothing 3\nenter") // the probe said nothing: another one may
	if len(w.out) != 5 || !w.out[4].probe || g.state != Half {
		t.Errorf("%v:\n%s", g.state, w.story.String())
	}
}

func TestGate_PausesAfterNothingButFailures(t *testing.T) {
	p := plain()
	p.OpenFirst, p.OpenMost, p.PauseAfter = time.Second, time.Minute, 10*time.Minute
	g := newGate(p, 1)
	w := &world{g: g, now: noon}
	n := 0
	for g.state != Paused && n < 100 {
		tk, wait, ok := g.enter(w.now)
		if !ok {
			w.now = w.now.Add(wait)
			continue
		}
		w.out = append(w.out, tk)
		w.run(fmt.Sprintf("failed %d", n))
		n++
	}
	if took := w.now.Sub(noon); g.state != Paused || took < 10*time.Minute || took > 12*time.Minute {
		t.Errorf("%v after %v", g.state, took)
	}
	if n > 25 {
		t.Errorf("%d requests to an endpoint that is down for ten minutes", n)
	}
	if _, wait, ok := g.enter(w.now.Add(1000 * time.Hour)); ok || wait != forever {
		t.Errorf("paused, and %v %v", wait, ok)
	}
}

func TestGate_GoneAndHold(t *testing.T) {
	story(t, plain(), `
		enter: ticket 0
		alive 0: -
		enter: ticket 1
		throttled 1 30s: -
		enter: in 30s
		wait 29s:
		enter: in 1s
		wait 1s:
		enter: ticket 2
		throttled 2: -
		enter: in 2s
		wait 2s:
		enter: ticket 3
		gone 3: closed to paused, because
		wait 1h:
		enter: until something changes
		resume: paused to closed, resumed
		enter: ticket 4
		pause: closed to paused, told to
		gone 4: -
		resume: paused to closed, resumed
		resume: -`)
}

func TestGate_RateAndUnusedTickets(t *testing.T) {
	p := plain()
	p.Rate, p.Burst = 10, 2
	story(t, p, `
		enter: ticket 0
		alive 0: -
		enter: ticket 1
		alive 1: -
		enter: in 100ms
		wait 50ms:
		enter: in 50ms
		wait 50ms:
		enter: ticket 2
		unused 2: 
		enter: ticket 3
		alive 3: -
		wait 10s:
		enter: ticket 4
		enter: ticket 5
		enter: in 100ms`)
}

func TestBucket_AClockSetBackStopsNothing(t *testing.T) {
	b := newBucket(10, 1)
	b.take(noon)
	if wait := b.take(noon.Add(-time.Hour)); wait > 100*time.Millisecond {
		t.Errorf("%v", wait)
	}
	if wait := b.take(noon.Add(-time.Hour + 100*time.Millisecond)); wait != 0 {
		t.Errorf("%v", wait)
	}
}

func TestPolicy_Limits(t *testing.T) {
	if err := DefaultPolicy().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Policy){
		"concurrency 0":  func(p *Policy) { p.Concurrency = 0 },
		"concurrency":    func(p *Policy) { p.Concurrency = ConcurrencyMost + 1 },
		"rate below 0":   func(p *Policy) { p.Rate = -1 },
		"rate too low":   func(p *Policy) { p.Rate = 1e-5 },
		"rate":           func(p *Policy) { p.Rate = RateMost + 1 },
		"burst":          func(p *Policy) { p.Burst = BurstMost + 1 },
		"failures 0":     func(p *Policy) { p.FailuresMax = 0 },
		"probes 0":       func(p *Policy) { p.Probes = 0 },
		"open first":     func(p *Policy) { p.OpenFirst = 0 },
		"open most":      func(p *Policy) { p.OpenMost = p.OpenFirst - 1 },
		"pause after":    func(p *Policy) { p.PauseAfter = 1 },
		"pause after, -": func(p *Policy) { p.PauseAfter = -1 },
	} {
		p := DefaultPolicy()
		change(&p)
		if p.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
