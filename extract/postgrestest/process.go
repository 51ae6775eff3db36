//go:build unix

package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// programs returns the folder that holds initdb, pg_ctl and postgres.
func programs() (string, error) {
	bin, err := findOrInstall(findPrograms, "postgresql")
	if err != nil {
		return "", fmt.Errorf("find Postgres: no initdb and pg_ctl in PATH or /usr/lib/postgresql (%w): install the server, or set %s", err, dsnVariable)
	}
	return bin, nil
}

func findPrograms() string {
	var dirs []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(initdb); err == nil {
			initdb = target // beside which the other programs are
		}
		dirs = append(dirs, filepath.Dir(initdb))
	}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well formed
	slices.SortFunc(versions, func(a, b string) int { return versionOf(b) - versionOf(a) })
	for _, dir := range append(dirs, versions...) {
		if executable(dir, "initdb") && executable(dir, "pg_ctl") {
			return dir
		}
	}
	return ""
}

func versionOf(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

func executable(dir, name string) bool {
	_, err := exec.LookPath(filepath.Join(dir, name))
	return err == nil
}

// account is who runs the server: it refuses to run as root.
func account() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("find an account for Postgres, which does not run as root: %w", err)
		}
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
}

// giveAway makes a folder that of the server's account.
func giveAway(dir string) error {
	who, err := account()
	if err != nil || who == nil {
		return err
	}
	return os.Chown(dir, int(who.Uid), int(who.Gid))
}

// command runs a program as the server's account, in a session of its own, so
// that signals from a terminal do not reach it.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.SysProcAttr.Credential, cmd.Err = account()
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// keepWatch starts a shell that removes the cluster once this process has
// closed its end of a pipe, which every way of ending does.
func (s *Server) keepWatch() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	watch := s.command("/bin/sh", "-c", `cat; cd /; "$1" -D "$2/data" -m immediate -w stop; rm -rf "$2"`,
		"watch", filepath.Join(s.bin, "pg_ctl"), s.dir)
	watch.Stdin = read
	if err := watch.Start(); err != nil {
		write.Close()
		return fmt.Errorf("start what removes the cluster: %w", err)
	}
	s.sentry = write
	return watch.Process.Release()
}
