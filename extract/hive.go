package extract

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// hiveNull is how a folder's name spells NULL.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// pathColumns are the columns that the folders of a file stand for, as in
// year=2024/month=01/, unless the file has columns of these names itself.
func pathColumns(path string, own []Column) (columns []Column) {
	for _, part := range strings.Split(filepath.ToSlash(filepath.Dir(path)), "/") {
		key, value, ok := strings.Cut(part, "=")
		name, err := url.PathUnescape(key)
		if !ok || err != nil || name == "" {
			continue
		}
		text, err := url.PathUnescape(value)
		if err != nil {
			text = value
		}
		constant := textValue(text)
		if text == hiveNull {
			constant = Value{}
		}
		col := Column{Name: quotePart(name), Type: TypeText, Declared: "text (from the path)", constant: &constant}
		columns = slices.DeleteFunc(columns, func(c Column) bool { return c.Name == col.Name }) // the inner folder wins
		if !slices.ContainsFunc(own, func(c Column) bool { return c.Name == col.Name }) {
			columns = append(columns, col)
		}
	}
	return columns
}
