package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func folderOf(path string) string { return filepath.Dir(path) }

// makeFolder creates a folder and those above it, each of them on the disk
// before it returns.
func makeFolder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if parent := folderOf(path); parent != path {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(folderOf(path))
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := folder.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync folder: %w", err), folder.Close())
	}
	return folder.Close()
}
