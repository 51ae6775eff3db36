//go:build unix

package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/chatbackfill/chatbackfill/extract"
	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
	"github.com/chatbackfill/chatbackfill/jobs"
	"github.com/chatbackfill/chatbackfill/jobs/examples"
	"github.com/chatbackfill/chatbackfill/jobs/processtest"
	"github.com/chatbackfill/chatbackfill/load/segmenttest"
)

// controller does with the Indexed Job of the manifests what Kubernetes does: a
// pod for each index, replaced once it has ended, as the policies say. A pod is a
// process of the image's program.
type controller struct {
	*testing.T
	spec    batchv1.JobSpec
	args    []string
	env     []string
	program string
	within  time.Duration // pods that are disturbed are so before

	killed []atomic.Int64 // pods of each index
}

// fate is what happens to a pod; the zero fate is nothing.
type fate struct {
	signal    os.Signal
	disrupted bool // its node is drained, or lost: the pod's condition says so
	after     time.Duration
}

// fateOf draws what happens to a pod of which failures have counted so far. Not
// more may count than the manifest's policy bears.
func (c *controller) fateOf(r *rand.Rand, failures int32) fate {
	f := fate{syscall.SIGTERM, true, time.Duration(r.Int64N(int64(c.within)))}
	switch r.IntN(4) {
	case 0: // out of memory
		f.signal, f.disrupted = syscall.SIGKILL, false
	case 1: // the node is gone
		f.signal = syscall.SIGKILL
	case 2: // stopped by hand, for example
		f.disrupted = false
	}
	if failures == *c.spec.BackoffLimitPerIndex {
		f.disrupted = true
	}
	return f
}

// disturbances is how many pods of an index are disturbed before one is left
// alone.
const disturbances = 7

// complete runs the pods of an index until one succeeds.
func (c *controller) complete(seed uint64, index int) error {
	random := rand.New(rand.NewPCG(seed, uint64(index)))
	failures := int32(0)
	for pods := 0; ; pods++ {
		var f fate
		if pods < disturbances {
			f = c.fateOf(random, failures)
		}
		exit, output := c.pod(index, f)
		var condition corev1.PodConditionType
		if f.disrupted {
			condition = corev1.DisruptionTarget
		}
		switch verdict := action(c.spec, int32(exit), condition); {
		case exit == 0:
			return nil
		case verdict == batchv1.PodFailurePolicyActionIgnore:
		case verdict != batchv1.PodFailurePolicyActionCount:
			return fmt.Errorf("index %d: exit %d: %s\n%s", index, exit, verdict, output)
		default:
			if failures++; failures > *c.spec.BackoffLimitPerIndex {
				return fmt.Errorf("index %d failed: exit %d after %d failures\n%s", index, exit, failures, output)
			}
		}
	}
}

// pod runs one pod and returns the exit code of its container.
func (c *controller) pod(index int, f fate) (exit int, output string) {
	p, err := c.start(index)
	if err != nil {
		return -1, err.Error()
	}
	after := f.after
	if f.signal == nil {
		// One that does not end is killed, which counts as a failure.
		after, f.signal = 2*time.Minute, syscall.SIGKILL
	}
	timer := time.AfterFunc(after, func() { _ = p.Process.Signal(f.signal) })
	defer timer.Stop()
	exit = p.exit()
	if exit == 128+int(syscall.SIGKILL) {
		c.killed[index].Add(1)
	}
	return exit, p.output.String()
}

// started is the container of a pod.
type started struct {
	*exec.Cmd
	output bytes.Buffer
}

// start starts a pod of an index.
func (c *controller) start(index int) (*started, error) {
	p := &started{Cmd: c.command(c.args, fmt.Sprint("JOB_COMPLETION_INDEX=", index))}
	p.Stdout, p.Stderr = &p.output, &p.output
	return p, p.Start()
}

// exit waits for the container to end, and returns its exit code.
func (p *started) exit() int {
	_ = p.Wait() // the state says how it ended
	if status := p.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.ProcessState.ExitCode()
}

