"""Hydrant keeps sales leads resolved and hydrated from the HighLevel CRM. The rooms, in the order data passes them:

`topics` the table of topics · `events` bytes ↔ event · `engine` Kafka, calls, clock: one runner per owned partition ·
`telemetry` events for logs and metrics, each declared once ·
`shard` what a partition owns: hear → settle → spend → report over one table of documents (read `shard/turn.py` first) ·
`highlevel` its calls, contacts and rate budget as values, and the client · `sandbox` a HighLevel and a
Kafka to try it on, `demo` the whole, judged ·
`settings`, `cli`, `app` the door, and the only wiring; `commands` what an operator does over Kafka alone.
"""

__version__ = "0.1.0"
