package kubernetes

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chatbackfill/chatbackfill/jobs"
)

const guide = root + "/docs/kubernetes.md"

func TestGuideNamesWhatExists(t *testing.T) {
	paths := regexp.MustCompile("jobs/kubernetes/[a-z./-]*[a-z]").FindAllString(string(read(t, guide)), -1)
	if len(paths) < 5 {
		t.Fatalf("%s names %d paths only", guide, len(paths))
	}
	for _, path := range paths {
		if _, err := os.Stat(root + "/" + path); err != nil {
			t.Errorf("%s: %v", guide, err)
		}
	}
	for _, w := range workloads(t) {
		if !strings.Contains(string(read(t, guide)), "`"+w.name+"`") {
			t.Errorf("%s does not name %s", guide, w.name)
		}
	}
}

// TestGuideExplainsExitCodes compares the guide's table with what the manifests
// do.
func TestGuideExplainsExitCodes(t *testing.T) {
	text := string(read(t, guide))
	fails := "the Job fails at once"
	for _, code := range []int32{jobs.ExitUnexpected, jobs.ExitUsage, jobs.ExitDiffers, jobs.ExitRefused, jobs.ExitRejects, jobs.ExitVerify,
		jobs.ExitInterrupted, jobs.ExitTakenOver, jobs.ExitLeaseHeld, 137} {
		_, row, ok := strings.Cut(text, fmt.Sprintf("\n| %d | ", code))
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, " | ")
		if !ok || len(cells) != 3 {
			t.Errorf("exit %d has no row of four cells", code)
			continue
		}
		said := strings.Replace(cells[1], "the same", fails, 1)
		want := map[bool]string{true: fails, false: "tried again"}[action(workloads(t)[0].spec, code, "") == "FailJob"]
		if said != want {
			t.Errorf("exit %d: the guide says %q, the CronJob does %q", code, said, want)
		}
	}
}
