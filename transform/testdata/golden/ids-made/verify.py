# Computes the message ids of events.ndjson from rows.ndjson with Python's
# uuid.uuid5 alone, and compares.
import collections, datetime, json, os, uuid

os.chdir(os.path.dirname(os.path.abspath(__file__)))
root = uuid.uuid5(uuid.NAMESPACE_URL, "chatbackfill:support-chat\x1fprod")
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def nanoseconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = (datetime.datetime.fromisoformat(whole + "+00:00") - epoch) // datetime.timedelta(seconds=1)
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


expected, counts = set(), collections.Counter()
for row in map(json.loads, open("rows.ndjson")):
    said = [row["conversation_id"], str(nanoseconds(row["sent_at"])), row.get("author_id", ""), row.get("body", "")]
    key = (row.get("file", 0), *said)
    expected.add(str(uuid.uuid5(root, "\x1f".join(said + [str(counts[key])]))))
    counts[key] += 1
got = {json.loads(line)["properties"]["message_id"] for line in open("events.ndjson")}
assert got == expected, (got, expected)
print(len(got), "messages: ids equal")
