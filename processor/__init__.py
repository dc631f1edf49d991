"""Hydrant keeps sales leads resolved and hydrated from the HighLevel CRM. The rooms, in the order data passes them:

* `topics` is the table of Kafka topics, and computes the home partition of a location.
* `events` checks what upstream publishes and encodes what we publish; `contract.py` has the models.
* `kafka` is the only room that faces Kafka: a partition's log, the consumer group, the topics.
* `engine` runs one runner per owned partition: it opens the shard, commits its turns and sends its calls.
* `shard` is all that a partition owns, without I/O. Read `shard/turn.py` first; its steps are files of these names:
  `ingest` puts facts into documents. `decide` names the outcome of a lead's work; `apply` acts on it, and sets for how long
  a `not_found` is remembered. `match` links the lead to a contact, or finds it ambiguous. `schedule` composes the best call
  for a free slot. `report` publishes how locations stand, and `publish` every result and answer.
  `shard/documents` is the state. `shard/jobs` are the Sync Alls and backfills: `machine` is the table of their stages,
  `location` decides when a job goes on to the next, the reading of messages included.
* `highlevel` turns questions into requests of the HighLevel API, and its responses into contacts and messages.
* `ratelimit` grants the slots of a location's budget. `headers` reads the limits and the `Retry-After` of a 429.
* `telemetry` declares each event once, with its log line and its metrics.
* `cli` is the command line, and what an operator does over Kafka alone.
* `sandbox` simulates HighLevel for tests and trials. A worker doesn't need it.
* `settings` reads the environment once. `app` wires a worker together, by hand.
"""

__version__ = "0.1.0"
