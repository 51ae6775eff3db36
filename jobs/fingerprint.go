package jobs

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SettingsKey is the class of a write key that is not the one that the job's
// events went to.
const SettingsKey = "key"

const keyPath = "destination.segment.write_key"

// fingerprint recognises a write key without telling it: an HMAC-SHA-256 of a
// random salt under the key. A write key has 32 random characters, too many to
// try them all, and the salt keeps the same key of two jobs from being seen as
// the same.
type fingerprint string

const fingerprintPrefix = "hmac-sha256:"

func newFingerprint(key Secret) fingerprint {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	return fingerprintOf(key, salt)
}

func fingerprintOf(key Secret, salt []byte) fingerprint {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write(salt)
	return fingerprint(fingerprintPrefix + hex.EncodeToString(salt) + ":" + hex.EncodeToString(mac.Sum(nil)[:16]))
}

// of reports whether it is the fingerprint of a key.
func (f fingerprint) of(key Secret) bool {
	return hmac.Equal([]byte(f), []byte(fingerprintOf(key, f.salt())))
}

func (f fingerprint) salt() []byte {
	digits, _, _ := strings.Cut(strings.TrimPrefix(string(f), fingerprintPrefix), ":")
	salt, err := hex.DecodeString(digits)
	if err != nil {
		return nil // of no key at all
	}
	return salt
}

// shown is as much of it as a person compares, as JSON.
func (f fingerprint) shown() string {
	_, mac, _ := strings.Cut(strings.TrimPrefix(string(f), fingerprintPrefix), ":")
	return strconv.Quote("fingerprint " + mac[:min(len(mac), 8)])
}

// writeKey is the write key of the job; zero if it has none.
func (s *Spec) writeKey() Secret {
	if s.Destination.Segment == nil {
		return Secret{}
	}
	return s.Destination.Segment.WriteKey
}

// keyChange returns how the write key differs from the one that the job's events
// went to. A job of which nothing was delivered may have any, but for one that
// the same job has used under another label: there, every event would arrive
// again under another id.
func (j *JobState) keyChange(ctx context.Context, spec *Spec) ([]SettingChange, error) {
	key := spec.writeKey()
	if key.IsZero() {
		return nil, nil
	}
	recorded, err := j.keyFingerprint(ctx)
	if err != nil {
		return nil, err
	}
	empty, err := j.LedgerEmpty(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case recorded != "" && recorded.of(key), !empty && recorded == "":
		return nil, nil
	case recorded != "" && (!empty || !spec.Ledger):
		now := fingerprintOf(key, recorded.salt())
		return []SettingChange{{SettingsKey, keyPath, recorded.shown(), now.shown()}}, nil
	}
	label, err := j.labelOfKey(ctx, key)
	if err != nil || label == "" {
		return nil, err
	}
	return []SettingChange{{SettingsKey, keyPath, "", strconv.Quote("that of label " + label)}}, nil
}

func (j *JobState) keyFingerprint(ctx context.Context) (f fingerprint, err error) {
	err = j.db.QueryRowContext(ctx, `SELECT key_fingerprint FROM jobs WHERE id = $1`, j.id).Scan(&f)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the key's fingerprint of job %s: %w", j.Name, err)
	}
	return f, nil
}

// labelOfKey returns the other label under which the job has delivered with a
// key; empty if there is none.
func (j *JobState) labelOfKey(ctx context.Context, key Secret) (string, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT label, key_fingerprint FROM jobs WHERE name = $1 AND id <> $2 AND key_fingerprint <> ''
		AND EXISTS (SELECT 1 FROM ledger WHERE ledger.job_id = jobs.id)`, j.Name, j.id)
	if err != nil {
		return "", fmt.Errorf("read the keys' fingerprints of job %s: %w", j.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var label string
		var f fingerprint
		if err := rows.Scan(&label, &f); err != nil {
			return "", fmt.Errorf("read the keys' fingerprints of job %s: %w", j.Name, err)
		}
		if f.of(key) {
			return label, nil
		}
	}
	return "", rows.Err()
}

// setKey records the fingerprint of the write key, unless it is there already.
func (j *JobState) setKey(ctx context.Context, spec *Spec) error {
	key := spec.writeKey()
	recorded, err := j.keyFingerprint(ctx)
	if err != nil || key.IsZero() || recorded != "" && recorded.of(key) {
		return err
	}
	_, err = j.db.ExecContext(ctx, `UPDATE jobs SET key_fingerprint = $2 WHERE id = $1`, j.id, string(newFingerprint(key)))
	if err != nil {
		return fmt.Errorf("record the key's fingerprint of job %s: %w", j.Name, err)
	}
	return nil
}
