package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type word string

type login struct {
	Username string `json:"username"`
	Password word   `json:"password,omitempty"`
	Code     *string
	TOTP     *string         `json:"totp"`
	Age      int8            `json:"age"`
	Size     uint64          `json:"size"`
	Ratio    float64         `json:"ratio"`
	On       bool            `json:"on"`
	Roles    []string        `json:"roles"`
	Alias    map[word]string `json:"alias"`
	Raw      json.RawMessage `json:"raw"`
	Any      any             `json:"any"`
	Inner    struct {
		Deep string `json:"deep"`
	} `json:"inner"`
	embedded
}

type embedded struct {
	Outer string `json:"outer"`
}

func TestDecode_FillsFields(t *testing.T) {
	code := "123456"
	var got login
	err := Decode([]byte(` { "username" : "j\u00f6\ud83d\ude00\n\/\"\\" , "password":"pä:ss","totp":"123456","age":-128,"size":18446744073709551615,
		"ratio":-1.5e3,"on":true,"roles":["a",null,"b"],"alias":{"x":"y"},"raw":{ "k":[1] },"any":{"n":1e309,"l":[true,null,"s"]},
		"inner":{"deep":"d","other":[{}]},"outer":"o","Code":"ignored","extra":{"username":1} }
	`), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := login{
		Username: "jö😀\n/\"\\", Password: "pä:ss", TOTP: &code, Age: -128, Size: 1<<64 - 1, Ratio: -1500, On: true,
		Roles: []string{"a", "", "b"}, Alias: map[word]string{"x": "y"}, Raw: json.RawMessage(`{ "k":[1] }`),
		Any:      map[string]any{"n": json.Number("1e309"), "l": []any{true, nil, "s"}},
		embedded: embedded{Outer: "o"},
	}
	want.Inner.Deep = "d"
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(login{})); diff != "" {
		t.Error(diff)
	}
}

