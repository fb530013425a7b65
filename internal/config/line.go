package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lines are where the keys of a file are written. Those of the second [[mount]] are
// "mount.1.host" and the like; what is in an inline table is not there.
func lines(data []byte) map[string]int {
	var p unstable.Parser
	p.Reset(data)
	at, tables, under := map[string]int{}, map[string]int{}, ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.KeyValue && e.Kind != unstable.Table && e.Kind != unstable.ArrayTable {
			continue
		}
		var names []string
		line := 0
		for it := e.Key(); it.Next(); {
			names = append(names, string(it.Node().Data))
			line = p.Shape(it.Node().Raw).Start.Line
		}
		name := strings.Join(names, ".")
		switch e.Kind {
		case unstable.KeyValue:
			at[under+name] = line
			continue
		case unstable.ArrayTable:
			under = fmt.Sprintf("%s.%d.", name, tables[name])
			tables[name]++
		default:
			under = name + "."
		}
		at[name] = line
	}
	return at
}
