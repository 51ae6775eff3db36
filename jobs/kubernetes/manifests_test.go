package kubernetes

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/chatbackfill/chatbackfill/jobs"
)

// The names by which the objects refer to each other.
const (
	containerName  = "chatbackfill"
	configMapName  = "chatbackfill-job"
	serviceAccount = "common/serviceaccount.yaml"
	exampleSecret  = "secret.example.yaml"
	jobFile        = "common/job.yaml"
)

// workload is a Job of one of the folders; a CronJob's is the one that it makes.
type workload struct {
	name string
	spec batchv1.JobSpec
}

func (w workload) pod() corev1.PodSpec { return w.spec.Template.Spec }

func (w workload) container() corev1.Container { return w.pod().Containers[0] }

func workloads(t *testing.T) []workload {
	t.Helper()
	return []workload{
		{"cronjob", decode[batchv1.CronJob](t, "cronjob/cronjob.yaml", "batch/v1", "CronJob").Spec.JobTemplate.Spec},
		{"indexed-job", decode[batchv1.Job](t, "indexed-job/job.yaml", "batch/v1", "Job").Spec},
		{"command", decode[batchv1.Job](t, "command/job.yaml", "batch/v1", "Job").Spec},
	}
}

func eachWorkload(t *testing.T, check func(*testing.T, workload)) {
	for _, w := range workloads(t) {
		t.Run(w.name, func(t *testing.T) { check(t, w) })
	}
}

// decode reads a manifest of one object. A key that the API does not know, or
// that is there twice, is an error: the API server would ignore it.
func decode[T any](t *testing.T, file, version, kind string) T {
	t.Helper()
	var object T
	decodeStrict(t, file, read(t, file), version, kind, &object)
	return object
}

func decodeStrict(t *testing.T, name string, data []byte, version, kind string, object any) {
	t.Helper()
	if bytes.Contains(data, []byte("\n---")) {
		t.Fatalf("%s holds several documents", name)
	}
	var head struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
	}
	if err := yaml.Unmarshal(data, &head); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if head.Version != version || head.Kind != kind {
		t.Fatalf("%s is %s %s, want %s %s", name, head.Version, head.Kind, version, kind)
	}
	if err := yaml.UnmarshalStrict(data, object); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// podEnv is the environment that a workload's container gets, with the values of
// the example Secret.
func podEnv(t *testing.T, w workload) map[string]string {
	t.Helper()
	secret := decode[corev1.Secret](t, exampleSecret, "v1", "Secret")
	env := map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
	for _, v := range w.container().Env {
		if ref := v.ValueFrom.SecretKeyRef; ref != nil {
			value, ok := secret.StringData[ref.Key]
			if ref.Name != secret.Name || !ok {
				t.Errorf("%s comes from key %s of Secret %s, which %s does not have", v.Name, ref.Key, ref.Name, exampleSecret)
			}
			env[v.Name] = value
		}
	}
	return env
}

// loadJob reads the job file as the program does in the pod.
func loadJob(t *testing.T, w workload) *jobs.Spec {
	t.Helper()
	env := podEnv(t, w)
	used := make(map[string]bool)
	spec, err := jobs.LoadSpec(jobFile, func(name string) (string, bool) {
		used[name] = true
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range env {
		if !used[name] && !strings.HasPrefix(name, "KUBERNETES_") {
			t.Errorf("%s is given to the pod, but the job file does not use it", name)
		}
	}
	return spec
}

func TestJobFileOK(t *testing.T) {
	eachWorkload(t, func(t *testing.T, w workload) {
		spec := loadJob(t, w)
		if spec.State.Postgres.Reveal() == "" || spec.State.SQLite != "" {
			t.Errorf("state is kept in %+v, want Postgres: pods have no file in common", spec.State)
		}
		if spec.Destination.Segment == nil {
			t.Error("the destination is not Segment: a file in a pod is gone with it")
		}
	})
}

// TestJobFileNeedsState holds the manifest's comment to the truth: in a cluster
// there is no default.
func TestJobFileNeedsState(t *testing.T) {
	env := podEnv(t, workloads(t)[0])
	text := bytes.Replace(read(t, jobFile), []byte("state: ${CHATBACKFILL_STATE}"), nil, 1)
	_, err := jobs.ParseSpec(jobFile, text, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if jobs.ExitCode(err) != jobs.ExitUsage || !strings.Contains(err.Error(), "state must be spelled out") {
		t.Errorf("without state: %v", err)
	}
}

func TestSecretIsAnExample(t *testing.T) {
	secret := decode[corev1.Secret](t, exampleSecret, "v1", "Secret")
	if len(secret.Data) > 0 {
		t.Error("the example has data in base64, which people cannot read")
	}
	for key, value := range secret.StringData {
		if !strings.Contains(value, "PASSWORD") && !strings.Contains(value, "WRITE_KEY") {
			t.Errorf("%s is no placeholder", key)
		}
	}
}

// TestEveryManifestIsTested fails on a file that no other test looks at.
func TestEveryManifestIsTested(t *testing.T) {
	tested := map[string]bool{serviceAccount: true, exampleSecret: true, jobFile: true, "cronjob/cronjob.yaml": true, "indexed-job/job.yaml": true, "command/job.yaml": true}
	for _, folder := range folders {
		tested[folder+"/kustomization.yaml"] = true
	}
	for _, pattern := range []string{"*.y*ml", "*/*.y*ml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !tested[filepath.ToSlash(file)] {
				t.Errorf("%s is not tested", file)
			}
			delete(tested, filepath.ToSlash(file))
		}
	}
	for file := range tested {
		t.Errorf("%s is gone", file)
	}
}
