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

// packed are the common passwords: 49,233 lines, and the 1,000 most common of them. Their
// origin and licence are in NOTICE; scripts/common-passwords.sh makes them.
var (
	//go:embed common.txt.gz
	packed []byte
	//go:embed first.txt.gz
	packedFirst []byte
)

const longestCommon, longestFirst = 20, 11 // bytes

// The lists are unpacked when the first password is chosen.
var (
	commons = sync.OnceValue(func() []string { return unpack(packed) })
	firsts  = sync.OnceValue(func() []string { return unpack(packedFirst) })
)

// unpack makes a list: sorted, in the spelling of look-alikes.
func unpack(packed []byte) []string {
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

// has tells whether a text, in the spelling of look-alikes, is in a list.
func has(list []string, key string) bool {
	_, found := slices.BinarySearch(list, key)
	return found
}

// famous are passphrases and sayings that stand in lists of their own, by their letters.
var famous = []string{
	"correcthorsebatterystaple", "troubador", "troubadour",
	"alliswellthatendswell", "allyourbasearebelongtous", "aroseisarose", "askandyoushallreceive", "beammeupscotty",
	"callmeishmael", "carpediem", "cogitoergosum", "donttellanyone", "dontworrybehappy", "elementarymydearwatson",
	"fourscoreandsevenyearsago", "godsavethequeen", "godsavetheking", "hakunamatata",
	"hastalavistababy", "helloitsme", "hereslookingatyoukid", "houstonwehaveaproblem", "iamyourfather", "ihaveadream",
	"illbeback", "ilovemyfamily", "inthebeginning", "inthebeginningwastheword", "inthebeginninggodcreated", "ithinkthereforeiam",
	"itwasthebestoftimes", "itwasthebestoftimesitwastheworstoftimes", "itwasadarkandstormynight", "iwanttobelieve",
	"knowledgeispower", "liveandletdie", "livelongandprosper", "loremipsum", "loremipsumdolorsitamet", "lukeiamyourfather",
	"maryhadalittlelamb", "maytheforcebewithyou", "mynameisinigomontoya", "mysecretpassword", "mypasswordissecret",
	"nevergonnagiveyouup", "nevergonnagiveyouupnevergonnaletyoudown", "onceuponatime", "oneringtorulethemall",
	"openthepodbaydoorshal", "ourfatherwhoartinheaven", "resistanceisfutile", "somewhereovertherainbow", "thecakeisalie",
	"thepasswordispassword", "thequickbrownfox", "thequickbrownfoxjumpsoverthelazydog", "theresnoplacelikehome",
	"thereisnoplacelikehome", "thetruthisoutthere", "thisismypassword", "thisisapassword", "thisisnotapassword",
	"tobeornottobe", "tobeornottobethatisthequestion", "twinkletwinklelittlestar", "weholdthesetruthstobeselfevident",
	"wewillrockyou", "wethepeopleoftheunitedstates", "winteriscoming", "youshallnotpass",
}
