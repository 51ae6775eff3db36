package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/chatbackfill/chatbackfill/jobs"
)

// verdicts are the exit codes that another try would not change. Kubernetes
// wants them sorted.
var verdicts = []int32{jobs.ExitUsage, jobs.ExitDiffers, jobs.ExitRefused, jobs.ExitRejects, jobs.ExitVerify}

// retried are the workloads whose failed pods are replaced.
func retried(t *testing.T, check func(*testing.T, workload)) {
	eachWorkload(t, func(t *testing.T, w workload) {
		if w.name != "command" {
			check(t, w)
		}
	})
}

func TestExitCodes(t *testing.T) {
	retried(t, func(t *testing.T, w workload) {
		for code, want := range map[int32]batchv1.PodFailurePolicyAction{
			jobs.ExitUnexpected: batchv1.PodFailurePolicyActionCount,
			jobs.ExitUsage:      batchv1.PodFailurePolicyActionFailJob, jobs.ExitDiffers: batchv1.PodFailurePolicyActionFailJob,
			jobs.ExitRefused: batchv1.PodFailurePolicyActionFailJob, jobs.ExitRejects: batchv1.PodFailurePolicyActionFailJob,
			jobs.ExitVerify:      batchv1.PodFailurePolicyActionFailJob,
			jobs.ExitInterrupted: batchv1.PodFailurePolicyActionCount, jobs.ExitTakenOver: batchv1.PodFailurePolicyActionCount,
			jobs.ExitLeaseHeld: batchv1.PodFailurePolicyActionCount,
			137:                batchv1.PodFailurePolicyActionCount, // killed: out of memory
		} {
			if got := action(w.spec, code, ""); got != want {
				t.Errorf("exit %d: %s, want %s", code, got, want)
			}
		}
	})
}

func TestDisruptedPodsCostNoTry(t *testing.T) {
	retried(t, func(t *testing.T, w workload) {
		if got := action(w.spec, jobs.ExitInterrupted, corev1.DisruptionTarget); got != batchv1.PodFailurePolicyActionIgnore {
			t.Errorf("a pod of a drained node: %s, want Ignore", got)
		}
		// What the program says of itself counts for more than how its pod ended.
		if got := action(w.spec, jobs.ExitDiffers, corev1.DisruptionTarget); got != batchv1.PodFailurePolicyActionFailJob {
			t.Errorf("exit %d on a drained node: %s, want FailJob", jobs.ExitDiffers, got)
		}
	})
}

// action is what Kubernetes does with a pod that ended like this: what the first
// rule that fits says, else it counts.
func action(spec batchv1.JobSpec, exit int32, condition corev1.PodConditionType) batchv1.PodFailurePolicyAction {
	for _, rule := range spec.PodFailurePolicy.Rules {
		if codes := rule.OnExitCodes; codes != nil && slices.Contains(codes.Values, exit) == (codes.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
			return rule.Action
		}
		if slices.ContainsFunc(rule.OnPodConditions, func(p batchv1.PodFailurePolicyOnPodConditionsPattern) bool { return p.Type == condition }) {
			return rule.Action
		}
	}
	return batchv1.PodFailurePolicyActionCount
}

// TestAPIRules checks what the API server refuses and the types do not tell.
func TestAPIRules(t *testing.T) {
	eachWorkload(t, func(t *testing.T, w workload) {
		s := w.spec
		if s.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("restartPolicy is %q, podFailurePolicy needs Never", s.Template.Spec.RestartPolicy)
		}
		if s.PodFailurePolicy != nil && (s.PodReplacementPolicy == nil || *s.PodReplacementPolicy != batchv1.Failed) {
			t.Error("podFailurePolicy needs podReplacementPolicy: Failed")
		}
		indexed := s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
		if (s.BackoffLimitPerIndex != nil || s.MaxFailedIndexes != nil) && !indexed {
			t.Error("backoffLimitPerIndex and maxFailedIndexes need completionMode: Indexed")
		}
		if s.MaxFailedIndexes != nil && (s.BackoffLimitPerIndex == nil || *s.MaxFailedIndexes > *s.Completions) {
			t.Error("maxFailedIndexes needs backoffLimitPerIndex, and is not more than completions")
		}
	})
	retried(t, func(t *testing.T, w workload) {
		for i, rule := range w.spec.PodFailurePolicy.Rules {
			t.Run(fmt.Sprint("rule ", i), func(t *testing.T) { checkRule(t, rule) })
		}
	})
}

