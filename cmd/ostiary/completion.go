package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/commandline"
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
	for _, w := range complete(a.root, words) {
		if _, err := fmt.Fprintln(a.out, w); err != nil {
			return err
		}
	}
	return nil
}

// complete walks the commands along the words, and returns what fits the last one.
func complete(node *commandline.Command, words []string) (out []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	var value *commandline.Value // that is expected
	for _, w := range words[:len(words)-1] {
		if value != nil {
			value = nil
			continue
		}
		if name, isFlag := strings.CutPrefix(w, "--"); isFlag {
			name, _, joined := strings.Cut(name, "=")
			if flag := node.Flag(name); flag != nil && !joined && !flag.IsBool {
				value = flag
			}
			continue
		}
		for _, child := range node.Commands {
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
		for _, choice := range choices(value) {
			add(choice, "")
		}
	case strings.HasPrefix(last, "-"):
		add("--help", "Show context-sensitive help.")
		for _, flag := range node.AllFlags() {
			add("--"+flag.Name, flag.Help)
		}
	default:
		for _, child := range node.Commands {
			if !child.Hidden {
				add(child.Name, child.Help)
			}
		}
		for _, arg := range node.Args {
			for _, choice := range choices(arg) {
				add(choice, "")
			}
		}
	}
	slices.Sort(out)
	return out
}

// choices are the values that a flag or an argument can have, if they are few and known.
func choices(v *commandline.Value) []string {
	switch {
	case len(v.Enum) > 0:
		return v.Enum
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
