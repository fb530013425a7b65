package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

func nested(opening, closing string, depth int) []byte {
	return []byte(`{"x":` + strings.Repeat(opening, depth-1) + "1" + strings.Repeat(closing, depth-1) + "}")
}

func TestDecode_Depth(t *testing.T) {
	for _, shape := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		for _, dst := range []any{&login{}, &map[string]any{}, &map[string]json.RawMessage{}} {
			if err := Decode(nested(shape[0], shape[1], MaxDepth), dst); err != nil {
				t.Errorf("%T at the limit: %v", dst, err)
			}
			if err := Decode(nested(shape[0], shape[1], MaxDepth+1), dst); err == nil || !strings.Contains(err.Error(), "too deeply") {
				t.Errorf("%T over the limit: %v", dst, err)
			}
		}
	}
}

// allocated runs f and returns the bytes that it allocated and the time that it took.
func allocated(f func()) (uint64, time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

func TestThreat58_ComplexityBounded(t *testing.T) {
	var names, same bytes.Buffer
	names.WriteString(`{"x":0`)
	same.WriteString(`{"x":[{}`)
	for i := range 1_000_000 {
		fmt.Fprintf(&names, `,"%07d":0`, i)
		same.WriteString(`,{"a":0}`)
	}
	names.WriteString("}")
	same.WriteString("]}")
	for name, data := range map[string][]byte{
		"arrays 10^5 deep":  nested("[", "]", 100_000),
		"objects 10^5 deep": nested(`{"a":`, "}", 100_000),
		"10^6 names":        names.Bytes(),
		"10^6 objects":      same.Bytes(),
	} {
		var err error
		bytes, took := allocated(func() { err = Decode(data, &login{}) })
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if bytes > 4<<20 || took > 2*time.Second {
			t.Errorf("%s: %d KiB in %v", name, bytes>>10, took)
		}
	}
}

func TestThreat58_ManyNamesFindTheDuplicate(t *testing.T) {
	var body bytes.Buffer
	body.WriteString(`{"x":0`)
	for i := range 10_000 {
		fmt.Fprintf(&body, `,"%d":0`, i)
	}
	if err := Decode([]byte(body.String()+"}"), &login{}); err != nil {
		t.Errorf("10^4 names: %v", err)
	}
	for _, twice := range []string{"x", "0", "11", "12", "9999"} {
		if err := Decode(fmt.Appendf(nil, `%s,"%s":0}`, body.String(), twice), &login{}); err == nil {
			t.Errorf("%s is there twice", twice)
		}
	}
}

func TestDecode_Allocations(t *testing.T) {
	data := []byte(`{"username":"somebody@example.com","password":"correct horse battery staple","extra":{"a":[1,2,{"b":null}]}}`)
	var dst struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	n := testing.AllocsPerRun(100, func() {
		if err := Decode(data, &dst); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(`{"username":"somebody@example.com","password":"correct horse battery staple"}`)
	b.ReportAllocs()
	for b.Loop() {
		var dst struct {
			Username string `json:"username"`
			Password string `json:"password"`
		}
		if err := Decode(data, &dst); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDecode holds that whatever is accepted is JSON in the eyes of
// encoding/json too, with the same members, and reads the same the second time.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"username":"a","password":"b"}`, `{"any":[1e3,"\ud83d\ude00",{"a":null}],"age":3}`, `{"a":1,"a":2}`, `{"username":"\ud800"}`, "{\"x\":\"\xff\"}", `{"inner":{"deep":"x"},"roles":["a"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var dst login
		_ = Decode(data, &dst)
		var got map[string]any
		if err := Decode(data, &got); err != nil {
			if !strings.HasPrefix(err.Error(), "the body ") {
				t.Fatalf("an error that is not of the document: %v", err)
			}
			return
		}
		reader := json.NewDecoder(bytes.NewReader(data))
		reader.UseNumber()
		var want map[string]any
		if err := reader.Decode(&want); err != nil {
			t.Fatalf("accepted %q: %v", data, err)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if !bytes.Equal(a, b) {
			t.Fatalf("%q: got %s, want %s", data, b, a)
		}
		if err := Decode(b, &got); err != nil {
			t.Fatalf("refused its own %s: %v", b, err)
		}
	})
}