// command is a command of the program as a pod of the manifest has it: what
// Kubernetes puts for variables is put.
func (c *controller) command(args []string, env ...string) *exec.Cmd {
	all := append(c.env[:len(c.env):len(c.env)], env...)
	var expanded []string
	for _, arg := range args {
		for _, v := range env {
			name, value, _ := strings.Cut(v, "=")
			arg = strings.ReplaceAll(arg, "$("+name+")", value)
		}
		expanded = append(expanded, arg)
	}
	p := exec.Command(c.program, expanded...)
	p.Env = append(os.Environ(), all...)
	return p
}

// importJob returns a controller of the Indexed Job for a job file that is
// mounted where the manifest says.
func importJob(t *testing.T, file string, env []string) *controller {
	t.Helper()
	w := workloads(t)[1]
	c := &controller{T: t, spec: w.spec, program: program(t), env: append(env, "KUBERNETES_SERVICE_HOST=10.0.0.1")}
	c.args = mounted(w, file)
	n := *c.spec.Completions
	c.killed = make([]atomic.Int64, n)
	return c
}

// mounted returns the arguments of a workload with another job file.
func mounted(w workload, file string) []string {
	args := append([]string(nil), w.container().Args...)
	args[len(args)-1] = file
	return args
}

// run completes all indexes at once.
func (c *controller) run(seed uint64) {
	c.Helper()
	errs := make([]error, *c.spec.Completions)
	var pods sync.WaitGroup
	for index := range errs {
		pods.Go(func() { errs[index] = c.complete(seed, index) })
	}
	pods.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Fatalf("seed %d: %v", seed, err)
	}
}

// local changes the job file of the manifests so that it delivers to a server on
// this machine.
func local(t *testing.T, server *segmenttest.Server) string {
	t.Helper()
	text := string(read(t, jobFile))
	for from, to := range map[string]string{"region: us": "endpoint: " + server.URL, "rate: 500": "rate: unlimited", "page: 2000": "page: 100"} {
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %s", jobFile, from)
		}
		text = strings.Replace(text, from, to, 1)
	}
	return text
}

// chatTable fills the table that the job file of the manifests reads.
const chatTable = `
CREATE TABLE public.chat_messages (
	chat_id bigint NOT NULL, id bigint PRIMARY KEY, created_at timestamptz NOT NULL, inserted_at timestamptz NOT NULL,
	author_type text NOT NULL, part_type text NOT NULL, author_id text, author_name text, text text, contact_id text);
INSERT INTO public.chat_messages
	SELECT c, c * 100 + m, at, at, CASE m % 2 WHEN 0 THEN 'user' ELSE 'admin' END, CASE m WHEN 11 THEN 'close' ELSE 'comment' END,
		'author ' || m % 2, 'Ann', 'message ' || m, 'contact ' || c
	FROM generate_series(1, 4000) c, generate_series(0, 11) m, LATERAL (SELECT timestamptz '2024-01-01' + c * interval '1 hour' + m * interval '1 minute' AS at) t;
CREATE INDEX ON public.chat_messages (chat_id);
CREATE INDEX ON public.chat_messages (inserted_at);
ANALYZE public.chat_messages`

// fromPostgres is the job of the manifests.
func fromPostgres(t *testing.T, server *segmenttest.Server) (file string, env []string) {
	t.Helper()
	source := postgrestest.New(t)
	conn, err := pgx.Connect(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), chatTable); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return written(t, local(t, server)), []string{"CHAT_DATABASE_URL=" + source}
}

