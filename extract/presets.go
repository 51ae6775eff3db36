package extract

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// presetFiles are the mappings of known systems, NAME@VERSION.yaml. A file that
// was released is never changed: jobs that name it go on giving the same events.
// What has to change gets a new version.
//
//go:embed presets/*.yaml
var presetFiles embed.FS

const presetEnd = ".yaml"

// PresetNames are the presets that ship with the program, NAME@VERSION, sorted.
func PresetNames() []string {
	files, err := fs.ReadDir(presetFiles, "presets")
	if err != nil {
		panic(fmt.Sprintf("list the embedded presets: %v", err))
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(file.Name(), presetEnd)
	}
	return names
}

// PresetText returns the file of a preset; false if there is no such preset.
func PresetText(name string) (string, bool) {
	text, err := presetFiles.ReadFile("presets/" + name + presetEnd)
	return string(text), err == nil
}
