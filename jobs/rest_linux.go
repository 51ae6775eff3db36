package jobs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram takes the pages of the program's own file out of this process.
// What the start of a program of this size touches stays mapped otherwise, which
// is several times what a daemon that waits has of its own. The pages remain in
// the system's cache of files; those that are used again are mapped again.
func unmapProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer smaps.Close()
	unchanged, err := unchangedMappings(smaps, program)
	for _, m := range unchanged {
		err = errors.Join(err, m.unmap())
	}
	return err
}

// mapping is a part of a process's memory that shows a file.
type mapping struct {
	from, to uintptr
	rights   string
	file     string
}

// unchangedMappings returns those of a file that cannot be written to and have
// no page that was: such a page, of a linker or a debugger, is nowhere else.
func unchangedMappings(smaps io.Reader, file string) (unchanged []mapping, err error) {
	var of mapping // that the line is about
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		line := lines.Text()
		if m, begins := parseMapping(line); begins {
			of = m
		}
		if fields := strings.Fields(line); fields[0] == "Anonymous:" && fields[1] == "0" && of.file == file && !strings.Contains(of.rights, "w") {
			unchanged = append(unchanged, of)
		}
	}
	return unchanged, lines.Err()
}

// parseMapping reads the line with which /proc/self/smaps begins on a mapping.
func parseMapping(line string) (m mapping, ok bool) {
	var offset, device, inode string
	n, _ := fmt.Sscanf(line, "%x-%x %s %s %s %s", &m.from, &m.to, &m.rights, &offset, &device, &inode)
	if name := strings.IndexByte(line, '/'); name >= 0 {
		m.file = line[name:]
	}
	return m, n == 6
}

func (m mapping) unmap() error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
		return fmt.Errorf("give back %x-%x of %s: %w", m.from, m.to, m.file, errno)
	}
	return nil
}
