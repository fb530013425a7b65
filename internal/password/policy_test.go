package password

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

func TestThreat13_Policy(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		want           error
	}{
		{"fifteen", "fifteen letters", nil},
		{"fourteen", "fourteen signs", tooShort(15)},
		{"empty", "", errEmpty},
		{"fifteen code points", "käsekuchenkekse", nil},
		{"fourteen, decomposed", "ka\u0308sekuchenkeks", tooShort(15)},
		{"fifteen emoji", "🦊🐢🎲🎧🧊🌵🥨🧲🪁🧵🥝🫖🪗🛶🔭", nil},
		{"spaces", " many  words   and spaces ", nil},
		{"no class but one", "onlylowercasewordshere", nil},
		{"64", strings.Repeat("sixteen letters.", 3) + "then some others", nil},
		{"1024", long(1024, "ä"), nil},
		{"1024, decomposed", long(1024, "a\u0308"), nil},
		{"1025", long(1025, "x"), errTooLong},
		{"1 MB", strings.Repeat("x", 1<<20), errTooLong},
		{"not UTF-8", "a password with \xff", errNotText},
		{"lone surrogate", "a password with \xed\xa0\x80", errNotText},
		{"NUL", "a password with \x00", errNUL},
		{"colon", "words:and:colons", nil},
		{"service secret", "ostsvc_0123456789", errReserved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Rules{}).Check(tt.password, For{}); !errors.Is(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	// What the policy refuses does not break a login.
	h := newHasher()
	for i, k := range known {
		password := []string{"\xff\xed\xa0\x80", "\x00"}[i%2]
		if verify(t, h, k.phc, password).OK {
			t.Errorf("%q matches %s", password, k.scheme)
		}
	}
}

// long is a text of n characters that repeats nothing, of which the last are end.
func long(n int, end string) string {
	var b strings.Builder
	for i := 0; b.Len() < n-10; i++ {
		b.WriteByte("correct horse battery staple"[i*i%28])
		b.WriteByte(byte('a' + i/26%26))
		b.WriteByte(byte('a' + i%26))
	}
	return b.String() + strings.Repeat(end, n-b.Len())
}

func TestRules_Length(t *testing.T) {
	for _, tt := range []struct {
		rules    Rules
		factor   bool
		password string
		want     error
	}{
		{Rules{}, true, "käsekuch", nil},
		{Rules{}, true, "ka\u0308sekuc", tooShort(8)},
		{Rules{Min: 20}, false, "nineteen characters", tooShort(20)},
		{Rules{Min: 20}, false, "twenty characters ok", nil},
		{Rules{Min: 20}, true, "nine tins", nil},
		{Rules{Min: 10}, false, "ten of ten", nil},
		{Rules{Min: 10}, false, "nine of 9", tooShort(10)},
	} {
		if got := tt.rules.Check(tt.password, For{Factor: tt.factor}); !errors.Is(got, tt.want) {
			t.Errorf("%+v, factor %v, %q: %v, want %v", tt.rules, tt.factor, tt.password, got, tt.want)
		}
	}
}

func TestRules_Classes(t *testing.T) {
	rules := Rules{Classes: true}
	for _, password := range []string{"Correct horse 9 battery", "Zwölf-Boxkämpfer-7", "ЖеваниеКаши 47!"} {
		if err := rules.Check(password, For{}); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{"correct horse 9 battery", "CORRECT HORSE 9 BATTERY", "Correct horse battery", "Correcthorse9battery"} {
		if err := rules.Check(password, For{}); !errors.Is(err, errClasses) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestRules_Common(t *testing.T) {
	for _, password := range []string{
		"passwordpassword", "123456789987654321", "qwertyuiop12345", "1qazxsw23edcvfr4", // as they are in the list
		"Password12345678", "PASSWORD!!!!!!!!!!", "!!password2024!!", "2023-iloveyou-2024", "password        ",
		"p4ssw0rd20242024", "P@$$w0rd!2024!2024", "1l0v3y0u!!!!!!!!", "$ecret$ecret$ecret", "ｐａｓｓｗｏｒｄ２０２４２０２４",
		"dragon dragon dragon", "monkey-83-monkey-9", "letmeinletmeinlet",
		"1 2 3 4 5 6 7 8 9 0",
		"i love you 2024 !", "pass word 12345678",
		"pass\u00adword1234567", "\u200bpassword\u200b123456", "password1234567\u0301", "passwordpassword\U000e0061", // what is not seen
		"pässwörd12345678", "pa\u0308ss\u200dwo\u200d\u0308rd1234567", "p\ufe0fassword\u034f1234567",
		"pass\u3164word\U000e01001234567", "\u0301password1234567", "pass\u2800\u2003word1234567", "1\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e34\ufe0f\u20e35\ufe0f\u20e3",
	} {
		if err := (Rules{}).Check(password, For{}); !errors.Is(err, errCommon) && !errors.Is(err, errSequence) {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{
		"aaaaaaaaaaaaaaa", "abababababababab", "abcdefghijklmnop", "zyxwvutsrqponmlk", "012345678901234567890", "987654321098765",
		"qwertyuiopasdfgh", "qwertz yxcvbnm 123", "1234abcd5678efgh", "aaaabbbbccccdddd", "               .", "🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑",
		"aabbccddeeffgghh", "AaaBbbCccDddEeeFff", "112233445566778899", "qqwweerrttyyuuiioopp1!", "a b c d e f g h i j",
		"short and short and short and ", "xk3!9fj2qxk3!9fj2q", "8392017483920174", "83920174 83920174", "abbaabbababbaaab",
	} {
		if err := (Rules{}).Check(password, For{}); !errors.Is(err, errSequence) && !errors.Is(err, errCommon) {
			t.Errorf("%q: %v", password, err)
		}
	}
	// A common word among others, random digits, what a password manager makes: all good.
	for _, password := range []string{
		"correct horse battery stage", "summer orange monkey dragon", "orangutan summer monkey", "жевание каши й ё", "my password is a secret", "monkey business at noon", "493817250667319", "7k#Qz!p2Rv9$Lm4x",
		"dragons and passwords", "jfkdlslahgbvnmwoeiru", "the year was 1984 indeed", "a password of ada",
	} {
		if err := (Rules{}).Check(password, For{}); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{
		"passwordqwerty12", "2024 Dragon, Monkey", "p4ssw0rd-l3tm31n", "summer.orange.monkey!", "password123456qwerty", "1-password-qwerty-3",
	} {
		if err := (Rules{}).Check(password, For{}); !errors.Is(err, errCombined) {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{
		"correct horse battery staple", "Correct-Horse-Battery-Staple!", "c0rrecth0rseb4tterystaple2024", "my correct horse battery staple",
		"to be or not to be", "May the Force be with you!", "thequickbrownfox",
	} {
		if err := (Rules{}).Check(password, For{}); !errors.Is(err, errFamous) {
			t.Errorf("%q: %v", password, err)
		}
	}
	// Beside a second factor the list matters most.
	for _, password := range []string{"password", "Password1", "iloveyou", "12345678", "11111111", "qwertyui", "p@ssw0rd", "sunshine!", "baseball7"} {
		if err := (Rules{}).Check(password, For{Factor: true}); !errors.Is(err, errCommon) && !errors.Is(err, errSequence) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// Every entry of the list is refused, whatever its length asks for.
func TestRules_WholeList(t *testing.T) {
	if n := len(commons()); n < 40_000 {
		t.Fatalf("%d entries", n)
	}
	if n := len(firsts()); n < 900 {
		t.Fatalf("%d of the most common", n)
	}
	for _, key := range firsts() {
		if len(key) > longestFirst || !has(commons(), key) {
			t.Errorf("%q is longer than longestFirst, or not common", key)
		}
	}
	for _, phrase := range famous {
		if guessable(phrase, nil) == "" {
			t.Errorf("%q is taken", phrase)
		}
	}
	long := 0
	for _, key := range commons() {
		if len(key) > longestCommon {
			t.Errorf("%q is longer than longestCommon", key)
		}
		if guessable(key, nil) == "" {
			t.Errorf("%q is taken", key)
		}
		if len(key) >= MinFactor {
			long++
		}
	}
	if long < 3000 { // OWASP ASVS 5.0, 6.2.4
		t.Errorf("%d entries are long enough", long)
	}
}

// What is chosen at random is good: four words, also with nothing between them, three with
// hardly an exception, and what a password manager makes.
func TestRules_Random(t *testing.T) {
	var words []string
	for _, word := range commons() {
		if len(word) >= 4 && len(word) <= 8 && !strings.ContainsFunc(word, func(r rune) bool { return r < 'a' || r > 'z' }) {
			words = append(words, word)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	refused := func(chosen func() string) (n int) {
		for range 1000 {
			if password := chosen(); guessable(password, nil) != "" {
				t.Logf("%q: %s", password, guessable(password, nil))
				n++
			}
		}
		return n
	}
	phrase := func(n int, between string) func() string {
		return func() string {
			var chosen []string
			for range n {
				chosen = append(chosen, words[random.IntN(len(words))])
			}
			return strings.Join(chosen, between)
		}
	}
	for _, between := range []string{" ", "-", ""} {
		if n := refused(phrase(4, between)); n > 0 {
			t.Errorf("%d of 1000 with four words and %q are refused", n, between)
		}
		if n := refused(phrase(3, between)); n > 2 {
			t.Errorf("%d of 1000 with three words and %q are refused", n, between)
		}
	}
	characters := func() string {
		text := make([]byte, 16)
		for i := range text {
			text[i] = byte('!' + random.IntN('~'-'!'+1))
		}
		return string(text)
	}
	if n := refused(characters); n > 0 {
		t.Errorf("%d of 1000 with 16 characters are refused", n)
	}
}

// The lists take no memory until they are asked, and little then.
func TestRules_ListMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	list, first := unpack(packed), unpack(packedFirst)
	if grew := heap() - before; grew > 2<<20 {
		t.Errorf("%d KiB", grew>>10)
	}
	runtime.KeepAlive(list)
	runtime.KeepAlive(first)
}

func TestRules_Context(t *testing.T) {
	words := []string{"Ostiary", "Example Corp", "default", "ada", "ada.lovelace@analytical.example", "Ada King-Lovelace", "Difference Engines Ltd", "Зоя Достоевская"}
	for _, password := range []string{
		"ada.lovelace@analytical.example", "ada.lovelace2024!", "Lovelace!Lovelace?", "adalovelace1815", "AdaKingLovelace",
		"ostiary-2024-12-24", "ostiarypassword", "0st14ry 0st14ry!", "Example Corp 2024", "ANALYTICAL.EXAMPLE", "differenceengines",
		"kinglovelaceabc123", "example.example.exa", "Досто\ufe0fевская2024", "Зоя Досто\u2060евская", "ada-ada-ada-ada-x7",
	} {
		if err := (Rules{}).Check(password, For{Words: words}); !errors.Is(err, errContext) && !errors.Is(err, errSequence) {
			t.Errorf("%q: %v", password, err)
		}
		if err := (Rules{}).Check("Q"+password+" vgz#7wy", For{Words: words}); err != nil {
			t.Errorf("%q among others: %v", password, err)
		}
	}
	for _, password := range []string{"a password of ada", "engines of that difference run", "adamant llamas graze", "no name 4 this one"} {
		if err := (Rules{}).Check(password, For{Words: words}); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// A reason tells neither the password nor a word of the account.
func TestRefusal_TellsNoSecret(t *testing.T) {
	for _, password := range []string{"hunter2", "Lovelace!Lovelace?", "password20242024", "aaaaaaaaaaaaaaaa"} {
		err := (Rules{}).Check(password, For{Words: []string{"lovelace"}})
		if err == nil || strings.Contains(strings.ToLower(err.Error()), "lovelace") || strings.Contains(err.Error(), password) {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func FuzzRules(f *testing.F) {
	for _, s := range []string{"correct horse battery", "p4ssw0rd2024", "İstanbul ﷺ 1234", "ada\u0301 ada", strings.Repeat("ß", 600)} {
		f.Add(s, "Ada Lovelace")
	}
	f.Fuzz(func(t *testing.T, password, word string) {
		err := (Rules{Classes: true}).Check(password, For{Words: []string{word, "Ostiary"}})
		if plain := (Rules{Min: MinFactor}).Check(password, For{}); plain != nil && err == nil {
			t.Errorf("%q passes with more rules, and not with fewer: %v", password, plain)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("more than one line: %q", err)
		}
	})
}

func BenchmarkUnpack(b *testing.B) {
	for b.Loop() {
		unpack(packed)
	}
}

func BenchmarkRules(b *testing.B) {
	words := []string{"Ostiary", "default", "ada", "ada.lovelace@analytical.example", "Ada King-Lovelace", "Difference Engines Ltd"}
	for name, password := range map[string]string{"passphrase": "correct horse battery stage", "longest": long(1024, "x")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = (Rules{}).Check(password, For{Words: words})
			}
		})
	}
}
