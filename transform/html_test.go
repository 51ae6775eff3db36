package transform

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHTMLText(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "hello", "hello"},
		{"plain with lines", "a\nb", "a\nb"},
		{"plain with <", "a < b and c > d,\n1<2", "a < b and c > d,\n1<2"},
		{"heart", "I <3 you </3 >", "I <3 you </3 >"},
		{"unknown tag is text", "press <enter> or <ann@example.com> <https://example.com/a>", "press <enter> or <ann@example.com> <https://example.com/a>"},
		{"unfinished tag", "if a<b", "if a<b"},
		{"unfinished tag after markup", "<p>x</p> if a<b", "x\n\nif a<b"},
		{"entities alone", "AT&amp;T &lt;b&gt;\n&eacute;", "AT&T <b>\né"},
		{"unescaped once", "&amp;lt;", "&lt;"},
		{"paragraphs", "<p>a</p><p>b</p>", "a\n\nb"},
		{"paragraphs not closed", "<p>a<p>b", "a\n\nb"},
		{"line breaks", "a<br>b<br/>c", "a\nb\nc"},
		{"many line breaks", "a<br><br><br><br>b", "a\n\nb"},
		{"divs", "<div>a</div><div>b</div><div><br></div><div>c</div>", "a\nb\n\nc"},
		{"white space", "<p>  a \n  b&nbsp; c </p>", "a b c"},
		{"inline", "a<b>b</b> <i> c</i>", "ab c"},
		{"list", "<p>Do:</p><ul><li>one</li><li> two </li></ul>then", "Do:\n\n- one\n- two\n\nthen"},
		{"list of paragraphs", "<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n\n- two"},
		{"nested list", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"},
		{"ordered list", "<ol><li>a<li>b</ol>", "- a\n- b"},
		{"empty item", "<ul><li></li><li>b</li></ul>", "- b"},
		{"link", `see <a href="https://example.com/x">our page</a>.`, "see our page (https://example.com/x)."},
		{"link of itself", `<a href="https://example.com/">https://example.com</a>`, "https://example.com"},
		{"link without scheme", `<a href="https://example.com">example.com</a>`, "example.com"},
		{"mail link", `<a href="mailto:ann@example.com">ann@example.com</a>`, "ann@example.com"},
		{"link without text", `<a href="https://example.com"></a>`, "https://example.com"},
		{"link not closed", `<a href="https://example.com">x`, "x (https://example.com)"},
		{"links that lead nowhere", `<a href="#top">up</a> <a href="javascript:x()">do</a> <a>here</a>`, "up do here"},
		{"image", `a<img src="x.png" alt="a cat">b`, "a a cat b"},
		{"image without text", `a<img src="x.png">b`, "a b"},
		{"script and style", "<style>p{}</style>a<script>if (a<b) {}</script>b<title>t</title>", "ab"},
		{"script not closed", "a<script>b", "a"},
		{"comment", "a<!-- b -->c<!DOCTYPE html>", "ac"},
		{"table", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"},
		{"pre", "<pre>a\n  b</pre>", "a\n  b"},
		{"Outlook", "<p>a<o:p>&nbsp;</o:p></p>", "a"},
		{"blank", "<p>&nbsp;</p>", ""},
		{"NUL and bad bytes", "<p>a\x00\xff</p>", "a\x00\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := htmlText(c.in); got != c.want {
				t.Errorf("htmlText(%q)\n got %q\nwant %q", c.in, got, c.want)
			}
		})
	}
}

// Text that means nothing in HTML comes out as it went in.
func TestHTMLTextKeepsPlainText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.NewReplacer("<", "", "&", "").Replace(rapid.String().Draw(t, "s"))
		if got := htmlText(s); got != s {
			t.Fatalf("htmlText(%q) = %q", s, got)
		}
	})
}

// What is written comes from the source: nothing multiplies.
func TestHTMLTextIsBounded(t *testing.T) {
	piece := rapid.SampledFrom([]string{"<p>", "</p>", "<ul>", "<li>", "</ul>", "<a href=x>", "</a>", "<br>", "<script>", "</script>",
		"<pre>", "</pre>", "<", "</", ">", "a", " ", "&amp;", "<!--", "-->", "<td>", "<img alt=y>", "<x-y>", "<zz>"})
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), "")
		if got := htmlText(s); len(got) > 20*len(s) {
			t.Fatalf("htmlText(%q) has %d bytes: %q", s, len(got), got)
		}
	})
}
