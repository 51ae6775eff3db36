//go:build unix

package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Program returns the path of a program that a test needs, by one of its names.
// It is installed where that is possible; without it the test is skipped, but
// fails where CI=true.
func Program(t testing.TB, pkg string, names ...string) string {
	t.Helper()
	path, err := findOrInstall(func() string {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	}, pkg)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("there is no %s: %v", pkg, err)
	}
	t.Skipf("there is no %s: %v", pkg, err)
	return ""
}

// findOrInstall returns what find finds. If that is nothing, and the test runs
// as root of a system with apt-get, it installs a package and looks again. Test
// binaries that run side by side take turns, so that none finds what another is
// still unpacking.
func findOrInstall(find func() string, pkg string) (string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		if found := find(); found != "" {
			return found, nil
		}
		return "", errors.New("only root, of a system with apt-get, can install it from here")
	}
	packaged, err := os.Open("/var/lib/dpkg")
	if err != nil {
		return "", err
	}
	defer packaged.Close() // which ends the turn
	if err := syscall.Flock(int(packaged.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for who else installs something: %w", err)
	}
	if found := find(); found != "" {
		return found, nil
	}
	if err := install(pkg); err != nil {
		return "", err
	}
	if found := find(); found != "" {
		return found, nil
	}
	return "", fmt.Errorf("it is not there after apt-get install %s", pkg)
}

// install installs a package from the lists that there are, else from new ones.
func install(pkg string) error {
	install := []string{"install", "-y", "-qq", "--no-install-recommends", pkg}
	if aptGet(install...) == nil {
		return nil
	}
	return errors.Join(aptGet("update", "-qq"), aptGet(install...))
}

func aptGet(args ...string) error {
	cmd := exec.Command("apt-get", append(args, "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.WaitDelay = 10 * time.Second // for services that it has started, which keep its output open
	if out, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, out[max(0, len(out)-500):])
	}
	return nil
}
