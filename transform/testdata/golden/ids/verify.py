# Computes the ids of events.ndjson from rows.ndjson and options.json with
# Python's uuid.uuid5 alone, and compares.
import json, os, uuid

os.chdir(os.path.dirname(os.path.abspath(__file__)))
options = json.load(open("options.json"))
events = [json.loads(line) for line in open("events.ndjson")]
root = uuid.uuid5(uuid.NAMESPACE_URL, "chatbackfill:" + options["namespace"] + "\x1f" + options["label"])
for e in events:
    p = e["properties"]
    name = "\x1f".join([p["conversation_id"], e["event"], p["message_id"]])
    assert e["messageId"] == str(uuid.uuid5(root, name)), e
    assert e["anonymousId"] == str(uuid.uuid5(root, p["conversation_id"] + "\x1fanonymous")), e
print(len(events), "events: ids equal")
