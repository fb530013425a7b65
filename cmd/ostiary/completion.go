package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Examples:
    ostiary completion bash > /etc/bash_completion.d/ostiary
    ostiary completion zsh > "${fpath[1]}/_ostiary"
    ostiary completion fish > ~/.config/fish/completions/ostiary.fish`
}

// scripts ask "ostiary __complete" for the words that can follow, one a line with its
// help after a tab. No line means that the shell's own completion (files) is as good.
var scripts = map[string]string{
	"bash": `_ostiary() {
	local IFS=$'\n'
	COMPREPLY=($(ostiary __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -o nosort -F _ostiary ostiary
`,
	"zsh": `#compdef ostiary
_ostiary() {
	local -a lines
	lines=("${(@f)$(ostiary __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	lines=("${(@)lines:#}")
	if (( ! $#lines )); then
		_files
		return
	fi
	lines=("${(@)lines/$'\t'/:}")
	_describe ostiary lines
}
if [ "$funcstack[1]" = "_ostiary" ]; then
	_ostiary "$@"
else
	compdef _ostiary ostiary
fi
`,
	"fish": `function __ostiary
	set -l words (commandline -opc) (commandline -ct)
	ostiary __complete -- $words[2..] 2>/dev/null
end
complete -c ostiary -f -a '(__ostiary)'
complete -c ostiary -n 'test -z "$(__ostiary)"' -F
`,
}

func (c *completionCmd) Run(a *app) error {
	_, err := fmt.Fprint(a.out, scripts[c.Shell])
	return err
}

// completeCmd prints what can stand in place of the last of the words.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

func (c *completeCmd) Run(a *app) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, w := range complete(a.kong.Model.Node, words) {
		if _, err := fmt.Fprintln(a.out, w); err != nil {
			return err
		}
	}
	return nil
}

// complete walks the commands along the words, and returns what fits the last one.
func complete(node *kong.Node, words []string) (out []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	var value *kong.Flag // whose value is expected
	for _, w := range words[:len(words)-1] {
		if value != nil {
			value = nil
			continue
		}
		if flag := flagOf(node, w); flag != nil {
			if !strings.Contains(w, "=") && !flag.IsBool() {
				value = flag
			}
			continue
		}
		for _, child := range node.Children {
			if child.Name == w && !child.Hidden {
				node = child
				break
			}
		}
	}
	add := func(word, help string) {
		if strings.HasPrefix(word, last) {
			help, _, _ = strings.Cut(help, ". ")
			out = append(out, word+"\t"+help)
		}
	}
	switch {
	case value != nil:
		for _, choice := range choices(value.Value) {
			add(choice, "")
		}
	case strings.HasPrefix(last, "-"):
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				add("--"+flag.Name, flag.Help)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				add(child.Name, child.Help)
			}
		}
		for _, arg := range node.Positional {
			for _, choice := range choices(arg) {
				add(choice, "")
			}
		}
	}
	slices.Sort(out)
	return out
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			if strings.HasPrefix(word, "--") && flag.Name == name {
				return flag
			}
		}
	}
	return nil
}

// choices are the values that a flag or an argument can have, if they are few and known.
func choices(v *kong.Value) []string {
	switch {
	case v.Enum != "":
		return v.EnumSlice()
	case v.Name == "dialect":
		var names []string
		for _, d := range dialects() {
			names = append(names, string(d.Name()))
		}
		return names
	case v.Name == "log-level":
		return []string{"debug", "info", "warn", "error"}
	case v.Name == "log-format":
		return []string{"text", "json"}
	}
	return nil
}
