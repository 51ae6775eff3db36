package chaos

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const guarantees = root + "/docs/guarantees.md"

// TestGuaranteesNameWhatExists: every test and every fault that the page of
// guarantees names is there, and every fault is on the page.
func TestGuaranteesNameWhatExists(t *testing.T) {
	page, err := os.ReadFile(guarantees)
	if err != nil {
		t.Fatal(err)
	}
	exist := testsOfTheProject(t)
	names := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(page, -1)
	if len(names) < 40 {
		t.Errorf("the page names %d tests", len(names))
	}
	for _, match := range names {
		if !exist[string(match[1])] {
			t.Errorf("there is no %s", match[1])
		}
	}
	var named []int
	for _, list := range regexp.MustCompile(`faults? (\d+(?:, \d+)*)`).FindAllSubmatch(page, -1) {
		for _, text := range strings.Split(string(list[1]), ", ") {
			number, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			named = append(named, number)
		}
	}
	for _, number := range named {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.number == number }) {
			t.Errorf("there is no fault %d", number)
		}
	}
	for _, f := range faults {
		if !slices.Contains(named, f.number) {
			t.Errorf("fault %d, %s, is not on the page", f.number, f.name)
		}
	}
}

func testsOfTheProject(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(source, -1) {
			found[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
