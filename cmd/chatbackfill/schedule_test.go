package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// rarely is a schedule whose time does not come while a test runs, or once in
// four years.
const rarely = "schedule: \"0 0 29 2 *\"\n"

// TestScheduleAnswersUntilToldToStop starts the daemon, asks it, and stops it.
func TestScheduleAnswersUntilToldToStop(t *testing.T) {
	j := newJob(t, 10, toFile+rarely)
	daemon, address, log := j.schedule()
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": `chatbackfill_rows_read_total{job="chats",label="file"} 0`} {
		if body := ask(t, "http://"+address+path); !strings.Contains(body, want) {
			t.Errorf("%s answers %q", path, body)
		}
	}
	j.write("job.yaml", chatsJob)
	signalTo(t, daemon, syscall.SIGHUP)
	waitFor(t, log, `"msg":"(the job goes on as it was: its file cannot be used)"`)
	signalTo(t, daemon, syscall.SIGTERM)
	waitFor(t, log, `"msg":"(stopping)`)
	for log.Scan() {
		if strings.Contains(log.Text(), "ERROR") {
			t.Errorf("log %s", log.Text())
		}
	}
	if err := daemon.Wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

// schedule starts a daemon for the job. It returns the address at which it is
// asked, and its log from there on.
func (j *job) schedule(flags ...string) (daemon *exec.Cmd, address string, log *bufio.Scanner) {
	j.t.Helper()
	args := append([]string{"schedule", "job.yaml", "--listen", "127.0.0.1:0", "--log-format", "json"}, flags...)
	daemon = exec.Command(binary(j.t), args...)
	daemon.Dir, daemon.Env = j.dir, os.Environ()
	stderr, err := daemon.StderrPipe()
	if err != nil {
		j.t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { _, _ = daemon.Process.Kill(), daemon.Wait() }) // errors if it has ended
	log = bufio.NewScanner(stderr)
	address = waitFor(j.t, log, `"msg":"listening","address":"([^"]+)"`)
	waitFor(j.t, log, `"msg":"scheduled","job":"(chats)"`)
	return daemon, address, log
}

// waitFor reads a log up to a line that matches, and returns what was matched.
func waitFor(t *testing.T, log *bufio.Scanner, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern)
	for log.Scan() {
		if found := match.FindStringSubmatch(log.Text()); found != nil {
			return found[1]
		}
	}
	t.Fatalf("the log has no line that matches %s: %v", pattern, log.Err())
	return ""
}

func signalTo(t *testing.T, p *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// command runs a command line in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), exit
}

func TestScheduleErr(t *testing.T) {
	scheduled := filepath.Join(newJob(t, 1, toFile+rarely).dir, "job.yaml")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no job":             {[]string{"schedule"}, "chatbackfill schedule takes job files"},
		"no schedule":        {[]string{"schedule", filepath.Join(newJob(t, 1, toFile).dir, "job.yaml")}, "it has no schedule"},
		"never":              {[]string{"schedule", filepath.Join(newJob(t, 1, toFile+"schedule: 0 0 30 2 *\n").dir, "job.yaml")}, "it never comes"},
		"a bad address":      {[]string{"schedule", scheduled, "--listen", "nowhere:nothing"}, "--listen 127.0.0.1:0"},
		"the same job twice": {[]string{"schedule", scheduled, scheduled}, "is the same job chats into file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, stderr, exit := command(t, test.args...); exit != jobs.ExitUsage || !strings.Contains(stderr, test.want) {
				t.Errorf("exit %d: %s", exit, stderr)
			}
		})
	}
}

