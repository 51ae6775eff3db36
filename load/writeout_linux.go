package load

import (
	"os"

	"golang.org/x/sys/unix"
)

// pageSize is what the system writes to the disk at once, in bytes.
var pageSize = int64(os.Getpagesize())

// writeOut has the system begin to write a part of a file to the disk, so that little
// is left for Sync to wait for. A page that will be appended to is not written yet.
// What goes wrong with it Sync reports.
func writeOut(f *os.File, from, to int64) {
	from, to = from&^(pageSize-1), to&^(pageSize-1)
	if from == to {
		return // of length 0 it would be all of the file
	}
	_ = unix.SyncFileRange(int(f.Fd()), from, to-from, unix.SYNC_FILE_RANGE_WRITE)
}
