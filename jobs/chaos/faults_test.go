package chaos

import (
	"fmt"
	"slices"
	"testing"
)

// fault is something that happens, and what must hold nevertheless. The
// invariants of check hold besides, always.
type fault struct {
	number int
	name   string
	holds  string
	do     func(r *rig)
	on     []combination // nil: all
	chats  int           // 0: as many as make some hundreds of events
	slow   bool          // not part of the short run
}

// onRowsIn are the combinations with rows there.
func onRowsIn(source string) (all []combination) {
	for _, c := range combinations {
		if c.source == source {
			all = append(all, c)
		}
	}
	return all
}

// onStateIn are the combinations with the state there.
func onStateIn(store string) (all []combination) {
	for _, c := range combinations {
		if c.store == store {
			all = append(all, c)
		}
	}
	return all
}

const (
	someChats = 60   // some hundreds of events, one chunk
	manyChats = 1600 // several chunks
)

// faults are all that the suite drives, in the order of their numbers.
var faults = []fault{
	{number: 1, name: "killed at random moments", holds: "what was accepted is accepted once; the next run goes on", do: killLoop, chats: manyChats},
	{number: 2, name: "killed at every failpoint", holds: "the same", do: killAtFailpoints},
	{number: 3, name: "rows commit late", holds: "no run's bound passes an open transaction; a later run delivers them", do: lateCommit, on: onRowsIn(inPostgres)},
	{number: 4, name: "all rows changed at one time, on many pages", holds: "none is missed, no page is read for ever", do: oneTime, on: onRowsIn(inPostgres)},
	{number: 5, name: "accepted, and the answer is lost", holds: "sent again with the same ids and contents", do: answersLost, chats: manyChats},
	{number: 6, name: "the source's connections break", holds: "a page that breaks off is never taken for the end", do: sourceCut, on: onRowsIn(inPostgres), chats: 400},
	{number: 8, name: "a file is truncated", holds: "the run says which, and sends nothing of the export", do: fileTruncated, on: onRowsIn(inParquet)},
	{number: 9, name: "answers out of order", holds: "the checkpoint waits for the one that is late", do: answersOutOfOrder, chats: manyChats},
	{number: 10, name: "one batch fails for ever", holds: "exit 75, the checkpoint stops before it, the others are delivered", do: oneBatchFails, chats: manyChats},
	{number: 11, name: "a bad event among good ones", holds: "it alone is rejected, in few requests, and can be sent later", do: poisonEvent, chats: 400},
	{number: 12, name: "wrong key, region or endpoint", holds: "exit 4, nothing recorded", do: notOurs},
	{number: 13, name: "redirects", holds: "exit 4, nothing arrives where they lead to", do: redirects},
	{number: 14, name: "told to stop at random moments", holds: "exit 75 while there is work left, nothing arrives twice", do: told, chats: manyChats},
	{number: 15, name: "told to stop while waiting", holds: "the wait ends at once, exit 75", do: toldWhileWaiting},
	{number: 16, name: "suspended for longer than the lease lasts", holds: "the other run goes on, this one writes nothing and exits 76", do: zombie, slow: true},
	{number: 17, name: "ten runs at once", holds: "one runs, the others exit 77; one that is killed is replaced at once", do: manyAtOnce},
	{number: 19, name: "the state store crashes", holds: "nothing is claimed; the run goes on when it is back", do: storeAway, on: onStateIn(inPostgres), chats: manyChats},
	{number: 20, name: "commits are not answered", holds: "the state is what it would be", do: commitsUnanswered, on: onStateIn(inPostgres)},
	{number: 21, name: "settings changed between runs", holds: "exit 3, unless nothing follows from them", do: settingsChanged},
	{number: 25, name: "asked to wait", holds: "the wait is obeyed within limits, and is not for ever", do: throttled, chats: manyChats},
	{number: 26, name: "a storm of errors", holds: "no loss; the run ends by itself once it is over", do: storm, chats: manyChats},
	{number: 28, name: "memory is short", holds: "a source that is larger is delivered; with too little to begin nothing is lost", do: memoryIsShort, on: combinations[:1], chats: 400, slow: true},
	{number: 30, name: "other pages, files, zone and locale", holds: "the same events, byte for byte", do: sameEverywhere},
	{number: 32, name: "the standby takes over", holds: "the run goes on there, or the next one does", do: failover, on: onRowsIn(inPostgres), chats: manyChats, slow: true},
	{number: 35, name: "others write during runs", holds: "every row is delivered once, whenever it is committed; verify finds nothing missing", do: writers, on: onRowsIn(inPostgres)},
	{number: 36, name: "nothing, one chat, nothing new", holds: "exit 0, no state is lost, nothing is sent", do: nothingNew},
	{number: 41, name: "every command in every kind of trouble", holds: "no key, no password and no text is told, logged, stored or left behind", do: nothingTold, chats: 170, slow: true},
	{number: 45, name: "files are added during a run", holds: "the next run reads them", do: filesAdded, on: onRowsIn(inParquet)},
	{number: 48, name: "shards at once, one of them killed", holds: "together they deliver everything once", do: shards, on: onStateIn(inPostgres), chats: 400},
	{number: 53, name: "the disk is full, or broken", holds: "nothing is claimed that is not kept; the run goes on, or ends with 75 and the next one does", do: diskFails, on: onStateIn(inSQLite), chats: 20},
	{number: 54, name: "killed at every sync of the state file", holds: "it opens, and is as one transaction has left it", do: killedAtSync, on: combinations[:1], chats: 8},
	{number: 55, name: "the state file is locked, or damaged", holds: "the run waits, or ends with an error; nothing is begun anew over it", do: storeLocked, on: onStateIn(inSQLite)},
	{number: 56, name: "many find an empty state store", holds: "one schema, all go on", do: manyMigrate},
	{number: 64, name: "200 without acceptance", holds: "exit 4, nothing recorded", do: notAnAPI},
	{number: 65, name: "nobody listens", holds: "exit 75, nothing recorded", do: nobodyThere},
	{number: 66, name: "the network falls silent", holds: "what was waited for is tried again; the lease stays", do: networkFallsSilent, on: combinations[1:2], chats: manyChats, slow: true},
	{number: 67, name: "a slow network that breaks now and then", holds: "no loss", do: slowNetwork, on: combinations[:2], slow: true},
	{number: 68, name: "everything at once", holds: "all of it", do: everything, chats: 800},
	{number: 69, name: "the destination is slow", holds: "no transaction stays open, memory does not grow", do: heldUp, chats: manyChats},
	{number: 70, name: "the table changes while it is read", holds: "the run goes on or says so; no column is taken for another", do: schemaDrifts, on: onRowsIn(inPostgres), chats: 200},
	{number: 71, name: "a customer is suppressed between two runs", holds: "nothing further is sent of them", do: suppressed, chats: 400},
	{number: 72, name: "a flood of rejects", holds: "exit 5 before much is sent; everything is sent once it is mended", do: floodOfRejects, on: onRowsIn(inPostgres), chats: 400},
	{number: 74, name: "metrics", holds: "they say what was accepted", do: metricsAreTrue},
	{number: 75, name: "an event was lost", holds: "verify names it, exit 6; a run that reads everything sends it", do: lossIsFound},
}

