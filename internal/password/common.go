package password

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"slices"
	"strings"
	"sync"
)

// packed is the list of common passwords: 49,233 lines. Its origin and licence are in
// NOTICE; scripts/common-passwords.sh makes it.
//
//go:embed common.txt.gz
var packed []byte

const longestCommon = 20 // bytes

// commons is the list, unpacked when the first password is chosen.
var commons = sync.OnceValue(unpack)

// unpack makes the list: sorted, in the spelling of look-alikes.
func unpack() []string {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err) // what was built in is no list: nothing works as it should
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	list := strings.Split(strings.TrimSpace(lookalikes.Replace(string(text))), "\n")
	slices.Sort(list)
	return slices.Clip(slices.Compact(list))
}

// common tells whether a text, in the spelling of look-alikes, is in the list.
func common(key string) bool {
	_, found := slices.BinarySearch(commons(), key)
	return found
}
