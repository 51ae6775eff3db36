package examples

// record is one row of the export, with its columns. Times are milliseconds since
// the Unix epoch, UTC; nil is NULL.
type record struct {
	ChatID         int64   `parquet:"name=chat_id, type=INT64"`
	ID             int64   `parquet:"name=id, type=INT64"`
	Seq            int32   `parquet:"name=seq, type=INT32"`
	CreatedAt      *int64  `parquet:"name=created_at, type=INT64, repetitiontype=OPTIONAL, logicaltype=TIMESTAMP, logicaltype.isadjustedtoutc=true, logicaltype.unit=MILLIS"`
	InsertedAt     int64   `parquet:"name=inserted_at, type=INT64, logicaltype=TIMESTAMP, logicaltype.isadjustedtoutc=true, logicaltype.unit=MILLIS"`
	AuthorType     string  `parquet:"name=author_type, type=BYTE_ARRAY, convertedtype=UTF8, encoding=PLAIN_DICTIONARY"`
	AuthorID       *string `parquet:"name=author_id, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	AuthorName     *string `parquet:"name=author_name, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	AuthorLogin    *string `parquet:"name=author_login, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	PartType       string  `parquet:"name=part_type, type=BYTE_ARRAY, convertedtype=UTF8, encoding=PLAIN_DICTIONARY"`
	AssignedToID   *string `parquet:"name=assigned_to_id, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	AssignedToName *string `parquet:"name=assigned_to_name, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	Body           *string `parquet:"name=body, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL, omitstats=true"`
	ContactID      *string `parquet:"name=contact_id, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	VisitorID      *string `parquet:"name=visitor_id, type=BYTE_ARRAY, convertedtype=UTF8, repetitiontype=OPTIONAL"`
	IsDeleted      bool    `parquet:"name=is_deleted, type=BOOLEAN"`
}
