package rabbitmq

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Pages of lists, as RabbitMQ cuts them.
const (
	pageSizeDefault = 100
	pageSizeMax     = 500
)

func sortedKeys(o object) []string { return slices.Sorted(maps.Keys(o)) }

// paging is what the query of a list asks for: ?page=1&page_size=100&name=&use_regex=true&sort=&sort_reverse=true&columns=a,b.c
type paging struct {
	page, size int // page 0: all
	name       func(string) bool
	sort       string
	reverse    bool
	columns    []string
}

func (x *call) paging() (p paging, err error) {
	p.name = func(string) bool { return true }
	p.sort, p.reverse = x.query.Get("sort"), x.query.Get("sort_reverse") == "true"
	if c := x.query.Get("columns"); c != "" {
		p.columns = strings.Split(c, ",")
	}
	if name := x.query.Get("name"); name != "" {
		p.name = func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(name)) }
		if x.query.Get("use_regex") == "true" {
			re, err := regexp.Compile("(?i)" + name)
			if err != nil {
				return p, badRequest("Pagination parameters are invalid")
			}
			p.name = re.MatchString
		}
	}
	if !x.query.Has("page") { // RabbitMQ looks at nothing else either: pagination=false, which KEDA says, is about newer ones
		return p, nil
	}
	asked := cmp.Or(x.query.Get("page_size"), "undefined")
	page, err1 := strconv.Atoi(x.query.Get("page"))
	p.page, p.size = page, pageSizeDefault
	var err2 error
	if asked != "undefined" {
		p.size, err2 = strconv.Atoi(asked)
	}
	if err1 != nil || err2 != nil || p.page < 1 || p.size < 1 || p.size > pageSizeMax {
		return p, &problem{http.StatusBadRequest, "invalid_pagination_parameters", "Invalid pagination parameters: page number " + clip(x.query.Get("page")) + ", page size " + clip(asked)}
	}
	return p, nil
}

// byName reports whether a list is in the order of names, so that a page can be cut before anything else is known of its items.
func (p *paging) byName() bool { return p.sort == "" || p.sort == "name" }

// cut returns the bounds of the page in a list of so many.
func (p *paging) cut(n int) (from, to int, err error) {
	if p.page == 0 {
		return 0, n, nil
	}
	from = (p.page - 1) * p.size
	if from >= n && p.page > 1 {
		return 0, 0, &problem{http.StatusBadRequest, "page_out_of_range", fmt.Sprintf("Page out of range, page: %d page size: %d, len: %d", p.page, p.size, n)}
	}
	return from, min(n, from+p.size), nil
}

// named is what a list is made of: names first, the rest on demand.
type named struct {
	name string
	tell func() (object, error)
}

// list answers a list. Where the order is that of names, only what is on the page is told.
func (x *call) list(all []named) error {
	p, err := x.paging()
	if err != nil {
		return err
	}
	total := len(all)
	all = slices.DeleteFunc(all, func(n named) bool { return !p.name(n.name) })
	if p.byName() && p.reverse {
		slices.Reverse(all)
	}
	from, to := 0, len(all)
	if p.byName() {
		if from, to, err = p.cut(len(all)); err != nil {
			return err
		}
	}
	out := make([]object, 0, to-from)
	for _, n := range all[from:to] {
		o, err := n.tell()
		if err != nil {
			return err
		}
		if o != nil { // it went while we looked
			out = append(out, o)
		}
	}
	if !p.byName() {
		slices.SortStableFunc(out, func(a, b object) int { return compare(lookUp(a, p.sort), lookUp(b, p.sort)) })
		if p.reverse {
			slices.Reverse(out)
		}
		if from, to, err = p.cut(len(out)); err != nil {
			return err
		}
		out = out[from:to]
	}
	if p.columns != nil {
		for i := range out {
			out[i] = only(out[i], p.columns)
		}
	}
	if p.page == 0 {
		return x.answer(http.StatusOK, out)
	}
	return x.answer(http.StatusOK, object{
		"filtered_count": len(all), "item_count": len(out), "items": out, "page": p.page, "page_count": (len(all) + p.size - 1) / p.size, "page_size": p.size,
		"total_count": total,
	})
}

// item answers one thing.
func (x *call) item(o object) error {
	if c := x.query.Get("columns"); c != "" {
		o = only(o, strings.Split(c, ","))
	}
	return x.answer(http.StatusOK, o)
}

// lookUp is the value at a path like message_stats.publish_details.rate; nil when there is none.
func lookUp(o object, path string) any {
	var v any = o
	for part := range strings.SplitSeq(path, ".") {
		in, ok := v.(object)
		if !ok {
			return nil
		}
		v = in[part]
	}
	return v
}

// only is an object with nothing but these columns, each a path.
func only(o object, columns []string) object {
	out := object{}
	for _, c := range columns {
		v := lookUp(o, c)
		if v == nil {
			continue
		}
		at := out
		parts := strings.Split(c, ".")
		for _, part := range parts[:len(parts)-1] {
			inner, ok := at[part].(object)
			if !ok {
				inner = object{}
				at[part] = inner
			}
			at = inner
		}
		at[parts[len(parts)-1]] = v
	}
	return out
}

// compare orders values of JSON: nothing, numbers, text.
func compare(a, b any) int {
	x, xn := number(a)
	y, yn := number(b)
	switch {
	case xn && yn:
		return cmp.Compare(x, y)
	case a == nil || b == nil:
		return cmp.Compare(kindOf(a), kindOf(b))
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

func kindOf(v any) int {
	if v == nil {
		return 0
	}
	return 1
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
