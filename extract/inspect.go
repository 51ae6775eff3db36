package extract

import (
	"errors"
	"slices"
)

// ErrTooSlow says that something was not looked at because it takes too long.
var ErrTooSlow = errors.New("it takes too long")

// joined is errors.Join that keeps a single error as it is.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// LocalTime is a field that is mapped to a column of times that do not say in
// which zone they are, and that the job does not say either: UTC is assumed.
type LocalTime struct {
	Set, Field, Column string
	Declared           string // the column's type
}

// LocalTimes lists the fields that are read as UTC for want of a zone.
func (p *Parquet) LocalTimes() (all []LocalTime) {
	for _, f := range slices.Concat(p.messages, p.others, p.agents) {
		if f.mapping != nil {
			all = append(all, f.mapping.localTimes(f.set)...)
		}
	}
	return distinctTimes(all)
}

// LocalTimes lists the fields that are read as UTC for want of a zone.
func (p *Postgres) LocalTimes() (all []LocalTime) {
	for _, r := range slices.Concat(p.messages, p.others, p.agents) {
		all = append(all, r.mapping.localTimes(r.label)...)
	}
	return distinctTimes(all)
}

func distinctTimes(all []LocalTime) (distinct []LocalTime) {
	for _, t := range all {
		if !slices.Contains(distinct, t) {
			distinct = append(distinct, t)
		}
	}
	return distinct
}

func (m *Mapping) localTimes(set string) (all []LocalTime) {
	for i := range m.fields {
		b := &m.fields[i]
		if b.zoned || b.slot < 0 {
			continue
		}
		if col := m.Columns[b.slot]; col.Type == TypeWallTime || col.Type == TypeDate {
			all = append(all, LocalTime{set, b.name, col.Name, col.Declared})
		}
	}
	return all
}
