// Package kubernetes holds the manifests that run chatbackfill in a cluster, and
// the tests that hold them to the program: its exit codes, its job file, its
// flags, and the image that is built of it.
//
//	common/       what all of them share: image, job file, service account
//	cronjob/      what arrived since the last run, every hour
//	indexed-job/  a whole history, on several machines at once
//	command/      one command, such as a plan or accept
package kubernetes