// fromParquet is the same with a Parquet export as its source.
func fromParquet(t *testing.T, server *segmenttest.Server) (file string, env []string) {
	t.Helper()
	text := local(t, server)
	from, to := strings.Index(text, "source:\n"), strings.Index(text, "conversation:\n")
	file = written(t, text[:from]+`source:
  parquet:
    messages:
      files: [chats.parquet]
      fields:
        conversation_id: chat_id
        message_id: id
        sent_at: created_at
        sequence: seq
        role: {column: author_type, values: {user: customer, lead: customer, admin: agent}}
        kind: {column: part_type, values: {comment: message, close: end, assignment: assign, open: ignore, rating: ignore}}
        user_id: contact_id
        anonymous_id: visitor_id
        deleted: is_deleted
`+strings.Replace(text[to:], "conversation:\n", "conversation:\n  identity: anonymous\n", 1))
	f, err := os.Create(filepath.Join(filepath.Dir(file), "chats.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(examples.Write(f, 4000, 7, nil), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file, nil
}

func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestImportSurvivesItsPods plays the controller of the Indexed Job while its
// pods are killed, drained and stopped at random. When all indexes have succeeded
// the events are those of one run that was left alone; those that arrived more
// than once were in flight when a pod was killed. A run of the CronJob then has
// nothing left to send.
func TestImportSurvivesItsPods(t *testing.T) {
	for name, source := range map[string]func(*testing.T, *segmenttest.Server) (string, []string){"Postgres": fromPostgres, "Parquet": fromParquet} {
		t.Run(name, func(t *testing.T) {
			server := segmenttest.New(t)
			file, env := source(t, server)
			c := importJob(t, file, append(env, "SEGMENT_WRITE_KEY=key"))
			began := time.Now()
			c.succeed(mounted(workloads(t)[0], file), "CHATBACKFILL_STATE="+postgrestest.New(t))
			c.within = time.Since(began) / 2
			want := server.Accepted()
			if len(want) < 20_000 {
				t.Fatalf("%d events are too few for several chunks in each shard", len(want))
			}
			c.env = append(c.env, "CHATBACKFILL_STATE="+postgrestest.New(t))
			c.run(1)
			c.checkTwice(server, want)
			c.checkStatus(file)
			before := server.Events()
			c.succeed(mounted(workloads(t)[0], file))
			if again := server.Events() - before; again > 0 {
				t.Errorf("the CronJob sent %d events again", again)
			}
		})
	}
}

// succeed runs a command that is to exit 0, and returns what it printed.
func (c *controller) succeed(args []string, env ...string) []byte {
	c.Helper()
	p := c.command(args, env...)
	var problem bytes.Buffer
	p.Stderr = &problem
	out, err := p.Output()
	if err != nil {
		c.Fatalf("%v: %v\n%s", args, err, problem.String())
	}
	return out
}

// checkTwice compares what arrived with what one run that was left alone sent
// before: each event again, the same bytes, and more often only if a pod of its
// shard was killed.
func (c *controller) checkTwice(server *segmenttest.Server, want map[string]segmenttest.Event) {
	c.Helper()
	got := server.Accepted()
	if len(got) != len(want) {
		c.Errorf("%d events, want %d", len(got), len(want))
	}
	twice := make([]int64, *c.spec.Completions)
	for id, e := range got {
		var event struct {
			Properties struct {
				ConversationID string `json:"conversation_id"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(e.JSON, &event); err != nil {
			c.Fatal(err)
		}
		index := c.indexOf(event.Properties.ConversationID)
		times := int64(e.Times() - 1)
		if times < 1 || times > 1+c.killed[index].Load() || !bytes.Equal(e.JSON, want[id].JSON) {
			c.Fatalf("event %s of shard %d was sent %d times, after %d pods were killed\n got %s\nwant %s",
				id, index, times, c.killed[index].Load(), e.JSON, want[id].JSON)
		}
		twice[index] += times - 1
	}
	for index, n := range twice {
		killed := c.killed[index].Load()
		c.Logf("shard %d: %d pods killed, %d events arrived again", index, killed, n)
		if n > killed*20_000 {
			c.Errorf("shard %d: %d events arrived again, more than were in flight when %d pods were killed", index, n, killed)
		}
	}
}

func (c *controller) indexOf(conversation string) int {
	of := int(*c.spec.Completions)
	for index := range of {
		if (extract.Shard{Index: index, Of: of}).Has(conversation) {
			return index
		}
	}
	c.Fatalf("conversation %s is of no shard", conversation)
	return 0
}

// checkStatus asks from elsewhere how the shards are.
func (c *controller) checkStatus(file string) {
	c.Helper()
	var status []struct {
		State  string
		Shards []struct {
			Shard, State string
			Percent      float64
		}
	}
	if err := json.Unmarshal(c.succeed([]string{"status", "-o", "json", file}), &status); err != nil {
		c.Fatal(err)
	}
	if len(status) != 1 || status[0].State != "done" || len(status[0].Shards) != int(*c.spec.Completions) {
		c.Fatalf("status %+v", status)
	}
	for _, s := range status[0].Shards {
		if s.State != "done" || s.Percent != 100 {
			c.Errorf("shard %+v", s)
		}
	}
}

// TestTwoPodsOfOneIndex has two pods of an index at once, as Kubernetes may: one
// on a machine that stands still, and its replacement. The replacement takes over
// and succeeds, the first learns that it was replaced, which the policy counts as
// any failure, and the events are those of one run that was left alone.
func TestTwoPodsOfOneIndex(t *testing.T) {
	server := segmenttest.New(t)
	file, env := fromPostgres(t, server)
	c := importJob(t, file, append(env, "SEGMENT_WRITE_KEY=key"))
	c.succeed(mounted(workloads(t)[0], file), "CHATBACKFILL_STATE="+postgrestest.New(t))
	want := server.Accepted()
	state := postgrestest.New(t)
	c.env = append(c.env, "CHATBACKFILL_STATE="+state)

	arrived, held := make(chan struct{}, 1000), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release() // else the server waits for them when the test fails
	server.Fault(func(segmenttest.Request) segmenttest.Answer {
		arrived <- struct{}{}
		<-held
		return segmenttest.Answer{}
	})
	var pods []*started
	for range 2 {
		p, err := c.start(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Process.Kill() }) // an error if it has ended
		pods = append(pods, p)
	}
	<-arrived
	holder, other := c.suspendHolder(state, pods[0], pods[1])
	server.Fault(nil)
	release()
	if exit := other.exit(); exit != jobs.ExitDone {
		t.Errorf("the pod that took over ended with %d\n%s", exit, other.output.String())
	}
	if err := holder.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	exit := holder.exit()
	if verdict := action(c.spec, int32(exit), ""); exit != jobs.ExitTakenOver || verdict != batchv1.PodFailurePolicyActionCount {
		t.Errorf("the pod that was replaced ended with %d: %s\n%s", exit, verdict, holder.output.String())
	}
	c.killed[0].Add(1) // what it had in flight was sent by the other one, too
	for index := 1; index < len(c.killed); index++ {
		if exit, output := c.pod(index, fate{}); exit != jobs.ExitDone {
			t.Fatalf("index %d: exit %d\n%s", index, exit, output)
		}
	}
	c.checkTwice(server, want)
	c.checkStatus(file)
}

// suspendHolder suspends that of two pods which has the lease, for longer than
// the lease lasts.
func (c *controller) suspendHolder(state string, one, two *started) (holder, other *started) {
	c.Helper()
	conn, err := pgx.Connect(c.Context(), state)
	if err != nil {
		c.Fatal(err)
	}
	defer conn.Close(c.Context())
	var pid int
	if err := conn.QueryRow(c.Context(), `SELECT pid FROM chatbackfill.leases WHERE expires_at > 0`).Scan(&pid); err != nil {
		c.Fatal(err)
	}
	if holder, other = one, two; two.Process.Pid == pid {
		holder, other = two, one
	}
	processtest.Suspend(c.T, holder.Process)
	if _, err := conn.Exec(c.Context(), `UPDATE chatbackfill.leases SET expires_at = 0`); err != nil {
		c.Fatal(err)
	}
	return holder, other
}
