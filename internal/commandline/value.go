package commandline

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// take reads what was typed.
func (v *Value) take(words ...string) error {
	if !v.typed.IsValid() {
		v.typed = reflect.New(v.field.Type()).Elem()
	}
	v.source = fromLine
	for _, word := range words {
		if err := v.decode(v.typed, word); err != nil {
			return fmt.Errorf("%s: %w", v, err)
		}
	}
	return nil
}

// decode reads text, or a value of TOML. A list is added to.
func (v *Value) decode(into reflect.Value, value any) error {
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(fmt.Sprint(value)))
	}
	text := fmt.Sprint(value)
	switch into.Kind() {
	case reflect.Slice:
		for _, word := range v.list(value) {
			into.Set(reflect.Append(into, reflect.ValueOf(word)))
		}
	case reflect.String:
		into.SetString(text)
	case reflect.Bool:
		on, err := parseBool(text)
		if err != nil {
			return err
		}
		into.SetBool(on)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, into.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no decimal number that fits", text)
		}
		into.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		into.SetFloat(f)
	default:
		return errors.New("is of a type that can't be read")
	}
	return nil
}

// list is the value of a list: a list already, or text with commas between; \, is a comma.
func (v *Value) list(value any) (words []string) {
	if many, ok := value.([]any); ok {
		for _, one := range many {
			words = append(words, fmt.Sprint(one))
		}
		return words
	}
	text := fmt.Sprint(value)
	if v.isArg || v.tag.Get("sep") == "none" {
		return []string{text}
	}
	const escaped = "\x00" // which neither a line nor a variable can have
	for word := range strings.SplitSeq(strings.TrimSuffix(strings.ReplaceAll(text, `\,`, escaped), ","), ",") {
		words = append(words, strings.ReplaceAll(word, escaped, ","))
	}
	if text == "" {
		return nil
	}
	return words
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, fmt.Errorf("bool value must be true, 1, yes, false, 0 or no but got %q", text)
}

// suggest adds to an error which of the words could have been meant.
func suggest(problem, word string, known []string) error {
	var near []string
	for _, k := range known {
		if strings.HasPrefix(k, word) || distance(k, word) <= 2 {
			near = append(near, k)
		}
	}
	switch len(near) {
	case 0:
		return errors.New(problem)
	case 1:
		return fmt.Errorf("%s, did you mean %q?", problem, near[0])
	}
	return fmt.Errorf("%s, did you mean one of %s?", problem, quoted(near, ", "))
}

// distance is how many letters must be added, taken away or changed (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
