package web

import (
	"bytes"
	"math"
)

// framing follows the requests of one HTTP/1 connection as they come in, to know where
// each ends, and finds what two readers of them could understand in two ways. net/http
// reads most of this as it was probably meant, so that a proxy in front, which may have
// meant it otherwise, could be led to put one client's request inside another's. Refused
// are (RFC 9112):
//
//   - a line of a head or a trailer that ends with LF alone (section 2.2)
//   - a field line that starts with white space: obs-fold (section 5.2)
//   - a second Content-Length, be it the same, or one that is no number (section 6.3)
//   - Content-Length and Transfer-Encoding in one request (section 6.1)
//   - Transfer-Encoding twice, or in HTTP/1.0 (section 6.1)
//
// What net/http refuses of itself is left to it: white space before the colon, NUL and CR
// inside a line, codings other than chunked.
//
// It keeps no bytes: a head may arrive one at a time.
type framing struct {
	state  state
	cr     bool   // the last byte was CR
	last   byte   // of the request line, but for the CR at its end
	sized  bool   // the head has a Content-Length
	coded  coding // its Transfer-Encoding
	digits int    // seen of a number; -1: white space came after them
	match  int    // bytes that are as of the name or coding that is looked for
	left   uint64 // bytes of the body or the chunk that are to come; a number while it is read
}

type state uint8

const (
	inRequestStart state = iota
	inRequestLine
	inLineStart // of a field line, which may be empty
	inLengthName
	inCodingName
	inLine // whatever else comes in a field line
	inLength
	inCoding
	inBody
	inChunkSize
	inChunkExtension
	inChunk
	inChunkEnd
	inTrailerStart
	inTrailerLine
	isOver // nothing more is to be read
)

type coding uint8

const (
	notCoded coding = iota
	chunkedCoding
	otherCoding
)

const (
	lengthName  = "content-length:"
	codingName  = "transfer-encoding:"
	chunkedName = "chunked"
)

// Why a request is refused, for the log.
const (
	badLine     = "a line of the head does not end with CRLF"
	badFold     = "a line of the head starts with white space"
	badLength   = "Content-Length twice, or no number"
	badBoth     = "both Content-Length and Transfer-Encoding"
	badCoding   = "Transfer-Encoding twice, or in HTTP/1.0"
	badChunking = "a chunk is not well-formed"
)

// scan follows the bytes of b. It returns how many of them may be read, and why no more.
func (f *framing) scan(b []byte) (n int, why string) {
	for n < len(b) {
		switch f.state {
		case inRequestLine, inLine, inTrailerLine, inChunkExtension:
			n, why = f.line(b, n)
		case inBody, inChunk:
			n += f.body(len(b) - n)
		case isOver:
			return n, ""
		default:
			if why = f.octet(b[n]); why == "" && f.state != inLine && f.state != inTrailerLine && f.state != inRequestLine {
				n++
			}
		}
		if why != "" {
			return n, why
		}
	}
	return n, ""
}

// line goes on with a line, at b[i], of which only the end is of interest.
func (f *framing) line(b []byte, i int) (int, string) {
	rest := b[i:]
	end := bytes.IndexByte(rest, '\n')
	if end >= 0 {
		rest = rest[:end]
	}
	if n := len(rest); n > 0 {
		if f.cr && f.state == inRequestLine {
			f.last = '\r'
		}
		if f.cr = rest[n-1] == '\r'; f.cr {
			n--
		}
		if n > 0 && f.state == inRequestLine {
			f.last = rest[n-1]
		}
	}
	switch {
	case end < 0:
		return len(b), ""
	case !f.cr:
		return i + end, badLine
	}
	f.endLine()
	return i + end + 1, ""
}

// endLine goes on behind the CRLF of a line.
func (f *framing) endLine() {
	f.cr = false
	switch f.state {
	case inTrailerLine:
		f.state = inTrailerStart
	case inChunkExtension:
		f.endChunkSize()
	default:
		f.state = inLineStart
	}
}

// endHead goes on behind a head.
func (f *framing) endHead() {
	switch {
	case f.coded == otherCoding: // net/http answers 501, and reads no more
		*f = framing{state: isOver}
	case f.coded == chunkedCoding:
		*f = framing{state: inChunkSize}
	case f.left > 0:
		*f = framing{state: inBody, left: f.left}
	default:
		*f = framing{}
	}
}

func (f *framing) endChunkSize() {
	f.state, f.digits = inChunk, 0
	if f.left == 0 {
		f.state = inTrailerStart
	}
}

