package jobs

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/chatbackfill/chatbackfill/transform"
)

// specCheck looks for what is missing, wrong or contradictory in a decoded
// Spec, and fills in the defaults that depend on other keys.
type specCheck struct {
	*specDecoder
	spec *Spec
}

func (c *specCheck) all() {
	c.job()
	c.schedule()
	c.source()
	c.conversation()
	c.properties()
	c.destination()
	c.ledger()
	c.state()
	c.alerts()
}

// has reports whether the file has a key.
func (c *specCheck) has(path string) bool {
	_, ok := c.given[path]
	return ok
}

// good reports whether the file has a key with a value that could be decoded.
func (c *specCheck) good(path string) bool {
	at, ok := c.given[path]
	return ok && !at.bad
}

// require adds a mistake if a key is missing or empty. It reports whether
// there is a value to look at.
func (c *specCheck) require(path, value, try string) bool {
	switch {
	case !c.has(path):
		c.missing(path, try)
	case c.good(path) && strings.TrimSpace(value) == "":
		c.reject(path, try, "%s is empty", lastKey(path))
	default:
		return c.good(path)
	}
	return false
}

func (c *specCheck) missing(path, try string) {
	around := path[:max(0, strings.LastIndexByte(path, '.'))]
	c.rejectKey(around, try, "missing key %q%s", lastKey(path), inKey(around))
}

// notEmpty adds a mistake if a key is there without a value.
func (c *specCheck) notEmpty(path, value string) {
	if c.good(path) && strings.TrimSpace(value) == "" {
		c.reject(path, "give it a value, or remove the key", "%s is empty", lastKey(path))
	}
}

// notBoth adds a mistake if two keys of one mapping are there that exclude each other.
func (c *specCheck) notBoth(around, first, second string) {
	if c.has(childKey(around, first)) && c.has(childKey(around, second)) {
		c.rejectKey(childKey(around, second), "keep one of them", "%s and %s exclude each other%s", first, second, inKey(around))
	}
}

var jobName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func (c *specCheck) job() {
	s := c.spec
	if c.require("name", s.Name, "name: support-chat") && !jobName.MatchString(s.Name) {
		c.reject("name", "letters, digits, - _ and dots", "name %s has other characters than names may have", c.given["name"].shown)
	}
	if s.Namespace == "" && !c.has("namespace") {
		s.Namespace = s.Name
	}
	c.notEmpty("namespace", s.Namespace)
	c.idText("namespace", s.Namespace)
}

// idText refuses control characters in what events' ids are made of: they
// separate its parts.
func (c *specCheck) idText(path, text string) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		c.reject(path, "use letters, digits and - only", "%s has a control character", lastKey(path))
	}
}

func (c *specCheck) schedule() {
	if c.good("schedule") {
		if err := checkCron(c.spec.Schedule); err != nil {
			if c.given["schedule"].shown != quoted(c.spec.Schedule) {
				err = errors.New("it cannot be read") // the parser's own error shows what the variable holds
			}
			c.reject("schedule", `five fields: minute hour day month weekday, such as "15 * * * *"`, "schedule %s: %v", c.given["schedule"].shown, err)
		}
	}
	c.zone("timezone", c.spec.Timezone)
}

// checkCron returns why there can be no schedule with this expression.
func checkCron(expression string) error {
	switch {
	case strings.Contains(expression, "TZ="):
		return fmt.Errorf("a time zone does not belong into the expression, the key timezone is for it")
	case strings.HasPrefix(expression, "@every"):
		return fmt.Errorf("@every has no fixed times")
	}
	schedule, err := cron.ParseStandard(expression)
	if err != nil {
		return err
	}
	// From a fixed day on, so that the answer does not depend on today.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return fmt.Errorf("it never comes")
	}
	return nil
}

// zone checks the name of a time zone, if the file has one.
func (c *specCheck) zone(path, name string) {
	if !c.good(path) {
		return
	}
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		c.reject(path, "an IANA name such as Europe/Berlin or Etc/UTC", "%s %s is no time zone", lastKey(path), c.given[path].shown)
	}
}

func (c *specCheck) conversation() {
	conversation := &c.spec.Conversation
	c.notEmpty("conversation.suppress", conversation.Suppress)
	for name, pattern := range conversation.Redact {
		path := "conversation.redact." + name
		if !jobName.MatchString(name) {
			c.rejectKey(path, "letters, digits, - _ and dots; matches become [NAME]", "redact name %s has other characters than names may have", quoted(name))
		}
		if re, err := regexp.Compile(pattern); !c.good(path) {
			continue
		} else if err != nil {
			c.reject(path, "the syntax is that of https://pkg.go.dev/regexp/syntax", "redact pattern %s: %v", quoted(name), patternError(err))
		} else if re.MatchString("") {
			c.reject(path, "let it match one character at least", "redact pattern %s matches an empty text", quoted(name))
		}
	}
	if len(conversation.Redact) > 0 && conversation.MessageBody != transform.RedactBody && !c.given["conversation.message_body"].bad {
		c.rejectKey("conversation.redact", "message_body: redact", "redact patterns have no effect with message_body: %s", conversation.MessageBody)
	}
	for i, name := range conversation.Derived {
		if path := fmt.Sprintf("conversation.derived[%d]", i); slices.Contains(conversation.Derived[:i], name) && c.good(path) {
			c.reject(path, "remove one of them", "derived has %q twice", name)
		}
	}
}

