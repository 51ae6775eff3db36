package kubernetes

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

var folders = []string{"common", "cronjob", "indexed-job", "command"}

// kustomization is as much of a kustomization.yaml as these manifests use.
type kustomization struct {
	APIVersion         string      `json:"apiVersion"`
	Kind               string      `json:"kind"`
	Resources          []string    `json:"resources"`
	Components         []string    `json:"components"`
	Images             []image     `json:"images"`
	ConfigMapGenerator []generator `json:"configMapGenerator"`
}

type image struct {
	Name    string `json:"name"`
	NewName string `json:"newName"`
	NewTag  string `json:"newTag"`
}

type generator struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
}

func kustomizations(t *testing.T) map[string]kustomization {
	t.Helper()
	all := make(map[string]kustomization)
	for _, folder := range folders {
		version, kind := "kustomize.config.k8s.io/v1beta1", "Kustomization"
		if folder == "common" {
			version, kind = "kustomize.config.k8s.io/v1alpha1", "Component"
		}
		all[folder] = decode[kustomization](t, folder+"/kustomization.yaml", version, kind)
	}
	return all
}

func TestKustomizationsNameWhatExists(t *testing.T) {
	for folder, k := range kustomizations(t) {
		named := slices.Concat(k.Resources, k.Components)
		for _, g := range k.ConfigMapGenerator {
			named = append(named, g.Files...)
		}
		for _, file := range named {
			if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
			if path.Join(folder, file) == exampleSecret {
				t.Errorf("%s applies the example of a Secret", folder)
			}
		}
		if folder != "common" && !slices.Equal(k.Components, []string{"../common"}) {
			t.Errorf("%s has the components %v, want common", folder, k.Components)
		}
	}
}

func TestCommonProvidesWhatPodsName(t *testing.T) {
	common := kustomizations(t)["common"]
	if len(common.ConfigMapGenerator) != 1 || common.ConfigMapGenerator[0].Name != configMapName ||
		!slices.Equal(common.ConfigMapGenerator[0].Files, []string{path.Base(jobFile)}) {
		t.Errorf("ConfigMaps %+v, want %s with %s", common.ConfigMapGenerator, configMapName, jobFile)
	}
	eachWorkload(t, func(t *testing.T, w workload) {
		used := func(i image) bool { return i.Name == w.container().Image && i.NewName != "" && i.NewTag != "latest" }
		if !slices.ContainsFunc(common.Images, used) {
			t.Errorf("image %s gets no registry and tag: %+v", w.container().Image, common.Images)
		}
	})
}

// TestKustomizeBuild builds what kubectl apply -k would apply, where there is
// kubectl; it needs no cluster.
func TestKustomizeBuild(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed: what it builds is not tested")
	}
	for _, folder := range folders[1:] {
		t.Run(folder, func(t *testing.T) {
			var problems bytes.Buffer
			build := exec.Command(kubectl, "kustomize", folder)
			build.Stderr = &problems
			out, err := build.Output()
			if err != nil || problems.Len() > 0 {
				t.Fatalf("%v\n%s", err, problems.String())
			}
			checkBuilt(t, string(out))
		})
	}
}

// checkBuilt checks that what kustomize renamed is renamed where it is used.
func checkBuilt(t *testing.T, manifests string) {
	var config corev1.ConfigMap
	var spec batchv1.JobSpec
	kinds := make(map[string]int)
	for _, document := range strings.Split(manifests, "\n---\n") {
		_, kind, _ := strings.Cut(document, "\nkind: ")
		kind, _, _ = strings.Cut(kind, "\n")
		kinds[kind]++
		switch kind {
		case "ConfigMap":
			decodeStrict(t, kind, []byte(document), "v1", kind, &config)
		case "Job":
			var job batchv1.Job
			decodeStrict(t, kind, []byte(document), "batch/v1", kind, &job)
			spec = job.Spec
		case "CronJob":
			var cron batchv1.CronJob
			decodeStrict(t, kind, []byte(document), "batch/v1", kind, &cron)
			spec = cron.Spec.JobTemplate.Spec
		}
	}
	if kinds["ConfigMap"] != 1 || kinds["ServiceAccount"] != 1 || kinds["Job"]+kinds["CronJob"] != 1 || len(kinds) != 3 {
		t.Fatalf("builds %v", kinds)
	}
	pod := workload{spec: spec}
	if !strings.HasPrefix(config.Name, configMapName+"-") || pod.pod().Volumes[0].ConfigMap.Name != config.Name {
		t.Errorf("mounts ConfigMap %s, the built one is %s", pod.pod().Volumes[0].ConfigMap.Name, config.Name)
	}
	if !strings.Contains(pod.container().Image, "/") {
		t.Errorf("image %s has no registry", pod.container().Image)
	}
}
