package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// pagesMax bounds how many pages of a list are followed: a node that answers the same page for ever must not hold a script for ever.
const pagesMax = 100_000

// collection reads a list in all its pages. A page is {NAME: [...], "next": "..."}, where next goes into from of the
// following request. A bare list, and rows that are only names, are read too.
func (c *client) collection(ctx context.Context, path, name string) ([]map[string]any, error) {
	var rows []map[string]any
	next := ""
	for range pagesMax {
		at := path
		if next != "" {
			and := "?"
			if strings.Contains(path, "?") {
				and = "&"
			}
			at += and + "from=" + url.QueryEscape(next)
		}
		var raw json.RawMessage
		if err := c.call(ctx, "GET", at, nil, &raw); err != nil {
			return nil, err
		}
		var page map[string]json.RawMessage
		items := raw
		if json.Unmarshal(raw, &page) == nil {
			items = page[name]
		}
		var list []any
		if len(items) > 0 {
			if err := json.Unmarshal(items, &list); err != nil {
				return nil, fmt.Errorf("the list at %s cannot be read: %w", path, err)
			}
		}
		for _, item := range list {
			if row, ok := item.(map[string]any); ok {
				rows = append(rows, row)
			} else {
				rows = append(rows, map[string]any{"name": item})
			}
		}
		var following string
		if err := json.Unmarshal(page["next"], &following); err != nil || following == "" || following == next {
			return rows, nil //nolint:nilerr // no next, or none that can be followed, is the end
		}
		next = following
	}
	return nil, fmt.Errorf("the list at %s has more than %d pages", path, pagesMax)
}

func wholeNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