// patternError returns what is wrong with a regular expression without the
// expression itself, which may have come from a variable.
func patternError(err error) string {
	what, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "error parsing regexp: "), ":")
	return what
}

// properties checks the names of properties beyond the spec's.
func (c *specCheck) properties() {
	conversation := &c.spec.Conversation
	for _, name := range slices.Sorted(maps.Keys(conversation.Extra)) {
		path := "conversation.extra." + name
		c.propertyName(path, name)
		c.field(path, conversation.Extra[name])
		if _, both := conversation.Properties[name]; both {
			c.rejectKey("conversation.properties."+name, "keep one of them", "property %s is in extra as well", quoted(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(conversation.Properties)) {
		c.propertyName("conversation.properties."+name, name)
	}
}

func (c *specCheck) propertyName(path, name string) {
	switch {
	case strings.TrimSpace(name) == "":
		c.rejectKey(path, "", "a property without a name")
	case transform.Reserved(name):
		c.rejectKey(path, "give it another name", "property %s belongs to the events themselves", quoted(name))
	}
}

func (c *specCheck) destination() {
	const path = "destination"
	c.notBoth(path, "segment", "file")
	destination := &c.spec.Destination
	switch {
	case !c.has(path):
		c.missing(path, "destination: {file: {path: events.ndjson}} to see the events first")
	case destination.Segment == nil && destination.File == nil && c.good(path):
		c.rejectKey(path, "give it the key segment or file", "destination has neither segment nor file")
	}
	if c.good(path + ".segment") {
		c.segment(path+".segment", destination.Segment)
	}
	if c.good(path + ".file") {
		c.file(path+".file", destination.File)
	}
}

func (c *specCheck) segment(path string, segment *SegmentSpec) {
	if c.require(path+".source", segment.Source, "a name of yours for the Segment source, such as support-chat-prod") {
		c.idText(path+".source", segment.Source)
	}
	if key := segment.WriteKey.Reveal(); c.require(path+".write_key", key, "write_key: ${SEGMENT_WRITE_KEY}") && strings.ContainsFunc(key, notInKey) {
		c.reject(path+".write_key", "copy it from the Segment source's settings", "write_key has characters that no write key has")
	}
	c.notBoth(path, "region", "endpoint")
	if c.good(path + ".endpoint") {
		if problem := endpointProblem(segment.Endpoint); problem != "" {
			c.reject(path+".endpoint", "endpoint: https://…", "endpoint %s", problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(segment.Integrations)) {
		switch segment.Integrations[name].(type) {
		case bool, map[string]any:
		default:
			if here := path + ".integrations." + name; c.good(here) {
				c.reject(here, "true, false or a mapping", "integration %s is neither on nor off", quoted(name))
			}
		}
	}
}

func notInKey(r rune) bool { return r <= ' ' || r >= 0x7F }

// endpointProblem returns why events must not be sent to an address, or "".
func endpointProblem(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "is no URL of a server"
	case u.User != nil:
		return "must not hold a password"
	case u.RawQuery != "" || u.Fragment != "":
		return "must not have a query or fragment"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "must be https"
	}
	return ""
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (c *specCheck) file(path string, file *FileSpec) {
	if c.require(path+".path", file.Path, "path: events.ndjson") {
		ok := slices.ContainsFunc([]string{".ndjson", ".ndjson.gz", ".ndjson.zst", ".parquet"}, func(end string) bool {
			return strings.HasSuffix(file.Path, end)
		})
		if !ok {
			c.reject(path+".path", "let it end in .ndjson, .ndjson.gz, .ndjson.zst or .parquet", "path %s says no format", c.given[path+".path"].shown)
		}
	}
	c.notEmpty(path+".source", file.Source)
	c.idText(path+".source", file.Source)
}

// ledger refuses what only works with a ledger: without one a job is a single
// pass in which nothing waits.
func (c *specCheck) ledger() {
	if c.spec.Ledger {
		return
	}
	conversation := &c.spec.Conversation
	if c.has("schedule") {
		c.rejectKey("schedule", "ledger: on", "schedule needs the ledger: without it a job runs once")
	}
	if c.good("conversation.wait_for_agent") && conversation.WaitForAgent > 0 {
		c.rejectKey("conversation.wait_for_agent", "ledger: on, or wait_for_agent: 0s", "wait_for_agent needs the ledger: without it nothing waits")
	}
	if c.has("alerts.no_rows_for") {
		c.rejectKey("alerts.no_rows_for", "ledger: on", "no_rows_for needs the ledger: without it a job runs once")
	}
	conversation.WaitForAgent = 0
}

func (c *specCheck) alerts() {
	alerts := &c.spec.Alerts
	for path, alert := range map[string]Secret{"alerts.on_failure": alerts.OnFailure, "alerts.on_recovery": alerts.OnRecovery, "alerts.on_rejects": alerts.OnRejects} {
		u, err := url.Parse(alert.Reveal())
		if c.good(path) && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			c.reject(path, "https://…", "%s is no URL", lastKey(path))
		} else if c.good(path) && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			c.reject(path, "https://…", "%s must be https", lastKey(path))
		}
	}
}
