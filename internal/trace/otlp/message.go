package otlp

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ostiary/ostiary/internal/trace"
)

// message is a message of protobuf, as it is on the wire. The fields' numbers are those of
// opentelemetry/proto/trace/v1/trace.proto and of what that imports.
type message []byte

func (m *message) bytes(field protowire.Number, value []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), value)
}

func (m *message) text(field protowire.Number, value string) { m.bytes(field, []byte(value)) }

func (m *message) message(field protowire.Number, value message) { m.bytes(field, value) }

func (m *message) number(field protowire.Number, value uint64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), value)
}

func (m *message) fixed(field protowire.Number, value uint64) {
	*m = protowire.AppendFixed64(protowire.AppendTag(*m, field, protowire.Fixed64Type), value)
}

// The values that are sent of two enumerations.
const (
	kindInternal = 1 // SPAN_KIND_INTERNAL
	kindServer   = 2 // SPAN_KIND_SERVER
	codeError    = 2 // STATUS_CODE_ERROR
)

// message is an ExportTraceServiceRequest: one ResourceSpans with one ScopeSpans.
func (s *Sender) message(spans []*trace.Span) message {
	var scope, inScope, ofResource, all message
	scope.text(1, "ostiary")
	inScope.message(1, scope)
	for _, span := range spans {
		inScope.message(2, encode(span))
	}
	ofResource.message(1, s.resource)
	ofResource.message(2, inScope)
	all.message(1, ofResource)
	return all
}

// encode makes a Span.
func encode(s *trace.Span) (m message) {
	m.bytes(1, s.Trace[:])
	m.bytes(2, s.ID[:])
	if s.Parent != [8]byte{} {
		m.bytes(4, s.Parent[:])
	}
	m.text(5, s.Name)
	kind := uint64(kindInternal)
	if s.Request {
		kind = kindServer
	}
	m.number(6, kind)
	m.fixed(7, uint64(s.Began.UnixNano()))
	m.fixed(8, uint64(s.Ended.UnixNano()))
	for _, a := range s.Attributes {
		if a.Text != "" {
			m.message(9, text(a.Name, a.Text))
			continue
		}
		m.message(9, number(a.Name, a.Number))
	}
	if s.Failed {
		var status message
		status.number(3, codeError)
		m.message(15, status)
	}
	return m
}

// text and number make a KeyValue.
func text(name, value string) (m message) {
	var v message
	v.text(1, value)
	m.text(1, name)
	m.message(2, v)
	return m
}

func number(name string, value int64) (m message) {
	var v message
	v.number(3, uint64(value))
	m.text(1, name)
	m.message(2, v)
	return m
}
