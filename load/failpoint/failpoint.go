// Package failpoint marks the steps at which the fault suite ends the program,
// as a power cut would. In a build without the tag "failpoint", which is every
// build that is meant to be used, a mark is nothing at all.
//
// With the tag the variable CHATBACKFILL_FAILPOINT names a mark and how often it
// is passed before the program kills itself there: "commit-before@2" lets it
// pass once. "commit-before@panic" panics there instead.
package failpoint

// Variable is the environment variable that names a failpoint.
const Variable = "CHATBACKFILL_FAILPOINT"
