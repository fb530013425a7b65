package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// step is a section of docs/takeover.md: the settings that it gives the server, and then the
// commands that it has the operator type.
type step struct {
	title    string
	settings string // "": they stay
	commands string
}

// readPage reads the steps of the page, in their order.
func readPage(root string) (steps []step, err error) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "takeover.md"))
	if err != nil {
		return nil, err
	}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		if !strings.ContainsAny(title[:1], "123456789") {
			continue // it explains
		}
		steps = append(steps, step{title: title, settings: fenced(body, "toml"), commands: fenced(body, "sh")})
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("docs/takeover.md has no steps")
	}
	return steps, nil
}

// fenced is the text of all code blocks of a language.
func fenced(body, language string) (text string) {
	for {
		_, rest, found := strings.Cut(body, "```"+language+"\n")
		if !found {
			return text
		}
		block, after, _ := strings.Cut(rest, "```")
		text, body = text+block, after
	}
}
