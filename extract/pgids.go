package extract

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// pgIDKind is how Postgres handles conversation ids of one type. Ids go to and
// fro as texts: those that [Mapping] makes of them.
type pgIDKind struct {
	cast  string                         // the type to compare the column with, so that an index on it is used
	text  string                         // the id's text in SQL; %s is the column
	input func(id string) (string, bool) // the text that the type reads; false: it has no such value
	// family is the order in which pages can go through ids of the type: that
	// of an index on it. Types of one family can be merged. Empty: none.
	family string
	// loose: = is true of ids with different texts.
	loose bool
}

// floatIDText is like appendFloat for whole numbers below 2^53; other doubles
// are bad ids.
const floatIDText = `CASE WHEN %[1]s = trunc(%[1]s) AND abs(%[1]s) < 9007199254740992 THEN %[1]s::int8::text ELSE %[1]s::text END`

// numericIDText drops trailing zeros as decodeNumeric does.
const numericIDText = `CASE WHEN strpos(%[1]s::text, '.') > 0 THEN rtrim(rtrim(%[1]s::text, '0'), '.') ELSE %[1]s::text END`

var pgIDKinds = map[uint32]pgIDKind{
	pgtype.Int2OID:    {"int2", "%s::text", intInput(16), "int", false},
	pgtype.Int4OID:    {"int4", "%s::text", intInput(32), "int", false},
	pgtype.Int8OID:    {"int8", "%s::text", intInput(64), "int", false},
	pgtype.OIDOID:     {"oid", "%s::text", oidInput, "", false},
	pgtype.NumericOID: {"numeric", numericIDText, numericInput, "numeric", false},
	pgtype.Float4OID:  {"float4", floatIDText, floatInput(32), "", true},
	pgtype.Float8OID:  {"float8", floatIDText, floatInput(64), "", true},
	pgtype.UUIDOID:    {"uuid", "%s::text", uuidInput, "uuid", false},
	pgtype.ByteaOID:   {"bytea", "encode(%s, 'hex')", byteaInput, "", false},
	pgtype.TextOID:    {"text", "%s::text", anyInput, "text", false},
	pgtype.VarcharOID: {"text", "%s::text", anyInput, "text", false},
	pgtype.NameOID:    {"text", "%s::text", anyInput, "", true},
	pgtype.BPCharOID:  {"bpchar", "%s::text", anyInput, "", true},
}

// citextID is the kind of ids of the extension's type of that name.
func citextID(typeName string) pgIDKind {
	return pgIDKind{typeName, "%s::text", anyInput, "", true}
}

func anyInput(id string) (string, bool) { return id, true }

func intInput(bits int) func(string) (string, bool) {
	return func(id string) (string, bool) {
		n, err := strconv.ParseInt(id, 10, bits)
		return id, err == nil && strconv.FormatInt(n, 10) == id
	}
}

func oidInput(id string) (string, bool) {
	n, err := strconv.ParseUint(id, 10, 32)
	return id, err == nil && strconv.FormatUint(n, 10) == id
}

// maxNumericDigits is far less than what a numeric can hold.
const maxNumericDigits = 1000

func numericInput(id string) (string, bool) {
	digits := strings.TrimPrefix(id, "-")
	whole, frac, point := strings.Cut(digits, ".")
	switch {
	case id == "NaN" || digits == "Infinity":
		return id, true
	case len(id) > maxNumericDigits || whole == "" || point && frac == "":
		return "", false
	}
	return id, strings.Trim(whole, "0123456789") == "" && strings.Trim(frac, "0123456789") == ""
}

func floatInput(bits int) func(string) (string, bool) {
	return func(id string) (string, bool) {
		f, err := strconv.ParseFloat(id, bits)
		if err != nil || strings.Trim(id, "+-.0123456789eEINafinty") != "" {
			return "", false
		}
		return strconv.FormatFloat(f, 'g', -1, bits), true
	}
}

func uuidInput(id string) (string, bool) {
	if len(id) != 36 {
		return "", false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return "", false
			}
		case !isDigit(c) && (c < 'a' || c > 'f'):
			return "", false
		}
	}
	return id, true
}

func byteaInput(id string) (string, bool) {
	b, err := hex.DecodeString(id)
	return `\x` + id, err == nil && hex.EncodeToString(b) == id
}

// pgArray is an array of texts as Postgres reads one of any type.
func pgArray(texts []string) []byte {
	b := []byte{'{'}
	for i, s := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, s[j])
		}
		b = append(b, '"')
	}
	return append(b, '}')
}

// array is the ids of a page that a relation may have, as a Postgres array; no
// array if there are none.
func (r *pgRelation) array(ids []string) []byte {
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		if text, ok := r.idInput(id); ok {
			texts = append(texts, text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return pgArray(texts)
}

// idInput is a conversation's id as the relation's column has it.
func (r *pgRelation) idInput(id string) (string, bool) {
	raw, ok := strings.CutPrefix(id, r.prefix)
	if !ok || strings.IndexByte(raw, 0) >= 0 {
		return "", false
	}
	return r.id.input(raw)
}

// idText is the SQL of an id's text without prefix.
func (k *pgIDKind) idText(column string) string { return fmt.Sprintf(k.text, column) }
