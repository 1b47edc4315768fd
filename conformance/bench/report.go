package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// row is a line of the table.
type row struct {
	ID        string    `json:"id"`
	Work      string    `json:"work"`
	Unit      string    `json:"unit"`
	Yardstick string    `json:"yardstick,omitempty"` // what B is
	A         []float64 `json:"leat"`
	B         []float64 `json:"yardstick_runs,omitempty"`
	Ratios    []float64 `json:"ratios,omitempty"`
	Goal      float64   `json:"goal,omitempty"`    // of the ratio where there is a yardstick, else of A
	Least     float64   `json:"least,omitempty"`   // goal of A, where there is a yardstick too
	Note      string    `json:"note,omitempty"`    // what else was seen
	LessIs    bool      `json:"less_is_better"`    // times and sizes
	Skipped   string    `json:"skipped,omitempty"` // why there are no numbers
	less      bool
}

func (b *bench) row(id, work, unit, yardstick string, goal float64) *row {
	for _, r := range b.rows {
		if r.ID == id {
			return r
		}
	}
	r := &row{ID: id, Work: work, Unit: unit, Yardstick: yardstick, Goal: goal}
	b.rows = append(b.rows, r)
	return r
}

func (b *bench) skip(id, why string) {
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", id, why)
	b.row(id, id, "", "", 0).Skipped = why
}

// pair measures both sides; which goes first changes from pair to pair.
func (r *row) pair(i int, leat, yardstick *proc, f func(side int, p *proc) (float64, error)) error {
	procs, values := [2]*proc{leat, yardstick}, [2]float64{}
	for k := range 2 {
		side := (i + k) % 2
		v, err := f(side, procs[side])
		if err != nil {
			return fmt.Errorf("%s, pair %d: %w", r.ID, i+1, err)
		}
		values[side] = v
	}
	r.add(values[0], values[1])
	return nil
}

// times measures times on both sides, as pair does, and adds their medians to p50 and their tails to p99, in milliseconds.
func times(i int, leat, yardstick *proc, p50, p99 *row, f func(side int, p *proc) (*histogram, error)) error {
	var tails [2]float64
	if err := p50.pair(i, leat, yardstick, timed(&tails, f)); err != nil {
		return err
	}
	p99.add(tails[0], tails[1])
	return nil
}

// timed is f as pair takes it: the median of its times, in milliseconds. Their tails are left in tails.
func timed(tails *[2]float64, f func(side int, p *proc) (*histogram, error)) func(side int, p *proc) (float64, error) {
	return func(side int, p *proc) (float64, error) {
		h, err := f(side, p)
		if err != nil {
			return 0, err
		}
		tails[side] = h.quantile(0.99) / 1e6
		return h.quantile(0.50) / 1e6, nil
	}
}

func (r *row) add(a, b float64) {
	r.A, r.B = append(r.A, a), append(r.B, b)
	r.Ratios = append(r.Ratios, a/b)
	fmt.Printf("  %-22s leat %s, %s %s %s: %.2f\n", r.ID, number(a), r.Yardstick, number(b), r.Unit, a/b)
}

// one adds a value that has no yardstick.
func (r *row) one(a float64) {
	r.A = append(r.A, a)
	fmt.Printf("  %-22s %s %s\n", r.ID, number(a), r.Unit)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s)%2 == 0 {
		return (s[len(s)/2-1] + s[len(s)/2]) / 2
	}
	return s[len(s)/2]
}

// reached says whether the goal is, for the median.
func (r *row) reached() (ok, has bool) {
	if len(r.A) == 0 || r.Goal == 0 && r.Least == 0 {
		return false, false
	}
	v := median(r.A)
	if r.Least > 0 && v < r.Least {
		return false, true
	}
	if r.Goal == 0 {
		return true, true
	}
	if len(r.Ratios) > 0 {
		v = median(r.Ratios)
	}
	if r.less {
		return v <= r.Goal, true
	}
	return v >= r.Goal, true
}

func number(v float64) string {
	switch {
	case v >= 10_000:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func spread(v []float64) string {
	if len(v) == 1 {
		return number(v[0])
	}
	return fmt.Sprintf("%s (%s–%s)", number(median(v)), number(slices.Min(v)), number(slices.Max(v)))
}

// markdown writes the table: medians, with the least and the most.
func (b *bench) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s; volume %d MB, %d pairs\n\n", b.machine(), b.volume>>20, b.pairs)
	fmt.Fprintln(w, "| Work | Leat | Yardstick | Ratio | Goal | Reached |\n|---|---|---|---|---|---|")
	for _, r := range b.rows {
		if len(r.A) == 0 && !b.wants(r) {
			continue
		}
		if r.Skipped != "" || len(r.A) == 0 {
			fmt.Fprintf(w, "| %s | – | | | | not measured: %s |\n", r.Work, cmp.Or(r.Skipped, "it ended early"))
			continue
		}
		yardstick, ratio, goal, reached := "", "", "", ""
		if len(r.B) > 0 {
			yardstick, ratio = r.Yardstick+" "+spread(r.B), spread(r.Ratios)
		}
		if ok, has := r.reached(); has {
			sign := "≥ "
			if r.less {
				sign = "≤ "
			}
			goal, reached = sign+number(r.Goal), map[bool]string{true: "yes", false: "**no**"}[ok]
			if r.Goal == 0 {
				goal = sign + number(r.Least)
			} else if len(r.Ratios) > 0 {
				goal = sign + strings.TrimRight(fmt.Sprintf("%.2f", r.Goal), "0") + " ×"
			}
		}
		note := ""
		if r.Note != "" {
			note = "; " + r.Note
		}
		fmt.Fprintf(w, "| %s%s | %s %s | %s | %s | %s | %s |\n", r.Work, note, spread(r.A), r.Unit, yardstick, ratio, goal, reached)
	}
}

func (b *bench) json(file string) error {
	for _, r := range b.rows {
		r.LessIs = r.less
	}
	text, err := json.MarshalIndent(map[string]any{"machine": b.machine(), "volume_bytes": b.volume, "pairs": b.pairs, "rows": b.rows}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
