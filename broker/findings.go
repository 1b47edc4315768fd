package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Severity is how much a finding matters.
type Severity string

const (
	SeverityFault   Severity = "fault"   // something does not work
	SeverityWarning Severity = "warning" // something will not, if nobody looks after it
	SeverityNote    Severity = "note"    // nothing needs to be done
)

// Finding is one thing that a doctor has to say, and the next command to type.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Next     string   `json:"next"`
}

// What is held against a diagnosis.
const (
	freeLowTimes    = 2   // times the reserve: below that, space is going to be short
	memoryHighParts = 10  // the budget is short when less than one of so many parts is left
	stageCountMin   = 100 // frames before a stage's times mean something
	journalOverPart = 4   // a journal may pass its usual size by one of so many parts
	clockJumpRecent = 24 * time.Hour
	behindNoteMin   = uint64(100_000) // frames
)

// stageSlow is from which p99 on a stage is slow, in ms.
var stageSlow = map[string]float64{"resolve": 250, "inbox": 100, "decide": 50, "journal": 200, "write": 100, "sync": 100, "publish": 100, "release": 100}

// NeedsHand reports whether somebody should do something.
func (d *Diagnosis) NeedsHand() bool {
	return slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Severity != SeverityNote })
}

// Judge makes the findings, the worst first. It looks at nothing but the diagnosis.
func (d *Diagnosis) Judge() {
	d.Findings = d.Findings[:len(d.Findings):len(d.Findings)]
	d.judgeShards()
	d.judgeSpace()
	d.judgeHolders()
	d.judgeStages()
	d.judgeRest()
	d.judgeFormat()
	rank := map[Severity]int{SeverityFault: 0, SeverityWarning: 1, SeverityNote: 2}
	slices.SortStableFunc(d.Findings, func(x, y Finding) int { return rank[x.Severity] - rank[y.Severity] })
	if d.Findings == nil {
		d.Findings = []Finding{}
	}
}

// Find adds a finding.
func (d *Diagnosis) Find(s Severity, next, what string, args ...any) {
	d.Findings = append(d.Findings, Finding{Severity: s, What: fmt.Sprintf(what, args...), Next: next})
}

// data is the data directory as it is typed.
func (d *Diagnosis) data() string {
	if d.Data == "" {
		return "DIR"
	}
	return d.Data
}

func (d *Diagnosis) judgeShards() {
	for _, s := range d.Shards {
		if s.Unhealthy != "" {
			d.Find(SeverityFault, "look into the node's log; if it does not recover: stop it, then leat journal check "+d.data(), "shard %d takes no events: %s", s.Shard, s.Unhealthy)
		}
	}
	for _, s := range d.Shards {
		if s.Slowed > 0 {
			d.Find(SeverityNote, "see that the disk can write twice what comes in: leat bench publish", "%d times since the start, appends to shard %d waited for events to be moved out of the journal", s.Slowed, s.Shard)
		}
	}
	for _, j := range d.Jobs {
		if j.Error != "" {
			next := fmt.Sprintf("leat read leat.system --key %s --direction backward --limit 5", j.Name)
			if strings.HasPrefix(j.Name, "segments-") {
				next = "look for segment in the node's log; leat stream verify says whether files are damaged. Until it works again, the journal grows"
			}
			d.Find(SeverityFault, next, "%s has been failing since %s: %s", j.Name, j.Since.UTC().Format(time.RFC3339), j.Error)
		}
	}
}

func (d *Diagnosis) judgeSpace() {
	const next = "leat stream list -o json (what is there), leat stream truncate NAME --before -7d (let go of old events), or add space"
	switch {
	case d.FreeBytes < 0:
	case d.FreeBytes < d.ReserveBytes:
		d.Find(SeverityFault, next, "the disk is full: %s are free, %s are kept in reserve; events are refused, reading and deleting go on", mib(d.FreeBytes), mib(d.ReserveBytes))
	case d.FreeBytes < freeLowTimes*d.ReserveBytes:
		d.Find(SeverityWarning, next, "the disk is nearly full: %s are free, at %s events will be refused", mib(d.FreeBytes), mib(d.ReserveBytes))
	}
	if m := d.Memory; m != nil && m.Max-m.Reserved < m.Max/memoryHighParts {
		d.Find(SeverityWarning, "raise broker.memory_bytes, or send less at a time; leat config shows all settings", "requests in flight hold %s of %s: further ones wait",
			mib(m.Reserved), mib(m.Max))
	}
}

