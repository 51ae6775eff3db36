package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The program's system calls that change a file, or make it last, are answered
// by the suite: the kernel asks it before each of them, on whatever thread it
// is, so that the third is the third of the process.
var filtered = map[int32]string{
	unix.SYS_FSYNC:     syncing,
	unix.SYS_FDATASYNC: syncing,
	unix.SYS_PWRITE64:  writing,
}

// launchVariable says to this test's program that it is to become another one,
// whose system calls are answered by the process that has started it.
const launchVariable = "CHAOS_LAUNCH"

// launcher is the command that starts a program whose calls can be answered. It
// hands over the right to do so on the socket with the number 3.
func launcher(program string, args []string) (cmd *exec.Cmd, ours *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd = exec.Command(self, append([]string{program}, args...)...)
	cmd.Env = []string{launchVariable + "=1"}
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "theirs")}
	return cmd, os.NewFile(uintptr(pair[0]), "ours"), nil
}

// launch becomes the program that the arguments name.
func launch() error {
	const socket = 3
	runtime.LockOSThread() // the filter is this thread's, and of what becomes of it
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	listener, err := filter()
	if err != nil {
		return fmt.Errorf("answer system calls: %w", err)
	}
	if err := unix.Sendmsg(socket, []byte("ok"), unix.UnixRights(listener), nil, 0); err != nil {
		return err
	}
	unix.CloseOnExec(socket)
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// filter lets the kernel ask, through what it returns, about the calls of this
// thread that are filtered.
func filter() (listener int, err error) {
	steps := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the call's number
	for number := range filtered {
		steps = append(steps,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(number), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	steps = append(steps, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(steps)), Filter: &steps[0]}
	// Once the suite was asked, no signal takes the question back.
	flags := unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// received takes what launch has handed over. An error means that the kernel
// does not let calls be answered.
func received(socket *os.File) (listener int, err error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 8), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return 0, errors.Join(errors.New("nothing was handed over"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// question and answer are the kernel's seccomp_notif and seccomp_notif_resp.
type question struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

const goOn = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE

// answerCalls asks verdict about each call of the process, until it has ended.
func answerCalls(listener int, process *os.Process, verdict func(call) fate) {
	defer unix.Close(listener)
	for {
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err == unix.EINTR {
			continue
		} else if err != nil || ready[0].Revents&unix.POLLIN == 0 {
			return
		}
		var q question
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&q))); errno != 0 {
			continue // whoever asked is gone
		}
		path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", q.pid, int32(q.args[0])))
		a := answer{id: q.id, flags: goOn}
		switch f := verdict(call{filtered[q.number], strings.TrimSuffix(path, " (deleted)")}); {
		case f.kill:
			_ = process.Kill()
			continue
		case f.errno != 0:
			a.errno, a.flags = -int32(f.errno), 0
		}
		for errno := unix.EINTR; errno == unix.EINTR; {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
		}
	}
}
