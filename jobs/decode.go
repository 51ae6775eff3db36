package jobs

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a job file may have. The parser's time and memory grow with the square
// of some of these, so they are checked before it runs.
const (
	maxSpecSize   = 512 << 10 // bytes
	maxSpecMarks  = 100_000   // punctuation and line ends
	maxSpecBlank  = 4_000_000 // bytes times the longest run of blank lines
	maxSpecTokens = 8_000
	maxSpecDepth  = 64 // nested lists and mappings
)

// parseYAML returns the mapping that the file is, or nil after adding the
// mistakes that make it none.
func parseYAML(data []byte, m *specMistakes) *ast.MappingNode {
	text, ok := readableText(data, m)
	if !ok {
		return nil
	}
	tokens := lexer.Tokenize(text)
	if !plainTokens(tokens, m) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		m.addSyntax(err)
		return nil
	}
	return onlyDocument(file, m)
}

// readableText returns the file's text with plain line ends.
func readableText(data []byte, m *specMistakes) (string, bool) {
	if len(data) > maxSpecSize {
		m.add(0, 0, "check that this is the job file", "larger than 512 KB")
		return "", false
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	m.lines = strings.Split(text, "\n")
	for i, line := range m.lines {
		if bad := strings.IndexFunc(line, unreadable); bad >= 0 {
			column := 1 + utf8.RuneCountInString(line[:bad])
			m.add(i+1, column, "save the file as plain text in UTF-8", "a character that is not text")
			return "", false
		}
	}
	marks := 0
	for _, mark := range "[]{},:-?&*!%|>#\n" {
		marks += strings.Count(text, string(mark))
	}
	if marks > maxSpecMarks {
		m.addTooLarge()
		return "", false
	}
	if end, run := blankRun(m.lines); run*len(text) > maxSpecBlank {
		m.add(end, 1, "remove them", "%d blank lines in a row", run)
		return "", false
	}
	return text, true
}

func unreadable(r rune) bool {
	return r == utf8.RuneError || r < ' ' && r != '\t' || r == 0x7F
}

// blankRun returns the last line and the length of the longest run of lines
// without text.
func blankRun(lines []string) (end, longest int) {
	run := 0
	for i, line := range lines {
		if run++; strings.TrimSpace(line) != "" {
			run = 0
		}
		if run > longest {
			end, longest = i+1, run
		}
	}
	return end, longest
}

func (m *specMistakes) addTooLarge() {
	m.add(0, 0, "check that this is the job file", "more keys and values than a job file can have")
}

// plainTokens refuses what job files have no use for, and what would make the
// parser slow.
func plainTokens(tokens token.Tokens, m *specMistakes) bool {
	if len(tokens) > maxSpecTokens {
		m.addTooLarge()
		return false
	}
	var depth nesting
	for _, t := range tokens {
		at := t.Position
		if what, try := unusedSyntax(t); what != "" {
			m.add(at.Line, at.Column, try, "%s are not used in job files", what)
			return false
		}
		if depth.after(t) > maxSpecDepth {
			m.add(at.Line, at.Column, "", "more than %d lists and mappings inside each other", maxSpecDepth)
			return false
		}
	}
	return true
}

func unusedSyntax(t *token.Token) (what, try string) {
	switch t.Type {
	case token.AnchorType:
		return "anchors (&)", "write the text in quotes if it is meant to start with &"
	case token.AliasType:
		return "aliases (*)", "write the text in quotes if it is meant to start with *"
	case token.TagType:
		return "tags (!)", "write the text in quotes if it is meant to start with !"
	case token.MergeKeyType:
		return "merge keys (<<)", "write the keys out"
	case token.MappingKeyType:
		return "keys marked by ?", "write key: value"
	case token.DirectiveType:
		return "directives (%)", "write the text in quotes if it is meant to start with %"
	}
	return "", ""
}

// nesting counts how deep lists and mappings are nested.
type nesting struct {
	flow    int   // open brackets and braces
	indents []int // columns of the blocks that are open
	line    int   // of the last token
	dash    bool  // the last token began a list's element
}

func (n *nesting) after(t *token.Token) int {
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		n.flow++
	case token.SequenceEndType, token.MappingEndType:
		n.flow--
	}
	if first := t.Position.Line != n.line; first || n.dash {
		for len(n.indents) > 0 && n.indents[len(n.indents)-1] >= t.Position.Column {
			n.indents = n.indents[:len(n.indents)-1]
		}
		n.indents = append(n.indents, t.Position.Column)
	}
	n.line, n.dash = t.Position.Line, t.Type == token.SequenceEntryType
	return n.flow + len(n.indents)
}

func onlyDocument(file *ast.File, m *specMistakes) *ast.MappingNode {
	switch {
	case len(file.Docs) > 1:
		at := file.Docs[1].Start
		line, column := 1, 1
		if at != nil {
			line, column = at.Position.Line, at.Position.Column
		}
		m.add(line, column, "write one job a file", "a second document")
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		m.add(0, 0, "chatbackfill init writes a commented job file", "the file is empty")
	default:
		if root := mappingOf(file.Docs[0].Body); root != nil {
			return root
		}
		at := file.Docs[0].Body.GetToken().Position
		m.add(at.Line, at.Column, "chatbackfill init writes a commented job file", "a job file consists of keys, this is %s", kindOf(file.Docs[0].Body))
	}
	return nil
}

// mappingOf returns node as a mapping, or nil if it is none.
func mappingOf(node ast.Node) *ast.MappingNode {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: &ast.BaseNode{}, Start: node.Start, Values: []*ast.MappingValueNode{node}}
	}
	return nil
}

// addSyntax adds the parser's own error in words of ours where it has none that help.
func (m *specMistakes) addSyntax(err error) {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		m.add(0, 0, "", "not valid YAML: %s", firstLine(err.Error()))
		return
	}
	at := syntax.GetToken().Position
	line := ""
	if at.Line > 0 && at.Line <= len(m.lines) {
		line = m.lines[at.Line-1]
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch tab := strings.IndexByte(indent, '\t'); {
	case tab >= 0:
		m.add(at.Line, tab+1, "indent with spaces", "a tab in the indentation")
	case strings.Contains(line, "${"):
		m.add(at.Line, at.Column, `inside of [ ] and { } write variables in quotes: "${NAME}"`, "not valid YAML: %s", firstLine(syntax.GetMessage()))
	default:
		m.add(at.Line, at.Column, "check indentation, brackets and quotes here and on the line before", "not valid YAML: %s", firstLine(syntax.GetMessage()))
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// kindOf says what a node is, to a person.
func kindOf(node ast.Node) string {
	switch node := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return node.GetToken().Value
	}
	return "text"
}
