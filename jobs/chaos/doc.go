// Package chaos holds the fault suite: tests that break the program in every
// way that is known to happen, as a process among real ones, and look whether
// it keeps its promises.
//
//	workload   chats made up from a seed, that grow from one run to the next
//	source     the same rows as Parquet files and as a Postgres table
//	oracle     which events must have been accepted, from the rows themselves
//	rig        a job, its processes, its state store, a local Segment
//	proxy      what stands between the program and databases, and breaks
//	syscalls   answers the program's system calls, as a broken disk does
//	invariants what holds after every fault, whatever it was
//	faults     the table: a number, a name, what must hold, what is done
//
// "make chaos" runs all faults, on both sources and both state stores;
// "make chaos ROW=16 SEED=7" repeats one of them with the rows of a seed. What
// "make test" runs of it is short: each fault that is quick, on one source and
// one store.
package chaos
