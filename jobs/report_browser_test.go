package jobs

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/chatbackfill/chatbackfill/extract/postgrestest"
)

// TestReportInBrowser looks at reports as people do: on a telephone and on a
// desk, light and dark, and on paper. Its pictures are the test's artifacts.
func TestReportInBrowser(t *testing.T) {
	b := startBrowser(t)
	for name, page := range reportPages(t) {
		b.open(name, page)
		for _, scheme := range []string{"light", "dark"} {
			for device, width := range map[string]int64{"phone": 360, "desk": 1280} {
				b.do(chromedp.EmulateViewport(width, 900))
				b.media("screen", scheme)
				view := strings.Join([]string{name, device, scheme}, "-")
				b.look(view)
				if name == "months" || name == "stopped" {
					b.picture(view)
				}
			}
		}
		b.print(name)
	}
	b.checkQuiet()
}

type browser struct {
	*testing.T
	ctx context.Context
	dir string // of pictures

	mu         sync.Mutex
	complaints []string // of the page, and requests beyond files
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{T: t, dir: t.ArtifactDir()}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(postgrestest.Program(t, "chromium", "chromium", "chromium-browser", "google-chrome", "chrome")), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, err2 := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen keeps what the page complains of, and what it asks of the network.
func (b *browser) listen(event any) {
	complaint := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		complaint = e.Entry.Text
	case *runtime.EventConsoleAPICalled:
		complaint = "console." + e.Type.String()
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, "file:") && !strings.HasPrefix(u, "data:") {
			complaint = "request of " + u
		}
	}
	if complaint != "" {
		b.mu.Lock()
		b.complaints = append(b.complaints, complaint)
		b.mu.Unlock()
	}
}

func (b *browser) checkQuiet() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, complaint := range b.complaints {
		b.Errorf("the page is not quiet: %s", complaint)
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

func (b *browser) open(name string, page []byte) {
	b.Helper()
	path := filepath.Join(b.TempDir(), name+".html")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		b.Fatal(err)
	}
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: path}).String()))
}

// media shows the page as on a screen or as in print, light or dark.
func (b *browser) media(media, scheme string) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.Fatal(err)
	}
}

// look checks what can be measured of the page as it is shown.
func (b *browser) look(view string) {
	b.Helper()
	faults, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](lookScript))
	if err != nil {
		b.Fatal(err)
	}
	for _, fault := range faults {
		b.Errorf("%s: %s", view, fault)
	}
}

// lookScript returns what is wrong: a page wider than the window, text that
// stands out of it, labels of a chart over one another, and text whose contrast
// is below 4.5 to 1.
const lookScript = `(() => {
	const faults = [];
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) faults.push("the page is " + root.scrollWidth + " wide");
	if (document.querySelectorAll("svg[role=img]").length === 0 && document.querySelectorAll(".empty").length === 0)
		faults.push("no chart, and nothing said of it");

	const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
	const rgb = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const luminance = (c) => {
		const [r, g, b] = c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (element) => {
		for (let e = element; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c[3] === 255) return c;
		}
		return [255, 255, 255, 255];
	};
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		const text = texts.currentNode.textContent.trim();
		if (!text || e.closest("title, desc, .unseen") || !e.getClientRects().length) continue;
		const style = getComputedStyle(e);
		const ink = luminance(rgb(e.closest("svg") ? style.fill : style.color)), paper = luminance(behind(e));
		const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
		if (contrast < 4.5) faults.push("contrast " + contrast.toFixed(1) + " of " + text);
		const range = document.createRange();
		range.selectNodeContents(texts.currentNode);
		const box = range.getBoundingClientRect();
		if (box.left < 0 || box.right > root.clientWidth) faults.push("out of the window: " + text);
	}
	for (const chart of document.querySelectorAll("svg[role=img]")) {
		const boxes = [...chart.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]).filter(([, b]) => b.width);
		boxes.forEach(([x, a], i) => boxes.slice(i + 1).forEach(([y, b]) => {
			if (a.left < b.right && b.left < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom) faults.push("over one another: " + x + " and " + y);
		}));
		const card = chart.closest(".card").getBoundingClientRect();
		for (const [x, b] of boxes) if (b.left < card.left || b.right > card.right) faults.push("out of its card: " + x);
	}
	return faults;
})()`

func (b *browser) picture(view string) {
	b.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	b.save(view+".png", png)
}

// print prints the page, and checks it as it is on paper when the screen is dark.
func (b *browser) print(name string) {
	b.Helper()
	b.do(chromedp.EmulateViewport(700, 1000))
	b.media("print", "dark")
	b.look(name + "-print")
	b.media("", "light")
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4)))
	if err != nil {
		b.Fatal(err)
	}
	if sheets := bytes.Count(pdf, []byte("/Type /Page\n")); sheets < 1 || sheets > 6 {
		b.Errorf("%s: prints on %d sheets", name, sheets)
	}
	b.save(name+".pdf", pdf)
}

func (b *browser) save(name string, data []byte) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
		b.Fatal(err)
	}
}
