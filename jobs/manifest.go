package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/chatbackfill/chatbackfill/extract"
)

// manifest are the files of a source as passes had them.
type manifest struct {
	known []extract.File // the last finished pass; none: the next one reads everything
	begun []extract.File // the pass that is under way
	fresh bool           // what the pass has is not recorded yet
}

// atBegin is what a pass that begins records; nil if it is recorded already.
func (m *manifest) atBegin(pass int64) *fileList {
	if !m.fresh {
		return nil
	}
	return &fileList{pass: pass, files: m.begun, alone: len(m.known) == 0}
}

// atEnd is what a pass that is done records.
func (m *manifest) atEnd(pass int64, read []extract.File) *fileList {
	return &fileList{pass: pass, files: m.finished(read), alone: true}
}

func byKey(files []extract.File) map[extract.FileKey]*extract.File {
	m := make(map[extract.FileKey]*extract.File, len(files))
	for i := range files {
		m[files[i].Key()] = &files[i]
	}
	return m
}

// lose takes the files out of the pass that are gone by now, or others: it goes
// on without reading the rest of them, so that they do not count as read should
// they come back as they were. It reports whether there are any.
func (m *manifest) lose(there []extract.File) bool {
	now, had := byKey(there), len(m.begun)
	m.begun = slices.DeleteFunc(m.begun, func(f extract.File) bool { is := now[f.Key()]; return is == nil || !is.Is(&f) })
	m.fresh = len(m.begun) < had
	return m.fresh
}

// vanished are the files that are not there any more.
func vanished(files, there []extract.File) (paths []string) {
	now := byKey(there)
	for i := range files {
		if f := &files[i]; now[f.Key()] == nil {
			path, _, _ := strings.Cut(f.Path, "?") // which store it was in helps nobody
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// finished are the files that the pass began with, with what is known of their
// rows now that it has read those that it looked at. A file that is another one
// by now is looked at by the next pass.
func (m *manifest) finished(read []extract.File) []extract.File {
	last, before := byKey(read), byKey(m.known)
	files := slices.Clone(m.begun)
	for i := range files {
		f := &files[i]
		for _, is := range []*extract.File{before[f.Key()], last[f.Key()]} {
			if is != nil && is.Is(f) && is.Newest != 0 {
				f.Oldest, f.Newest = is.Oldest, is.Newest
			}
		}
	}
	return files
}

// manifest returns the files of the source as a shard's pass and the one before
// had them. The first pass of a shard goes on from what another division has read.
func (j *JobState) manifest(ctx context.Context, s extract.Shard, pass int64) (m manifest, err error) {
	all, err := j.files(ctx)
	if err != nil {
		return m, err
	}
	for at, files := range all[shardKey(s)] {
		if at == pass {
			m.begun = files
		} else {
			m.known = files
		}
	}
	if pass > 1 {
		return m, nil
	}
	m.known, err = j.divided(ctx, all)
	return m, err
}

// known returns the files of the last pass that a shard has finished.
func (j *JobState) known(ctx context.Context, s extract.Shard) ([]extract.File, error) {
	at, err := j.inherit(ctx, s)
	if err != nil {
		return nil, err
	}
	m, err := j.manifest(ctx, s, at.next())
	return m.known, err
}

// files returns the files that are recorded of a job, by shard and pass.
func (j *JobState) files(ctx context.Context) (map[string]map[int64][]extract.File, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT shard, pass, set_name, path, size, version, oldest, newest FROM files WHERE job_id = $1`, j.id)
	if err != nil {
		return nil, fmt.Errorf("read the files of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	all := make(map[string]map[int64][]extract.File)
	for rows.Next() {
		var shard string
		var pass int64
		var f extract.File
		if err := rows.Scan(&shard, &pass, &f.Set, &f.Path, &f.Size, &f.Version, &f.Oldest, &f.Newest); err != nil {
			return nil, fmt.Errorf("read the files of job %s: %w", j.Name, err)
		}
		if all[shard] == nil {
			all[shard] = make(map[int64][]extract.File)
		}
		all[shard][pass] = append(all[shard][pass], f)
	}
	return all, rows.Err()
}

// divided returns the files that all shards of a division have read.
func (j *JobState) divided(ctx context.Context, all map[string]map[int64][]extract.File) (known []extract.File, err error) {
	checkpoints, err := j.checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	divisions := make(map[int][][]extract.File)
	for shard, at := range checkpoints {
		done := at.Pass
		if !at.Done {
			done--
		}
		of := divisionOf(shard)
		divisions[of] = append(divisions[of], all[shard][done])
	}
	for of, shards := range divisions {
		if len(shards) == of {
			known = append(known, inAll(shards)...)
		}
	}
	return known, nil
}

// inAll returns the files that all lists have.
func inAll(lists [][]extract.File) []extract.File {
	common := slices.Clone(lists[0])
	for _, list := range lists[1:] {
		has := byKey(list)
		common = slices.DeleteFunc(common, func(f extract.File) bool { o := has[f.Key()]; return o == nil || !o.Is(&f) })
		for i := range common {
			f := &common[i]
			o := has[f.Key()]
			if f.Newest == 0 || o.Newest == 0 {
				f.Oldest, f.Newest = 0, 0
				continue
			}
			f.Oldest, f.Newest = min(f.Oldest, o.Oldest), max(f.Newest, o.Newest)
		}
	}
	return common
}

// fileList are the files that a pass has, as a commit records them.
type fileList struct {
	pass  int64
	files []extract.File
	alone bool // what earlier passes had is forgotten
}

func (l *Lease) writeFiles(ctx context.Context, tx *sql.Tx, list *fileList) error {
	if list == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM files WHERE job_id = $1 AND shard = $2 AND (pass >= $3 OR $4)`,
		l.job.id, l.shard, list.pass, list.alone)
	for i := range list.files {
		if err != nil {
			break
		}
		f := &list.files[i]
		_, err = tx.ExecContext(ctx, `INSERT INTO files (job_id, shard, pass, set_name, path, size, version, oldest, newest)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			l.job.id, l.shard, list.pass, f.Set, f.Path, f.Size, f.Version, int64(f.Oldest), int64(f.Newest))
	}
	if err != nil {
		return fmt.Errorf("record the files of job %s: %w", l.job.Name, err)
	}
	return nil
}
