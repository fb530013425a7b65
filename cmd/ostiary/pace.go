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

// haste is how many times as many rows as usual a transaction deletes, if there has been more to
// delete for so long: a server that makes more than it deletes would never be done.
func haste(long time.Duration) int {
	return 1 << min(max(long-45*time.Minute, 0)/(15*time.Minute), 4)
}
