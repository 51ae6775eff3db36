package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// CheckPath returns why events cannot be written to a path by a job that goes on
// from state, as [OpenFile] and [OpenParquet] would; nil if they can. It writes
// nothing. The error is a [*Misconfigured], or that of the file system.
func CheckPath(path string, state json.RawMessage) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkFolder(folderOf(path))
	case err != nil:
		return err
	case strings.HasSuffix(path, ParquetExtension):
		if !info.IsDir() {
			return &Misconfigured{
				Problem: fmt.Sprintf("open %s: it is not a folder", path),
				Advice:  "set destination.file.path to a folder",
			}
		}
		return checkFolder(path)
	case info.Mode().IsRegular() && info.Size() > 0 && state == nil:
		return &Misconfigured{
			Problem: fmt.Sprintf("open %s: the file has %d bytes that this job did not write", path, info.Size()),
			Advice:  "move the file away, or set destination.file.path to another one",
		}
	case !info.Mode().IsRegular():
		return &Misconfigured{
			Problem: fmt.Sprintf("open %s: it is not a regular file", path),
			Advice:  "set destination.file.path to a file",
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// checkFolder returns why nothing can be created in a folder, which may have to
// be created itself.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && folderOf(path) != path:
		return checkFolder(folderOf(path))
	case err != nil:
		return err
	case !info.IsDir():
		return &Misconfigured{
			Problem: fmt.Sprintf("write into %s: it is not a folder", path),
			Advice:  "set destination.file.path to a file in a folder",
		}
	}
	if err := mayWrite(path); err != nil {
		return &Misconfigured{
			Problem: fmt.Sprintf("write into %s: %v", path, err),
			Advice:  "set destination.file.path to a file in a folder that this user can write",
		}
	}
	return nil
}
