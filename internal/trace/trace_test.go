package trace

import (
	"context"
	"strings"
	"testing"
)

const example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParseParent_Text(t *testing.T) {
	for text, want := range map[string][2]bool{ // good, sampled
		example: {true, true},
		strings.Replace(example, "-01", "-00", 1):   {true, false},
		strings.Replace(example, "-01", "-03", 1):   {true, true},
		"cc" + example[2:]:                          {true, true}, // of a version to come
		"cc" + example[2:] + "-what-the-future-has": {true, true},
		"":                       {},
		example[:54]:             {},
		example + "-x":           {}, // of version 00, whose length is known
		"cc" + example[2:] + "x": {},
		"ff" + example[2:]:       {},
		strings.ToUpper(example): {},
		" " + example[1:]:        {},
		strings.Replace(example, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1): {},
		strings.Replace(example, "b7ad6b7169203331", strings.Repeat("0", 16), 1):                 {},
		strings.Replace(example, "b7ad", "b7ag", 1):                                              {},
		strings.Replace(example, "c-b", "c_b", 1):                                                {},
		strings.Replace(example, "-01", "-0x", 1):                                                {},
		strings.Repeat("-", 55):                                                                  {},
	} {
		p, ok := ParseParent(text)
		if ok != want[0] || p.Sampled != want[1] || !ok && p != (Parent{}) {
			t.Errorf("%q: %v %+v", text, ok, p)
		}
	}
	if p, _ := ParseParent(example); p.Trace[0] != 0x0a || p.Trace[15] != 0x9c || p.ID[0] != 0xb7 || p.ID[7] != 0x31 {
		t.Errorf("%+v", p)
	}
}

func FuzzParseParent(f *testing.F) {
	f.Add(example)
	f.Add("cc" + example[2:] + "-x")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := ParseParent(text)
		if ok && (p.Trace == [16]byte{} || p.ID == [8]byte{} || len(text) < len(example) || text != strings.ToLower(text[:55])+text[55:]) || !ok && p != (Parent{}) {
			t.Errorf("%q: %+v", text, p)
		}
	})
}

// within is a context of a request.
func within(t *testing.T, s *Span) context.Context {
	return context.WithValue(t.Context(), Key{}, s)
}

func TestTracer_Stages(t *testing.T) {
	tracer := New(1)
	request := tracer.Request("")
	stage := Start(within(t, request), "hash")
	stage.End()
	request.Say("a", "b")
	request.Say("none", "")
	request.SayNumber("n", 7)
	request.End()
	first, second := <-tracer.Ended(), <-tracer.Ended()
	if first != stage || second != request || stage.Trace != request.Trace || stage.Parent != request.ID || stage.ID == request.ID ||
		stage.Name != "hash" || stage.Request || !request.Request || request.Parent != [8]byte{} || request.ID == [8]byte{} || request.Trace == [16]byte{} ||
		stage.Began.Before(request.Began) || stage.Ended.After(request.Ended) || stage.Ended.Before(stage.Began) {
		t.Errorf("%+v\n%+v", first, second)
	}
	if len(request.Attributes) != 2 || request.Attributes[0] != (Attribute{Name: "a", Text: "b"}) || request.Attributes[1] != (Attribute{Name: "n", Number: 7}) {
		t.Errorf("%+v", request.Attributes)
	}
	if Start(t.Context(), "hash") != nil {
		t.Error("a stage of no request")
	}
	if other := tracer.Request(""); other.Trace == request.Trace {
		t.Error("two requests in one trace")
	}
}

func TestTracer_Parent(t *testing.T) {
	for _, share := range []float64{0, 1} {
		tracer := New(share)
		s := tracer.Request(example)
		if p, _ := ParseParent(example); s == nil || s.Trace != p.Trace || s.Parent != p.ID || s.ID == p.ID {
			t.Errorf("share %v: %+v", share, s)
		}
		if s := tracer.Request(strings.Replace(example, "-01", "-00", 1)); s != nil {
			t.Errorf("share %v: traced, though its parent is not", share)
		}
		if s := tracer.Request("nonsense"); (s != nil) != (share == 1) {
			t.Errorf("share %v: %+v", share, s)
		}
	}
}

func TestTracer_Share(t *testing.T) {
	tracer := New(0.25)
	const many = 20000
	count := func() (n int) {
		for range many {
			if tracer.Request("") != nil {
				n++
			}
		}
		return n
	}
	if n := count(); n < many/4-600 || n > many/4+600 { // ten standard deviations
		t.Errorf("%d of %d", n, many)
	}
	tracer.SetShare(0)
	if n := count(); n != 0 {
		t.Errorf("%d of none", n)
	}
	tracer.SetShare(1)
	if n := count(); n != many {
		t.Errorf("%d of all", n)
	}
}

// Nothing waits for whoever takes the spans.
func TestTracer_NobodyTakes(t *testing.T) {
	tracer := New(1)
	for range waiting + 10 {
		tracer.Request("").End()
	}
	if tracer.Dropped() != 10 || len(tracer.Ended()) != waiting {
		t.Errorf("%d dropped, %d wait", tracer.Dropped(), len(tracer.Ended()))
	}
	tracer.Drop(5)
	if tracer.Dropped() != 15 {
		t.Error(tracer.Dropped())
	}
}

func TestTracer_Off(t *testing.T) {
	var tracer *Tracer
	tracer.SetShare(1)
	s := tracer.Request(example)
	s.Say("a", "b")
	s.SayNumber("a", 1)
	s.End()
	Start(within(t, s), "hash").End()
	if s != nil || tracer.Dropped() != 0 {
		t.Errorf("%+v", s)
	}
}