func TestDecode_NullLeavesZero(t *testing.T) {
	var got login
	err := Decode([]byte(`{"username":null,"totp":null,"age":null,"on":null,"roles":null,"alias":null,"any":null,"inner":null,"raw":null}`), &got)
	if diff := cmp.Diff(login{Raw: json.RawMessage("null")}, got, cmp.AllowUnexported(login{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestThreat57_JSONTricks(t *testing.T) {
	const body, user, password = "the body ", `the field "username" `, `the field "password" `
	tests := map[string]string{
		``:                                     body + "is empty",
		" \n":                                  body + "is empty",
		`[]`:                                   body + "must be a JSON object",
		`null`:                                 body + "must be a JSON object",
		`"x"`:                                  body + "must be a JSON object",
		"\xef\xbb\xbf{}":                       body + "must be a JSON object",
		`{}{}`:                                 body + "has data after the JSON object",
		`{} x`:                                 body + "has data after the JSON object",
		"{}\x00":                               body + "has data after the JSON object",
		`{`:                                    body + "is not valid JSON",
		`{"username"`:                          body + "is not valid JSON",
		`{"username":`:                         user + "is not valid JSON",
		`{"username":"a`:                       user + "ends too early",
		`{"username":"a\`:                      user + "ends too early",
		`{"username":"a",}`:                    body + "is not valid JSON",
		`{,}`:                                  body + "is not valid JSON",
		`{'username':'a'}`:                     body + "is not valid JSON",
		`{"username":"a" /* c */}`:             body + "is not valid JSON",
		`{"username":"a","username":"b"}`:      user + "is there twice",
		`{"username":"a","\u0075sername":"b"}`: user + "is there twice",
		`{"username":null,"username":"b"}`:     user + "is there twice",
		`{"x":1,"x":1}`:                        body + "has a name twice",
		`{"x":{"y":1,"y":1}}`:                  body + "has a name twice",
		`{"x":[[{"y":1,"y":1}]]}`:              body + "has a name twice",
		`{"inner":{"deep":"a","deep":"b"}}`:    `the field "inner.deep" is there twice`,
		`{"raw":{"a":1,"a":2}}`:                `the field "raw" has a name twice`,
		"{\"username\":\"\xff\"}":              user + "is not valid UTF-8",
		"{\"username\":\"\xc0\xaf\"}":          user + "is not valid UTF-8",
		"{\"username\":\"\xed\xa0\x80\"}":      user + "is not valid UTF-8",
		"{\"\xff\":1}":                         body + "is not valid UTF-8",
		`{"username":"\ud800"}`:                user + "has a lone surrogate",
		`{"username":"\udfff"}`:                user + "has a lone surrogate",
		`{"username":"\ud83d\ud83d"}`:          user + "has a lone surrogate",
		`{"username":"\ud83d\n\ude00"}`:        user + "has a lone surrogate",
		`{"username":"\ude00\ud83d"}`:          user + "has a lone surrogate",
		`{"\ud800":1}`:                         body + "has a lone surrogate",
		`{"x":["\ud800"]}`:                     body + "has a lone surrogate",
		`{"username":"\x41"}`:                  user + "is not valid JSON",
		`{"username":"\u00g0"}`:                user + "is not valid JSON",
		"{\"username\":\"a\nb\"}":              user + "has a control character in a string",
		"{\"username\":\"a\x00b\"}":            user + "has a control character in a string",
		`{"username":1}`:                       user + "must be a string",
		`{"username":9223372036854775808}`:     user + "must be a string",
		`{"username":-1}`:                      user + "must be a string",
		`{"username":1e309}`:                   user + "must be a string",
		`{"username":true}`:                    user + "must be a string",
		`{"username":["a"]}`:                   user + "must be a string",
		`{"username":{"a":"b"}}`:               user + "must be a string",
		`{"password":0}`:                       password + "must be a string",
		`{"totp":123456}`:                      `the field "totp" must be a string`,
		`{"age":"1"}`:                          `the field "age" must be an integer`,
		`{"age":1.0}`:                          `the field "age" must be an integer`,
		`{"age":128}`:                          `the field "age" is out of range`,
		`{"age":9223372036854775808}`:          `the field "age" is out of range`,
		`{"size":-1}`:                          `the field "size" is out of range`,
		`{"ratio":1e309}`:                      `the field "ratio" is out of range`,
		`{"on":"true"}`:                        `the field "on" must be true or false`,
		`{"on":1}`:                             `the field "on" must be true or false`,
		`{"roles":"a"}`:                        `the field "roles" must be an array`,
		`{"roles":[1]}`:                        `the field "roles" must be a string`,
		`{"alias":[]}`:                         `the field "alias" must be an object`,
		`{"inner":"x"}`:                        `the field "inner" must be an object`,
		`{"inner":{"deep":1}}`:                 `the field "inner.deep" must be a string`,
		`{"x":01}`:                             body + "is not valid JSON",
		`{"x":+1}`:                             body + "is not valid JSON",
		`{"x":1.}`:                             body + "is not valid JSON",
		`{"x":.5}`:                             body + "is not valid JSON",
		`{"x":1e}`:                             body + "is not valid JSON",
		`{"x":-}`:                              body + "is not valid JSON",
		`{"x":NaN}`:                            body + "is not valid JSON",
		`{"x":nul}`:                            body + "is not valid JSON",
		`{"x":truE}`:                           body + "is not valid JSON",
		`{"x":[1,]}`:                           body + "is not valid JSON",
		`{"x":[1 2]}`:                          body + "is not valid JSON",
	}
	for in, want := range tests {
		var dst login
		err := Decode([]byte(in), &dst)
		if e, ok := errors.AsType[*Error](err); !ok || e.Error() != want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

func TestThreat57_OtherCaseIsAnotherName(t *testing.T) {
	var got login
	err := Decode([]byte(`{"Username":"evil","USERNAME":7,"username":"good","\u0050assword":"evil","uſername":"evil"}`), &got)
	if err != nil || got.Username != "good" || got.Password != "" {
		t.Errorf("%v %+v", err, got)
	}
}

func TestThreat13_NULIsACharacter(t *testing.T) {
	var got login
	if err := Decode([]byte(`{"username":"a\u0000b"}`), &got); err != nil || got.Username != "a\x00b" {
		t.Errorf("%v %q", err, got.Username)
	}
}

func TestDecode_ErrorsHideValues(t *testing.T) {
	for _, in := range []string{`{"username":"hunter2","username":"hunter2"}`, `{"age":"hunter2"}`, `{"hunter2":1,"hunter2":2}`, `{"username":"hunter2\ud800"}`} {
		var dst login
		if err := Decode([]byte(in), &dst); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestDecode_CopiesData(t *testing.T) {
	data := []byte(`{"username":"secret","raw":"secret","roles":["secret"],"any":{"secret":"secret"}}`)
	var got login
	if err := Decode(data, &got); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if got.Username != "secret" || string(got.Raw) != `"secret"` || got.Roles[0] != "secret" || got.Any.(map[string]any)["secret"] != "secret" {
		t.Errorf("changed with the input: %+v", got)
	}
}

func TestDecode_CallersFault(t *testing.T) {
	var number int
	for name, dst := range map[string]any{
		"nil": nil, "value": login{}, "nil pointer": (*login)(nil), "number": &number,
		"channel": &struct {
			X chan int `json:"x"`
		}{},
		"function": &struct {
			X func() `json:"x"`
		}{},
	} {
		err := Decode([]byte(`{"x":{}}`), dst)
		if _, theirs := errors.AsType[*Error](err); err == nil || theirs {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestObject_Members(t *testing.T) {
	got, err := Object([]byte(`{"a":{"b":[1, 2]},"A":null}`))
	want := map[string]json.RawMessage{"a": json.RawMessage(`{"b":[1, 2]}`), "A": json.RawMessage("null")}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got, err := Object([]byte(`{"a":1,"a":1}`)); err == nil || got != nil {
		t.Errorf("duplicate: %v %v", got, err)
	}
}
