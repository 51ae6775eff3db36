package kubernetes

import (
	"path"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestGraceIsLongerThanDrain(t *testing.T) {
	eachWorkload(t, func(t *testing.T, w workload) {
		grace := w.pod().TerminationGracePeriodSeconds
		if grace == nil {
			t.Fatal("terminationGracePeriodSeconds is missing")
		}
		// What comes after the drain: the last checkpoint, giving back the lease.
		const last = 20 * time.Second
		if drain := loadJob(t, w).Drain; time.Duration(*grace)*time.Second < drain+last {
			t.Errorf("terminationGracePeriodSeconds is %d, want %s at least: drain is %s", *grace, drain+last, drain)
		}
	})
}

func TestPodsAreLockedDown(t *testing.T) {
	account := decode[corev1.ServiceAccount](t, serviceAccount, "v1", "ServiceAccount")
	if v := account.AutomountServiceAccountToken; v == nil || *v {
		t.Error("the service account hands out its token")
	}
	eachWorkload(t, func(t *testing.T, w workload) {
		pod, c := w.pod(), w.container()
		if pod.ServiceAccountName != account.Name {
			t.Errorf("service account %q, want %q", pod.ServiceAccountName, account.Name)
		}
		for what, flag := range map[string]*bool{
			"automountServiceAccountToken": pod.AutomountServiceAccountToken,
			"enableServiceLinks":           pod.EnableServiceLinks,
			"allowPrivilegeEscalation":     c.SecurityContext.AllowPrivilegeEscalation,
		} {
			if flag == nil || *flag {
				t.Errorf("%s is not false", what)
			}
		}
		for what, flag := range map[string]*bool{
			"runAsNonRoot":           pod.SecurityContext.RunAsNonRoot,
			"readOnlyRootFilesystem": c.SecurityContext.ReadOnlyRootFilesystem,
		} {
			if flag == nil || !*flag {
				t.Errorf("%s is not true", what)
			}
		}
		if user := pod.SecurityContext.RunAsUser; user == nil || *user != imageUser(t) {
			t.Errorf("runAsUser is missing or not %d, the image's", imageUser(t))
		}
		if profile := pod.SecurityContext.SeccompProfile; profile == nil || profile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("seccompProfile is %v", profile)
		}
		if got := c.SecurityContext.Capabilities; got == nil || !cmp.Equal(got, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}) {
			t.Errorf("capabilities are %v", got)
		}
	})
}

// TestMemory checks that Go's own limit leaves room below the one at which the
// kernel kills.
func TestMemory(t *testing.T) {
	eachWorkload(t, func(t *testing.T, w workload) {
		c := w.container()
		var limit *corev1.ResourceFieldSelector
		for _, v := range c.Env {
			if v.Name == "GOMEMLIMIT" {
				limit = v.ValueFrom.ResourceFieldRef
			}
		}
		if limit == nil || limit.Resource != "requests.memory" || limit.ContainerName != "" || !limit.Divisor.IsZero() {
			t.Fatalf("GOMEMLIMIT is %+v, want requests.memory in bytes", limit)
		}
		request, kill := c.Resources.Requests.Memory().Value(), c.Resources.Limits.Memory().Value()
		if request < 256<<20 || request > kill*95/100 || request < kill*80/100 {
			t.Errorf("requests %d of %d bytes, want 80%% to 95%% of the limit", request, kill)
		}
		if _, limited := c.Resources.Limits[corev1.ResourceCPU]; limited {
			t.Error("a limit of CPU throttles the renewal of the lease")
		}
	})
}

func TestVolumes(t *testing.T) {
	eachWorkload(t, func(t *testing.T, w workload) {
		mounts := make(map[string]corev1.VolumeMount)
		for _, m := range w.container().VolumeMounts {
			mounts[m.Name] = m
		}
		for _, v := range w.pod().Volumes {
			mount, ok := mounts[v.Name]
			delete(mounts, v.Name)
			switch {
			case !ok:
				t.Errorf("volume %s is mounted nowhere", v.Name)
			case v.ConfigMap != nil:
				args := w.container().Args
				if v.ConfigMap.Name != configMapName || mount.MountPath != path.Dir(args[len(args)-1]) || !mount.ReadOnly {
					t.Errorf("volume %s is %s at %s", v.Name, v.ConfigMap.Name, mount.MountPath)
				}
			case v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil || mount.MountPath != "/tmp" || mount.ReadOnly:
				t.Errorf("volume %s is no limited, writable folder at /tmp", v.Name)
			}
		}
		for name := range mounts {
			t.Errorf("there is no volume %s to mount", name)
		}
		if n := len(w.pod().Volumes); n != 2 {
			t.Errorf("%d volumes, want the job file and /tmp", n)
		}
	})
}

// TestPodsAreAlike checks that the pods differ in their arguments only.
func TestPodsAreAlike(t *testing.T) {
	var first *corev1.PodTemplateSpec
	eachWorkload(t, func(t *testing.T, w workload) {
		if n := len(w.pod().Containers); n != 1 || w.container().Name != containerName {
			t.Fatalf("%d containers, the first is %s; want one, %s", n, w.container().Name, containerName)
		}
		pod := w.spec.Template.DeepCopy()
		pod.Spec.Containers[0].Args = nil
		if first == nil {
			first = pod
		}
		if diff := cmp.Diff(first, pod); diff != "" {
			t.Errorf("differs from the CronJob's:\n%s", diff)
		}
	})
}
