package auth

import "time"

// Notice is what the clients of a mount are told of its end.
type Notice struct {
	Deprecation time.Time // since when nobody should begin to use it (RFC 9745); zero: not said
	Sunset      time.Time // when it is expected to end (RFC 8594); zero: not said
	Link        string    // where more is said of both; empty: nowhere
	Brownouts   []Window  // when it is meant to be away, in order, none in another
}

// Window is a time: from the first moment on, until just before the other.
type Window struct{ From, Until time.Time }

// Away tells whether the mount is meant to be away, and until when.
func (n *Notice) Away(now time.Time) (until time.Time, away bool) {
	for _, w := range n.Brownouts {
		if !now.Before(w.From) && now.Before(w.Until) {
			return w.Until, true
		}
	}
	return time.Time{}, false
}