func TestStatusAndRuns(t *testing.T) {
	file := filepath.Join(newJob(t, 50, toFile+rarely).dir, "job.yaml")
	if stdout, _, exit := command(t, "runs", file); exit != jobs.ExitDone || stdout != "no runs\n" {
		t.Errorf("exit %d, %q", exit, stdout)
	}
	if stdout, _, exit := command(t, "status", file); exit != jobs.ExitDone || !strings.Contains(stdout, "new") {
		t.Errorf("exit %d, %q", exit, stdout)
	}
	if _, stderr, exit := command(t, "run", file, "-q"); exit != jobs.ExitDone {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	var runs []jobs.RunRecord
	stdout, _, _ := command(t, "runs", file, "-o", "json")
	if err := json.Unmarshal([]byte(stdout), &runs); err != nil || len(runs) != 1 || runs[0].State != jobs.RunDone {
		t.Fatalf("runs %s, %v", stdout, err)
	}
	if stdout, _, _ := command(t, "runs", file); !strings.Contains(stdout, runs[0].ID[:8]) || !strings.Contains(stdout, "done") {
		t.Errorf("runs\n%s", stdout)
	}
	if stdout, _, _ := command(t, "runs", "show", file, runs[0].ID[:8]); !strings.Contains(stdout, runs[0].ID) || !strings.Contains(stdout, "Live Chat Conversation Started") {
		t.Errorf("runs show\n%s", stdout)
	}
	if _, stderr, exit := command(t, "runs", "show", file, "nobody"); exit != jobs.ExitUsage || !strings.Contains(stderr, `job chats has no run "nobody"`) {
		t.Errorf("exit %d: %s", exit, stderr)
	}
	var status []jobs.JobStatus
	stdout, _, _ = command(t, "status", file, "-o", "json")
	if err := json.Unmarshal([]byte(stdout), &status); err != nil || status[0].State != jobs.JobDone || status[0].Pass == nil || status[0].NextSlot == nil {
		t.Errorf("status %s, %v", stdout, err)
	}
	if stdout, _, _ := command(t, "status", file, file); strings.Count(stdout, "1, done") != 2 {
		t.Errorf("status\n%s", stdout)
	}
}

// TestRunPushes runs a job with --push, whether it succeeds or fails, and reads
// what a Pushgateway is given, in the format that Prometheus reads.
func TestRunPushes(t *testing.T) {
	var mu sync.Mutex
	var pushed []string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		text, err := metricsText(r)
		if err != nil {
			t.Error(err)
		}
		pushed = append(pushed, r.Method+" "+r.URL.Path+"\n"+text)
	}))
	defer gateway.Close()
	server := segmenttest.New(t)
	file := filepath.Join(newJob(t, 50, intoSegment+server.URL).dir, "job.yaml")
	server.Fault(segmenttest.Always(segmenttest.Status(401)))
	if _, stderr, exit := command(t, "run", file, "-q", "--push", gateway.URL); exit != jobs.ExitRefused {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	server.Fault(nil)
	if _, stderr, exit := command(t, "run", file, "-q", "--push", gateway.URL); exit != jobs.ExitDone {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(pushed) != 2 {
		t.Fatalf("pushed %d times", len(pushed))
	}
	for i, wants := range [][]string{
		{`chatbackfill_runs_total{status="4"} 1`, `chatbackfill_batches_total{status="401"} 1`},
		{`chatbackfill_runs_total{status="0"} 1`, fmt.Sprintf("chatbackfill_events_total{name=%q} %d\n", "Live Chat Conversation Started", started(server)),
			"chatbackfill_last_success_timestamp_seconds ", "chatbackfill_lag_seconds ", "chatbackfill_checkpoint_age_seconds ", "chatbackfill_rows_read_total "},
	} {
		for _, want := range append(wants, "POST /metrics/job/chats/label/test\n") {
			if !strings.Contains(pushed[i], want) {
				t.Errorf("push %d has no %s:\n%s", i, want, pushed[i])
			}
		}
	}
	if strings.Contains(pushed[0], "chatbackfill_last_success_timestamp_seconds") {
		t.Error("a run that failed overwrites when the last one succeeded")
	}
	// That nobody listens is no failure of the run.
	gateway.Close()
	if _, stderr, exit := command(t, "run", file, "-q", "--push", gateway.URL); exit != jobs.ExitDone || !strings.Contains(stderr, "cannot push the metrics") {
		t.Errorf("exit %d: %s", exit, stderr)
	}
}

// started counts the starts of conversations that a server accepted.
func started(server *segmenttest.Server) (n int) {
	for _, e := range server.Accepted() {
		n += bytes.Count(e.JSON, []byte(`"event":"Live Chat Conversation Started"`))
	}
	return n
}

// metricsText returns the metrics that a request brings, in the text format.
func metricsText(r *http.Request) (string, error) {
	decoder := expfmt.NewDecoder(r.Body, expfmt.ResponseFormat(r.Header))
	var text strings.Builder
	for {
		var family dto.MetricFamily
		switch err := decoder.Decode(&family); {
		case errors.Is(err, io.EOF):
			return text.String(), nil
		case err != nil:
			return "", err
		}
		if _, err := expfmt.MetricFamilyToText(&text, &family); err != nil {
			return "", err
		}
	}
}