// holderNext is what to do about something that holds a journal.
var holderNext = map[string]string{
	"segments": "look for segment in the node's log; leat doctor again in a minute says whether it catches up",
	"state":    "look for flushed in the node's log; leat doctor again in a minute says whether it catches up",
	"keys":     "look for keys in the node's log; leat doctor again in a minute says whether it catches up",
	"archive":  "see that the archive's place can be reached and written; leat read leat.system --key archive",
}

func (d *Diagnosis) judgeHolders() {
	for _, s := range d.Shards {
		least := -1
		for i, h := range d.Holders {
			if h.Shard == s.Shard && (least < 0 || h.Seq < d.Holders[least].Seq) {
				least = i
			}
		}
		if least < 0 {
			continue
		}
		h := d.Holders[least]
		next := holderNext[h.Name]
		if next == "" {
			next = "leat doctor again in a minute"
		}
		switch {
		case s.JournalUsual > 0 && s.JournalBytes > s.JournalUsual+s.JournalUsual/journalOverPart:
			d.Find(SeverityWarning, next, "the journal of shard %d has %s, %s are usual: %s holds it, %d frames behind", s.Shard, mib(s.JournalBytes), mib(s.JournalUsual), h.Name, h.Behind)
		case h.Behind >= behindNoteMin:
			d.Find(SeverityNote, next, "%s of shard %d is %d frames behind", h.Name, s.Shard, h.Behind)
		}
	}
}

func (d *Diagnosis) judgeStages() {
	for _, s := range d.Stages {
		slow, known := stageSlow[s.Stage]
		if !known || s.Count < stageCountMin || s.P99 < slow {
			continue
		}
		next := "leat bench publish (what this node reaches), and look at what else the machine does"
		if s.Stage == "write" || s.Stage == "sync" || s.Stage == "journal" {
			next = "see what else writes to that disk; leat bench publish measures"
		}
		d.Find(SeverityWarning, next, "%s is slow: one in a hundred takes %.0f ms or longer (half of them at most %.1f ms)", s.Stage, s.P99, s.P50)
	}
}

func (d *Diagnosis) judgeRest() {
	if c := d.Clock; c != nil && c.Jumps > 0 {
		severity := SeverityNote
		if clockRecent(c) {
			severity = SeverityWarning
		}
		d.Find(severity, "see that one time service runs on the machine, such as chronyd: chronyc tracking", "the clock has jumped %d times, at last by %s at %s; times of append never run backwards",
			c.Jumps, time.Duration(c.LastMS)*time.Millisecond, c.Last.UTC().Format(time.RFC3339))
	}
	if d.Dropped > 0 {
		d.Find(SeverityWarning, `leat read leat.system --type leat.system.dropped`, "%d system events were not written", d.Dropped)
	}
}

func clockRecent(c *ClockState) bool { return c.Age >= 0 && c.Age < clockJumpRecent }

func (d *Diagnosis) judgeFormat() {
	switch {
	case d.Format == 0 || d.Format == d.FormatNewest:
	case d.Format > d.FormatNewest:
		d.Find(SeverityFault, "use the version of Leat that wrote it", "the data directory has format %d; this program knows %d", d.Format, d.FormatNewest)
	default:
		d.Find(SeverityNote, "leat upgrade --check --data "+d.data(), "the data directory has format %d; with %d, segment files, truncation and retention are there, and older programs cannot open it any more",
			d.Format, d.FormatNewest)
	}
}

func mib(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20 || n == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
