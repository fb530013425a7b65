package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/ostiary/ostiary/internal/commandline"
)

// File is a configuration file that has been read: its tables, and a source of
// values for flags that are not set otherwise.
type File struct {
	name     string
	values   map[string]any
	mounts   []Mount
	policies []Policy

	writebacks []Writeback
}

// maxFile is far above any sensible configuration, and keeps a wrong path (a
// database, a log) from being read whole.
const maxFile = 1 << 20

// Load reads a configuration file.
func Load(path string) (*File, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("config: %s is a directory", path)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("config: %s does not exist", path)
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(path, data)
}

// Parse reads the text of a configuration file; name is for errors.
func Parse(name string, data []byte) (*File, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: longer than 1 MiB: not a configuration file", name)
	}
	var c Config
	wrong := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&c)
	if wrong != nil && namesKey(wrong) {
		return nil, explain(name, wrong)
	}
	// The same text read again gives the keys that are present.
	values := map[string]any{}
	if err := toml.Unmarshal(data, &values); err != nil {
		return nil, explain(name, err)
	}
	if key, place, problem := checkKeys("", "", values, reflect.TypeFor[Config]()); problem != "" {
		if line := lines(data)[place]; line > 0 {
			name = fmt.Sprintf("%s:%d", name, line)
		}
		return nil, fmt.Errorf("%s: %s", name, oneLine(fmt.Sprintf(problem, key)))
	}
	if wrong != nil {
		return nil, explain(name, wrong)
	}
	for i := range c.Mount {
		fromFile(name, &c.Mount[i].Definition, &c.Mount[i].LegacyCA)
	}
	for i := range c.Policy {
		if p := c.Policy[i].PasswordBreached; p != nil {
			fromFile(name, p)
		}
	}
	for i := range c.Writeback {
		fromFile(name, &c.Writeback[i].File, &c.Writeback[i].WebhookSecretFile)
	}
	return &File{name: name, values: values, mounts: c.Mount, policies: c.Policy, writebacks: c.Writeback}, nil
}

// fromFile has paths of a table begin in the directory of the file.
func fromFile(name string, paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(name), *p)
		}
	}
}

// checkKeys is stricter than the decoder, which takes names in another case, a single
// table for a list of them, and a number of nanoseconds for a duration. The place of a key
// is that of lines.
func checkKeys(under, at string, table map[string]any, into reflect.Type) (key, place, problem string) {
	known := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(into) {
		if name := field.Tag.Get("toml"); name != "" && name != "-" {
			known[name] = field.Type
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		key, place, value := under+name, at+name, table[name]
		want, ok := known[name]
		if !ok {
			return key, place, "unknown key %q"
		}
		_, isText := value.(string)
		if (want == reflect.TypeFor[Duration]() || want == reflect.TypeFor[*Duration]()) && !isText {
			return key, place, `%s: must be a duration such as "1h"`
		}
		if want != reflect.TypeFor[[]Policy]() && want != reflect.TypeFor[[]Mount]() && want != reflect.TypeFor[[]Writeback]() {
			continue
		}
		list, isList := value.([]any)
		if !isList {
			return key, place, "%[1]s: is a list of tables: write [[%[1]s]]"
		}
		for i, item := range list {
			if table, isTable := item.(map[string]any); isTable {
				if key, place, problem := checkKeys(key+".", fmt.Sprintf("%s.%d.", place, i), table, want.Elem()); problem != "" {
					return key, place, problem
				}
			}
		}
	}
	return "", "", ""
}

// alsoSays are the variables that say otherwise what a flag says.
var alsoSays = map[string][]string{
	"master-key-file": {"OSTIARY_MASTER_KEY"},
	"database":        {"OSTIARY_DATABASE_FILE"},
	"database-file":   {"OSTIARY_DATABASE"},
}

// source gives the file's value of a flag, unless the environment says otherwise.
func (f *File) source(_ *commandline.Line, flag *commandline.Value) any {
	for _, name := range alsoSays[flag.Name] {
		if _, set := os.LookupEnv(name); set {
			return nil
		}
	}
	return f.values[strings.ReplaceAll(flag.Name, "-", "_")]
}

var (
	wrongType = regexp.MustCompile(`^cannot (?:decode|store) (?:a )?TOML ([a-z -]+?) (?:into|in) .* of type (\S+)$`)
	goTypes   = map[string]string{
		"string": "a string", "*string": "a string", "int": "an integer", "float64": "a number", "bool": "true or false",
		"[]string": "a list of strings", "config.Duration": `a duration such as "1h"`, "*config.Duration": `a duration such as "1h"`,
		"[]config.Mount": "a list of tables [[mount]]", "config.Mount": "a table [[mount]]",
		"*int": "an integer", "[]config.Policy": "a list of tables [[policy]]", "config.Policy": "a table [[policy]]",
		"[]config.Writeback": "a list of tables [[writeback]]", "config.Writeback": "a table [[writeback]]",
	}
)

// namesKey tells whether an error of the decoder says where it is. That of a duration which
// is a boolean or a float does not.
func namesKey(err error) bool {
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	return errors.As(err, &strict) || errors.As(err, &decode)
}

// explain makes one line of what the decoder found: the file, the line, and the key.
func explain(name string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		first := &strict.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("%s:%d: unknown key %q", name, line, strings.Join(first.Key(), "."))
	}
	var decode *toml.DecodeError
	if !errors.As(err, &decode) {
		return fmt.Errorf("%s: %s", name, oneLine(strings.TrimPrefix(err.Error(), "toml: ")))
	}
	line, _ := decode.Position()
	message := strings.TrimPrefix(decode.Error(), "toml: ")
	if m := wrongType.FindStringSubmatch(message); m != nil && goTypes[m[2]] != "" {
		message = "must be " + goTypes[m[2]]
	}
	where := ""
	if key := strings.Join(decode.Key(), "."); key != "" {
		where = key + ": "
	}
	return fmt.Errorf("%s:%d: %s%s", name, line, where, oneLine(message))
}

// oneLine keeps what a hostile file puts into a message from starting a line of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
