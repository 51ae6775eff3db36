package extract

import "errors"

// CheckExpression returns what is wrong with an expression whatever columns
// there are: it cannot be understood, it calls a function that does not exist,
// or a lookup that is not one of names. It is a [MappingError] without a set;
// nil if there is nothing. Columns and types are looked at when the source is
// opened.
func CheckExpression(text string, names []string) error {
	c := &compiler{lookups: make(lookups)}
	for _, name := range names {
		c.lookups[name] = nil // its columns are not known
	}
	c.parseExpression("", text, true)
	return errors.Join(c.errs...)
}
