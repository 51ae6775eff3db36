package transform

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlText returns what a person reads of an HTML fragment: paragraphs apart, a
// line for every item of a list, the addresses of links and the texts of images.
// Text that is no HTML survives as it is, a < in it included; so does a line
// break if nothing else is HTML.
func htmlText(s string) string {
	if !strings.ContainsAny(s, "<&") {
		return s
	}
	var w htmlWriter
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			w.text(string(z.Raw()))
			return w.finish(s)
		case html.TextToken:
			w.text(html.UnescapeString(string(z.Raw())))
		case html.CommentToken, html.DoctypeToken:
			w.comment(string(z.Raw()))
		default:
			w.tag(z)
		}
	}
}

// htmlWriter writes the text of HTML tokens. White space is written when text
// follows it: as a line break, an empty line or a space.
type htmlWriter struct {
	b      strings.Builder
	markup bool // there was any
	hidden atom.Atom
	pre    int
	lists  int
	breaks int    // line breaks that are due
	space  bool   // a space is due
	marker string // of a list's item, due
	href   string
	linked int // where the text of the open link begins; -1: it has none yet
}

// hidden are the elements whose content nobody sees.
var hidden = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Title: true, atom.Iframe: true, atom.Noframes: true, atom.Noembed: true,
}

// blocks are the elements that stand on lines of their own, and how many line
// breaks set them apart.
var blocks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Blockquote: 2,
	atom.Ul: 2, atom.Ol: 2, atom.Pre: 2, atom.Table: 2, atom.Dl: 2, atom.Hr: 2,
	atom.Div: 1, atom.Li: 1, atom.Tr: 1, atom.Dt: 1, atom.Dd: 1, atom.Section: 1, atom.Article: 1, atom.Header: 1,
	atom.Footer: 1, atom.Main: 1, atom.Nav: 1, atom.Aside: 1, atom.Form: 1, atom.Fieldset: 1, atom.Address: 1,
	atom.Figure: 1, atom.Figcaption: 1, atom.Option: 1, atom.Center: 1, atom.Body: 1,
}

// comment drops a comment, unless it only looks like one to a browser: </3.
func (w *htmlWriter) comment(raw string) {
	if strings.HasPrefix(raw, "</") {
		w.text(raw)
		return
	}
	w.markup = true
}

// tag writes what a tag means. A tag of an element that does not exist is text,
// unless its name is one that other programs add to HTML (o:p, x-name).
func (w *htmlWriter) tag(z *html.Tokenizer) {
	raw := string(z.Raw())
	t := z.Token()
	if t.DataAtom == 0 && !strings.Contains(t.Data, "-") && strings.Index(t.Data+":", ":") >= len(t.Data)-1 {
		w.text(html.UnescapeString(raw))
		return
	}
	w.markup = true
	closes := t.Type == html.EndTagToken
	if hidden[t.DataAtom] {
		w.hide(t.DataAtom, closes)
		return
	}
	switch t.DataAtom {
	case atom.Br:
		w.breaks++
	case atom.Img:
		w.text(" " + attribute(t, "alt") + " ")
	case atom.A:
		w.closeLink()
		if !closes {
			w.href, w.linked = attribute(t, "href"), -1
		}
	case atom.Td, atom.Th:
		w.space = true
	default:
		w.block(t.DataAtom, closes)
	}
}

func (w *htmlWriter) hide(element atom.Atom, closes bool) {
	switch {
	case !closes && w.hidden == 0:
		w.hidden = element
	case closes && w.hidden == element:
		w.hidden = 0
	}
}

func (w *htmlWriter) block(element atom.Atom, closes bool) {
	step, lines := 1, blocks[element]
	if closes {
		step = -1
	}
	switch element {
	case atom.Pre:
		w.pre = max(0, w.pre+step)
	case atom.Ul, atom.Ol:
		outer := w.lists
		w.lists = max(0, w.lists+step)
		if min(outer, w.lists) > 0 {
			lines = 1 // a list in a list
		}
	}
	if w.marker == "" {
		w.breaks = max(w.breaks, lines)
	}
	if element == atom.Li && !closes {
		w.marker = strings.Repeat("  ", min(max(w.lists-1, 0), 8)) + "- "
	}
}

// text writes text, its white space collapsed unless it is preformatted.
func (w *htmlWriter) text(s string) {
	switch {
	case w.hidden != 0:
	case w.pre > 0:
		w.write(s)
	default:
		w.collapsed(s)
	}
}

func (w *htmlWriter) collapsed(s string) {
	for s != "" {
		word := strings.TrimLeft(s, " \t\r\n\f\u00a0")
		w.space = w.space || len(word) < len(s)
		end := strings.IndexAny(word, " \t\r\n\f\u00a0")
		if end < 0 {
			end = len(word)
		}
		if end > 0 {
			w.write(word[:end])
		}
		s = word[end:]
	}
}

// write writes s and the white space due before it.
func (w *htmlWriter) write(s string) {
	if s == "" {
		return
	}
	switch {
	case w.b.Len() == 0:
	case w.breaks > 0:
		w.b.WriteString("\n\n"[:min(w.breaks, 2)])
	case w.space:
		w.b.WriteByte(' ')
	}
	w.b.WriteString(w.marker)
	w.breaks, w.space, w.marker = 0, false, ""
	if w.href != "" && w.linked < 0 {
		w.linked = w.b.Len()
	}
	w.b.WriteString(s)
}

// closeLink writes the address of the open link, unless it is its text.
func (w *htmlWriter) closeLink() {
	href := strings.TrimSpace(w.href)
	w.href = ""
	scheme, rest, _ := strings.Cut(href, ":")
	if href == "" || href[0] == '#' || strings.EqualFold(scheme, "javascript") {
		return
	}
	if w.linked < 0 {
		w.text(href)
		return
	}
	if text := w.b.String()[w.linked:]; !sameLink(text, href) && !sameLink(text, rest) {
		w.b.WriteString(" (" + href + ")")
	}
}

// sameLink reports whether text says where a link leads.
func sameLink(text, href string) bool {
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "//"), "/") }
	return trim(text) == trim(href)
}

// finish returns the text. Text in which there is no markup keeps its lines.
func (w *htmlWriter) finish(source string) string {
	w.closeLink()
	if !w.markup {
		return html.UnescapeString(source)
	}
	return strings.TrimSpace(w.b.String())
}

func attribute(t html.Token, key string) string {
	for _, a := range t.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