// TestFaults does to the program what the table says.
func TestFaults(t *testing.T) {
	t.Parallel()
	if *only != 0 && *only != 76 && !slices.ContainsFunc(faults, func(f fault) bool { return f.number == *only }) {
		t.Fatalf("there is no fault %d here; docs/guarantees.md says which tests hold what", *only)
	}
	for _, f := range slowFirst(faults) {
		if *only != 0 && *only != f.number {
			continue
		}
		for _, c := range f.combinations() {
			t.Run(fmt.Sprintf("%02d %s/%v", f.number, f.name, c), func(t *testing.T) {
				t.Parallel()
				chats := f.chats
				if chats == 0 {
					chats = someChats
				}
				f.do(newRig(t, c, *seed, chats))
			})
		}
	}
}

// slowFirst puts those in front that wait for long, so that nothing waits for them.
func slowFirst(faults []fault) []fault {
	slow := func(f fault) bool { return f.slow }
	others := slices.DeleteFunc(slices.Clone(faults), slow)
	return append(slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !slow(f) }), others...)
}

// combinations are those that the fault is tried on: in the short run one, that
// differs from fault to fault.
func (f *fault) combinations() []combination {
	on := f.on
	if on == nil {
		on = combinations
	}
	if thorough() {
		return on
	}
	if f.slow {
		return nil
	}
	i := (f.number + int(*seed)) % len(on)
	return on[i : i+1]
}

// TestFaultsAreNumbered: a number names one fault.
func TestFaultsAreNumbered(t *testing.T) {
	for i, f := range faults {
		if i > 0 && f.number <= faults[i-1].number {
			t.Errorf("fault %d comes after fault %d", f.number, faults[i-1].number)
		}
		if f.name == "" || f.holds == "" || f.do == nil {
			t.Errorf("fault %d is not complete", f.number)
		}
	}
}