// body goes on with a body or a chunk of which n bytes are there, and takes as many of
// them as it has.
func (f *framing) body(n int) int {
	took := min(uint64(n), f.left)
	if f.left -= took; f.left == 0 {
		if f.state == inBody {
			*f = framing{}
		} else {
			f.state = inChunkEnd
		}
	}
	return int(took)
}

// octet goes on with one byte where each counts. If that is part of a line of which only
// the end counts, it says so by the state, and takes no byte.
func (f *framing) octet(c byte) (why string) {
	if f.cr {
		if c != '\n' {
			return badLine
		}
		f.cr = false
		return f.endOctets()
	}
	if c == '\r' && f.state != inLengthName && f.state != inCodingName {
		f.cr = true
		return ""
	}
	switch f.state {
	case inRequestStart, inLineStart, inTrailerStart:
		return f.lineStart(c)
	case inLengthName:
		return f.name(c, lengthName)
	case inCodingName:
		return f.name(c, codingName)
	case inLength:
		return f.length(c)
	case inCoding:
		return f.coding(c)
	case inChunkSize:
		return f.chunkSize(c)
	}
	return badChunking // inChunkEnd
}

// endOctets goes on behind the CRLF of a line in which each byte counted.
func (f *framing) endOctets() (why string) {
	switch f.state {
	case inLineStart:
		f.endHead()
	case inRequestStart: // net/http skips an empty line before a request, or refuses it
	case inTrailerStart:
		*f = framing{}
	case inLength:
		if f.digits == 0 {
			return badLength
		}
		f.state = inLineStart
	case inCoding:
		if f.match == len(chunkedName) {
			f.coded = chunkedCoding
		}
		f.state = inLineStart
	case inChunkSize:
		if f.digits == 0 {
			return badChunking
		}
		f.endChunkSize()
	default: // inChunkEnd
		f.state = inChunkSize
	}
	return ""
}

func (f *framing) lineStart(c byte) (why string) {
	f.match = 0
	switch {
	case f.state == inRequestStart:
		f.state = inRequestLine
	case c == ' ' || c == '\t':
		return badFold
	case f.state == inTrailerStart:
		f.state = inTrailerLine
	case c == 'c' || c == 'C':
		f.state, f.match = inLengthName, 1
	case c == 't' || c == 'T':
		f.state, f.match = inCodingName, 1
	default:
		f.state = inLine
	}
	return ""
}

// name goes on with a field name that has begun as want.
func (f *framing) name(c byte, want string) (why string) {
	if lower(c) != want[f.match] {
		f.state = inLine
		return ""
	}
	if f.match++; f.match < len(want) {
		return ""
	}
	f.match, f.digits = 0, 0
	switch {
	case f.state == inLengthName && f.sized:
		return badLength
	case f.state == inLengthName && f.coded != notCoded, f.state == inCodingName && f.sized:
		return badBoth
	case f.state == inLengthName:
		f.state, f.sized = inLength, true
	case f.coded != notCoded || f.last != '1': // the end of "HTTP/1.1"
		return badCoding
	default:
		f.state, f.coded = inCoding, otherCoding
	}
	return ""
}

// length goes on with the value of Content-Length.
func (f *framing) length(c byte) (why string) {
	switch {
	case c == ' ' || c == '\t':
		if f.digits > 0 {
			f.digits = -1
		}
	case c < '0' || c > '9' || f.digits < 0 || f.left > (math.MaxInt64-9)/10:
		return badLength
	default:
		f.left = 10*f.left + uint64(c-'0')
		f.digits = 1
	}
	return ""
}

// coding goes on with the value of Transfer-Encoding.
func (f *framing) coding(c byte) (why string) {
	blank := c == ' ' || c == '\t'
	switch {
	case blank && (f.match == 0 || f.match == len(chunkedName)):
	case f.match < len(chunkedName) && lower(c) == chunkedName[f.match]:
		f.match++
	default: // another one
		f.state = inLine
	}
	return ""
}

// chunkSize goes on with the line before a chunk (RFC 9112 section 7.1).
func (f *framing) chunkSize(c byte) (why string) {
	digit, hex := unhex(c)
	switch {
	case hex && f.digits >= 0 && f.digits < 16:
		f.left = f.left<<4 | uint64(digit)
		f.digits++
	case f.digits > 0 && c == ';':
		f.state = inChunkExtension
	case f.digits != 0 && (c == ' ' || c == '\t'): // white space at the end of the line
		f.digits = -1
	default:
		return badChunking
	}
	return ""
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func unhex(c byte) (digit byte, ok bool) {
	switch c = lower(c); {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
