package chaos

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/chatbackfill/chatbackfill/load/failpoint"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// commands are what somebody may type, those left out whose purpose it is to
// show texts. OUT becomes a new file.
var commands = []string{
	"run job.yaml", "run job.yaml -v --log-format json --report OUT", "run job.yaml -v --full --resend all",
	"show job.yaml", "show job.yaml --diff", "accept job.yaml --yes", "verify job.yaml -o json --export OUT",
	"status job.yaml", "runs job.yaml -o json", "rejects list job.yaml", "rejects count job.yaml", "rejects show job.yaml 1",
	"rejects export job.yaml", "rejects retry job.yaml -v", "rejects accept job.yaml", "state status job.yaml", "state migrate job.yaml",
	"reset job.yaml --yes", "check job.yaml", "version", "run job.yaml --no-such-flag", "run no-such-file.yaml",
}

// nothingTold: every command, in every kind of trouble, with all that must not
// be told within reach.
func nothingTold(r *rig) {
	// A panic while sending is no answer, and is tried again.
	r.settings["destination"] = r.segment(r.server.URL, "retry_for: 1s")
	r.write()
	r.commandsTellNothing()
	for _, answer := range r.unkind() {
		r.server.Fault(answer)
		r.tell("run job.yaml -v --log-format json --full --resend all")
	}
	r.server.Fault(nil)
	r.daemonTellsNothing()
	r.panicTellsNothing()
	r.jobFilesTellNothing()
	for name, dsn := range r.env {
		if strings.HasPrefix(dsn, "postgres://") {
			r.brokenDSNs(name, dsn)
		}
	}
	r.checkSecrets()
	r.filesTellNothing()
}

func (r *rig) commandsTellNothing() {
	r.Helper()
	for _, line := range commands {
		r.tell(line)
	}
}

// tell runs a command line, however it ends.
func (r *rig) tell(line string) {
	r.Helper()
	line = strings.Replace(line, "OUT", filepath.Join(r.dir, "out-"+time.Now().Format("150405.000000")), 1)
	r.start(strings.Fields(line)...).exit()
}

// unkind are servers that say back what they were sent.
func (r *rig) unkind() []func(segmenttest.Request) segmenttest.Answer {
	says := func(status int) func(segmenttest.Request) segmenttest.Answer {
		return func(q segmenttest.Request) segmenttest.Answer {
			return segmenttest.Answer{
				Status: status, Body: `{"success":false,"message":"bad key ` + q.Key + ` in ` + string(q.Body) + `"}`,
				Header: map[string]string{"Retry-After": "3000", "Location": "https://" + q.Key + "@example.com/?key=" + q.Key},
			}
		}
	}
	return []func(segmenttest.Request) segmenttest.Answer{
		says(400), says(401), says(302), says(418), segmenttest.Always(segmenttest.HTML()), segmenttest.Always(segmenttest.NoSuccess()),
	}
}

// daemonTellsNothing looks at everything that the daemon serves.
func (r *rig) daemonTellsNothing() {
	r.Helper()
	r.settings["schedule"] = `"* * * * *"`
	r.write()
	defer delete(r.settings, "schedule")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	p := r.start("schedule", "job.yaml", "-v", "--listen", address)
	var served []byte
	r.eventually("the daemon's answer", func() bool {
		answer, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		served, err = io.ReadAll(answer.Body)
		return err == nil && answer.StatusCode == http.StatusOK
	})
	for _, path := range []string{"/healthz", "/readyz", "/", "/debug/pprof/cmdline"} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			r.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			r.Fatal(err)
		}
		served = append(served, body...)
	}
	p.signal(os.Interrupt)
	p.exit()
	r.hear(served)
}

// hear adds something to what was said.
func (r *rig) hear(text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said.Write(text)
}

// panicTellsNothing lets the program panic where events and keys are at hand.
func (r *rig) panicTellsNothing() {
	r.Helper()
	r.binary = withFailpoints(r.T)
	defer func() { r.binary = binary(r.T) }()
	for _, name := range failpoints(r.T) {
		p := r.startWith(map[string]string{failpoint.Variable: name + "@panic"}, "run", "job.yaml", "-v", "--full", "--resend", "all")
		if code := p.exit(); code == killed {
			r.Errorf("a panic at %s ended as a signal does", name)
		}
	}
}

// jobFilesTellNothing writes secrets where they do not belong, into job files
// that are wrong besides.
func (r *rig) jobFilesTellNothing() {
	r.Helper()
	good, err := os.ReadFile(filepath.Join(r.dir, "job.yaml"))
	if err != nil {
		r.Fatal(err)
	}
	inline := strings.ReplaceAll(string(good), "${CHAOS_KEY}", secretKey)
	for _, bad := range []string{
		inline, inline + "\nnosuchkey: 1\n", strings.Replace(inline, "write_key:", "writekey:", 1),
		strings.Replace(inline, "write_key: ", "write_key: [", 1), strings.Replace(inline, "endpoint: http://", "endpoint: http://u:"+secretKey+"@", 1),
		strings.Replace(inline, "{segment:", "{segmnt:", 1), inline[:len(inline)/2],
	} {
		if err := os.WriteFile(filepath.Join(r.dir, "bad.yaml"), []byte(bad), 0o600); err != nil {
			r.Fatal(err)
		}
		r.tell("show bad.yaml")
		r.tell("run bad.yaml -v")
	}
	if err := os.Remove(filepath.Join(r.dir, "bad.yaml")); err != nil {
		r.Fatal(err)
	}
}

// brokenDSNs leads the program to databases that it cannot use.
func (r *rig) brokenDSNs(name, dsn string) {
	r.Helper()
	nobody := regexp.MustCompile(`@[^/]*/`)
	for _, broken := range []string{
		nobody.ReplaceAllString(dsn, "@127.0.0.1:1/"), nobody.ReplaceAllString(dsn, "@no-such-host.invalid/"), nobody.ReplaceAllString(dsn, "@127.0.0.1:port/"),
		dsn + "&sslmode=perhaps", strings.Replace(dsn, "sslmode=disable", "sslmode=require", 1), strings.Replace(dsn, "/test_", "/no_such_", 1),
		"postgres://u:" + secretPassword + "@127.0.0.1/x", strings.Replace(dsn, "postgres://", "postgras://", 1),
	} {
		r.env[name] = broken
		for _, line := range []string{"run job.yaml -v", "show job.yaml", "status job.yaml"} {
			r.tell(line)
		}
	}
	r.env[name] = dsn
}

// filesTellNothing looks into all files that are left behind, but those that
// the secrets belong into.
func (r *rig) filesTellNothing() {
	r.Helper()
	err := filepath.WalkDir(r.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path, filepath.Join(r.dir, "rows")) {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range secrets {
			if strings.Contains(string(data), secret) {
				r.Errorf("I9: %q is in %s", secret, path)
			}
		}
		return err
	})
	if err != nil {
		r.Error(err)
	}
}
