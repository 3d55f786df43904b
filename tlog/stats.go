package tlog

import (
	"sync/atomic"
	"time"
)

// Stats counts since Open what a log has done, for metrics.
type Stats struct {
	Batches  uint64 // committed
	Entries  uint64 // appended
	Refused  uint64 // refused by the storage, each for its own reason
	Failed   uint64 // attempts to commit that failed for certain
	Unknown  uint64 // attempts whose outcome was not known at once
	Waiting  int    // entries in the queue now
	InDoubt  bool   // entries are refused because a commit stays unknown
	Size     uint64 // of the head last known to be committed
	MarkFail uint64 // failed writes of the high-water mark

	MarkAge time.Duration // for how long the high-water mark has lacked a commit; 0 if it lacks none
}

type stats struct {
	batches, entries, refused, failed, unknown atomic.Uint64
}

func (s *stats) add(entries, refused int) {
	if entries > 0 {
		s.batches.Add(1)
	}
	s.entries.Add(uint64(entries))
	s.refused.Add(uint64(refused))
}

// Stats returns the present counts.
func (l *Log) Stats() Stats {
	s := Stats{
		Batches: l.stats.batches.Load(),
		Entries: l.stats.entries.Load(),
		Refused: l.stats.refused.Load(),
		Failed:  l.stats.failed.Load(),
		Unknown: l.stats.unknown.Load(),
		Waiting: len(l.queue),
		InDoubt: l.doubt.Load(),
		Size:    l.known.Load().Size,
	}
	if l.mark != nil {
		s.MarkFail, s.MarkAge = l.mark.failures.Load(), l.mark.age()
	}
	return s
}