func checkRule(t *testing.T, rule batchv1.PodFailurePolicyRule) {
	if (rule.OnExitCodes == nil) == (len(rule.OnPodConditions) == 0) {
		t.Error("a rule has either onExitCodes or onPodConditions")
	}
	if codes := rule.OnExitCodes; codes != nil {
		if codes.ContainerName == nil || *codes.ContainerName != containerName {
			t.Errorf("the codes are those of container %v, want %s", codes.ContainerName, containerName)
		}
		if codes.Operator != batchv1.PodFailurePolicyOnExitCodesOpIn || !slices.Equal(codes.Values, verdicts) {
			t.Errorf("codes %s %v, want In %v", codes.Operator, codes.Values, verdicts)
		}
	}
}

func TestCronJob(t *testing.T) {
	c := decode[batchv1.CronJob](t, "cronjob/cronjob.yaml", "batch/v1", "CronJob").Spec
	if c.ConcurrencyPolicy != batchv1.ForbidConcurrent {
		t.Errorf("concurrencyPolicy is %s", c.ConcurrencyPolicy)
	}
	if c.TimeZone == nil {
		t.Fatal("timeZone is missing")
	}
	if _, err := time.LoadLocation(*c.TimeZone); err != nil || strings.Contains(c.Schedule, "TZ=") {
		t.Errorf("timeZone %s (%v), schedule %s", *c.TimeZone, err, c.Schedule)
	}
	if c.StartingDeadlineSeconds == nil || *c.StartingDeadlineSeconds != 300 {
		t.Errorf("startingDeadlineSeconds is %v, want 300", c.StartingDeadlineSeconds)
	}
	if c.SuccessfulJobsHistoryLimit == nil || c.FailedJobsHistoryLimit == nil || *c.FailedJobsHistoryLimit < 1 {
		t.Error("a history of failed Jobs is what people look at")
	}
	spec := c.JobTemplate.Spec
	if spec.TTLSecondsAfterFinished != nil {
		t.Error("ttlSecondsAfterFinished would cut the history that the limits keep")
	}
	if spec.BackoffLimit == nil || *spec.BackoffLimit < 1 {
		t.Error("exit 75 says: run again")
	}
	if deadline := spec.ActiveDeadlineSeconds; deadline == nil || time.Duration(*deadline)*time.Second < 2*time.Hour {
		t.Errorf("activeDeadlineSeconds is %v, want more than a run that waits for Segment (retry_for) takes", deadline)
	}
}

func TestIndexedJob(t *testing.T) {
	s := decode[batchv1.Job](t, "indexed-job/job.yaml", "batch/v1", "Job").Spec
	if s.CompletionMode == nil || *s.CompletionMode != batchv1.IndexedCompletion {
		t.Fatal("completionMode is not Indexed")
	}
	if *s.Completions != *s.Parallelism {
		t.Errorf("%d of %d shards run at once: the others' share of the rate is idle", *s.Parallelism, *s.Completions)
	}
	if s.BackoffLimitPerIndex == nil || s.MaxFailedIndexes == nil || s.TTLSecondsAfterFinished == nil {
		t.Error("backoffLimitPerIndex, maxFailedIndexes or ttlSecondsAfterFinished is missing")
	}
	if s.BackoffLimit != nil {
		t.Error("backoffLimit would let one shard use up the tries of the others")
	}
	if s.ActiveDeadlineSeconds != nil {
		t.Error("activeDeadlineSeconds would end an import for being long")
	}
}

func TestArguments(t *testing.T) {
	shards := *decode[batchv1.Job](t, "indexed-job/job.yaml", "batch/v1", "Job").Spec.Completions
	const file = "/etc/chatbackfill/job.yaml"
	want := map[string][]string{
		"cronjob":     {"run", "--if-running", jobs.IfRunningSkip, "--log-format", "json", file},
		"indexed-job": {"run", "--shard", fmt.Sprintf("$(JOB_COMPLETION_INDEX)/%d", shards), "--if-running", jobs.IfRunningWait, "--log-format", "json", file},
		"command":     {"run", "--dry-run", file},
	}
	eachWorkload(t, func(t *testing.T, w workload) {
		c := w.container()
		if !slices.Equal(c.Args, want[w.name]) {
			t.Errorf("args %v, want %v", c.Args, want[w.name])
		}
		if len(c.Command) > 0 {
			t.Error("command replaces the image's entry point")
		}
	})
}
