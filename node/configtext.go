package node

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
)

// The configuration file is YAML. Its keys are the fields of Config, in snake case, to the letter: an unknown key is an error that names
// the nearest valid one. Bytes are written as 64MiB, durations as 5s, and ${VAR} in a text is taken from the environment.

// DecodeConfig reads a configuration file over c.
func DecodeConfig(text []byte, c *Config) error {
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("config: %s", yaml.FormatError(err, false, true))
	}
	if tree == nil {
		return nil
	}
	return decodeInto(reflect.ValueOf(c).Elem(), "", tree)
}

var durationType = reflect.TypeFor[time.Duration]()

// settable reports whether a field is a setting. Pointers are what a program hands over: loggers, resolvers.
func settable(f reflect.StructField) bool { return f.IsExported() && f.Type.Kind() != reflect.Pointer }

func decodeInto(v reflect.Value, path string, in any) error {
	switch {
	case v.Type() == durationType:
		s, ok := in.(string)
		d, err := time.ParseDuration(s)
		if !ok || err != nil {
			return fmt.Errorf("config: %s is %v; write a duration such as 500ms, 5s or 10m", path, in)
		}
		v.SetInt(int64(d))
		return nil
	case v.Kind() == reflect.Struct:
		return decodeStruct(v, path, in)
	case v.Kind() == reflect.Map:
		return decodeGateways(v, path, in)
	case v.Kind() == reflect.Slice:
		return decodeList(v, path, in)
	case v.CanInt():
		n, err := parseNumber(in, strings.Contains(path, "bytes"))
		if err != nil || v.OverflowInt(n) {
			return fmt.Errorf("config: %s is %v; write a number%s", path, in, bytesHint(path))
		}
		v.SetInt(n)
		return nil
	case v.Kind() == reflect.Bool:
		b, ok := in.(bool)
		if !ok {
			return fmt.Errorf("config: %s is %v; write true or false", path, in)
		}
		v.SetBool(b)
		return nil
	case v.Kind() == reflect.String:
		s, err := expand(fmt.Sprint(in))
		if err != nil {
			return fmt.Errorf("config: %s: %w", path, err)
		}
		v.SetString(s)
		return nil
	}
	return fmt.Errorf("config: %s cannot be set in a file", path)
}

func decodeStruct(v reflect.Value, path string, in any) error {
	m, ok := in.(map[string]any)
	if !ok {
		return fmt.Errorf("config: %s must be a section with keys of its own", cmpName(path))
	}
	fields := map[string]int{}
	for i := range v.NumField() {
		if f := v.Type().Field(i); settable(f) {
			fields[KeyOf(f.Name)] = i
		}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		i, ok := fields[k]
		if !ok {
			return unknownKey(join(path, k), k, slices.Sorted(maps.Keys(fields)))
		}
		if err := decodeInto(v.Field(i), join(path, k), m[k]); err != nil {
			return err
		}
	}
	return nil
}

func decodeGateways(v reflect.Value, path string, in any) error {
	m, ok := in.(map[string]any)
	if !ok {
		return fmt.Errorf("config: %s must be a section with keys of its own", path)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		g := v.MapIndex(reflect.ValueOf(k))
		if !g.IsValid() {
			var names []string
			for _, x := range v.MapKeys() {
				names = append(names, x.String())
			}
			slices.Sort(names)
			return unknownKey(join(path, k), k, names)
		}
		if err := decodeInto(g.Elem().Elem(), join(path, k), m[k]); err != nil {
			return err
		}
	}
	return nil
}

func decodeList(v reflect.Value, path string, in any) error {
	l, ok := in.([]any)
	if !ok {
		return fmt.Errorf("config: %s must be a list", path)
	}
	out := reflect.MakeSlice(v.Type(), len(l), len(l))
	for i := range l {
		if err := decodeInto(out.Index(i), fmt.Sprintf("%s[%d]", path, i), l[i]); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func unknownKey(path, key string, valid []string) error {
	best, at := len(key), ""
	for _, k := range valid {
		if d := editDistance(key, k); d < best {
			best, at = d, k
		}
	}
	if at != "" && best <= (len(key)+2)/3 {
		return fmt.Errorf("config: %s is not a setting; did you mean %s?", path, at)
	}
	return fmt.Errorf("config: %s is not a setting; here are: %s", path, strings.Join(valid, ", "))
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost = 1 + min(diag, row[j], row[j+1])
			}
			diag, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

var units = []struct {
	suffix string
	bytes  int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

var errNumber = errors.New("not a number")

func parseNumber(in any, bytes bool) (int64, error) {
	s := strings.TrimSpace(fmt.Sprint(in))
	if bytes {
		for _, u := range units {
			if rest, ok := strings.CutSuffix(s, u.suffix); ok {
				n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
				if err != nil || n < 0 || n > (1<<62)/u.bytes {
					return 0, errNumber
				}
				return n * u.bytes, nil
			}
		}
	}
	return strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
}

func bytesHint(path string) string {
	if strings.Contains(path, "bytes") {
		return " of bytes such as 65536, 64KiB, 16MiB or 1GiB"
	}
	return ""
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

func expand(s string) (string, error) {
	var missing string
	out := variable.ReplaceAllStringFunc(s, func(m string) string {
		v, ok := os.LookupEnv(m[2 : len(m)-1])
		if !ok {
			missing = m
		}
		return v
	})
	if missing != "" {
		return "", fmt.Errorf("%s is not set in the environment", missing)
	}
	return out, nil
}

// EncodeConfig writes the whole tree as DecodeConfig reads it, but for secrets.
func EncodeConfig(c *Config) string {
	var b strings.Builder
	encodeStruct(&b, reflect.ValueOf(c).Elem(), "")
	return b.String()
}

func encodeStruct(b *strings.Builder, v reflect.Value, indent string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !settable(f) {
			continue
		}
		encodeField(b, KeyOf(f.Name), v.Field(i), indent)
	}
}

func encodeField(b *strings.Builder, name string, v reflect.Value, indent string) {
	switch {
	case v.Kind() == reflect.Struct:
		fmt.Fprintf(b, "%s%s:\n", indent, name)
		encodeStruct(b, v, indent+"  ")
	case v.Kind() == reflect.Map:
		fmt.Fprintf(b, "%s%s:\n", indent, name)
		for _, k := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			fmt.Fprintf(b, "%s  %s:\n", indent, k.String())
			encodeStruct(b, v.MapIndex(k).Elem().Elem(), indent+"    ")
		}
	default:
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, encodeValue(name, v))
	}
}

func encodeValue(name string, v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return time.Duration(v.Int()).String()
	case v.CanInt() && strings.Contains(name, "bytes"):
		for _, u := range units {
			if n := v.Int(); n != 0 && n%u.bytes == 0 && u.bytes > 1 {
				return strconv.FormatInt(n/u.bytes, 10) + u.suffix
			}
		}
		return strconv.FormatInt(v.Int(), 10)
	case v.Kind() == reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = encodeValue(name, v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case v.Kind() == reflect.String && secret[name] && v.Len() > 0:
		return strconv.Quote("(hidden)")
	case v.Kind() == reflect.String:
		return strconv.Quote(v.String())
	default:
		return fmt.Sprint(v.Interface())
	}
}

// secret are the settings that are not printed.
var secret = map[string]bool{"secret_key": true, "session_token": true}

// KeyOf is the key of a field: it turns FrameBytesMax into frame_bytes_max and ConnectionsPerIPMax into connections_per_ip_max.
func KeyOf(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, c := range r {
		if unicode.IsUpper(c) && i > 0 && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func cmpName(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
