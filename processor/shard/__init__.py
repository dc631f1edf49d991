"""A shard is all that a partition owns. It does no I/O: its caller brings the time, the inputs and the SQLite file.

Data passes the files in this order; `turn.py` calls them:

1. `ingest.py` puts events, `ingest_responses.py` responses and `timers.py` due times into `documents/`.
2. `decide.py` decides each touched lead's work: ask, link, wait or done. `match.py` says which contact is the lead's, and
   what makes a lead ambiguous. `apply.py` acts on the decision, and keeps for how long a `not_found` is remembered.
3. `jobs/` moves jobs on: `machine.py` is the table of stages, `location.py` decides when a job reads messages (once only
   messages are missing), and `export.py` reads them by pages.
4. `schedule.py` composes the best call for each free slot.
5. `report.py` reports how locations stand, `jobs/progress.py` how jobs do. `publish.py` publishes results and answers,
   `messages.py` messages.

`store.py` keeps the documents in SQLite and is the unit of work of a turn; `indexes.py` answers what is due and what waits.
"""
