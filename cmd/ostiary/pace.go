package main

import "time"

// pace is how many batches of deletions in a row have been full. The more there were, the
// larger the next ones are, and the shorter the rests between them: a short sweep disturbs
// nobody, and a long one gets done.
type pace int

const (
	paceStep = 16  // batches, after each of which it goes faster
	mostRows = 200 // of a kind at once, in many small transactions
)

// rows are how many of a kind are deleted at once.
func (p pace) rows() int {
	return min(50<<min(p/paceStep, 2), mostRows)
}

// pause is how long deletions rest after some that took so long: the longer, the more others
// there are that write. They rest between transactions, too.
func (p pace) pause(took time.Duration) time.Duration {
	share := 8 >> min(p/paceStep, 4)
	return min(max(time.Duration(share)*took, 10*time.Millisecond), 2*time.Second)
}

// overdue is how far deletions are with what there is to delete.
type overdue struct {
	pace
	since time.Time // there has been more than a batch; zero: there is not
}

// more tells that a batch that began then was full.
func (o *overdue) more(began time.Time) {
	if o.pace++; o.since.IsZero() {
		o.since = began
	}
}

// failed has deletions begin slowly again. What there was is still there.
func (o *overdue) failed() { o.pace = 0 }

// times is the haste of a batch that begins now.
func (o *overdue) times(now time.Time) int {
	if o.since.IsZero() {
		return 1
	}
	return haste(now.Sub(o.since))
}

// haste is how many times as many rows as usual a transaction deletes, if there has been more to
// delete for so long: 2 from an hour on, and twice as many after each further quarter of an hour, up
// to 16. A server that makes more than it deletes would never be done.
func haste(long time.Duration) int {
	return 1 << min(max(long-45*time.Minute, 0)/(15*time.Minute), 4)
}
