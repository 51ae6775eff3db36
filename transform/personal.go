package transform

import "strings"

// PersonalData are what redacting finds without patterns of the job's own, as
// it labels them.
var PersonalData = []string{"email", "phone", "card", "iban", "ip"}

// CountPersonalData adds to counts how many of each of [PersonalData] redacting
// a text would replace.
func CountPersonalData(text string, counts map[string]int) {
	var r redactor
	cleaned := r.clean(text)
	if cleaned == text {
		return
	}
	for _, name := range PersonalData {
		label := "[" + name + "]"
		if n := strings.Count(cleaned, label) - strings.Count(text, label); n > 0 {
			counts[name] += n
		}
	}
}
