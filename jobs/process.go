package jobs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// process names a process so that another one on the same machine can tell
// whether it still runs, even if its number was given to another.
type process struct {
	host  string
	boot  string // the machine's boot and the process namespace; empty if the system does not say
	pid   int
	start string // when the process started, in the system's own unit
}

func thisProcess() (process, error) {
	host, err := os.Hostname()
	if err != nil {
		return process{}, fmt.Errorf("read the host's name: %w", err)
	}
	p := process{host: host, pid: os.Getpid()}
	p.boot = bootID()
	p.start = startOf(p.pid)
	return p, nil
}

func (p process) owner() string {
	return strings.Join([]string{p.host, p.boot, strconv.Itoa(p.pid), p.start}, "|")
}

// knowsGone reports whether owner is a process of this machine that has ended.
// Where the system does not tell, nobody is known to be gone.
func (p process) knowsGone(owner string) bool {
	part := strings.Split(owner, "|")
	if len(part) != 4 || p.boot == "" || part[0] != p.host || part[1] != p.boot || part[3] == "" {
		return false
	}
	pid, err := strconv.Atoi(part[2])
	return err == nil && startOf(pid) != part[3]
}

// bootID tells this boot of this machine, and this process namespace, from all
// others.
func bootID() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + namespace
}

// startOf returns when a process started, or "" if there is none or it has
// ended and only waits for its parent.
func startOf(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name in parentheses may contain spaces and parentheses itself.
	after := stat[strings.LastIndexByte(string(stat), ')')+1:]
	fields := strings.Fields(string(after))
	const state, start = 0, 19
	if len(fields) <= start || fields[state] == "Z" || fields[state] == "X" {
		return ""
	}
	return fields[start]
}
