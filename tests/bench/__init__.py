"""Measure what Hydrant promises of latency, cost, use of the budget and memory: `python -m tests.bench [NAME ...]`.

`__main__` runs benches · `testbed` sets up real Kafka, the sandbox and the worker as processes of their own · `upstream`
publishes, `steady` evenly · `leads` makes up what is published · `latency`, `cost`, `saturation`, `memory`,
`heavy_and_light`, `neighbours`, `interactive`, `sync_all`, `messages`, `sync_messages`, `job_memory` measure ·
`population` makes up a job's leads, `jobs` follows the job, `job_checks` and `message_checks` judge it · `figures` holds
each figure beside its bar · `profiled` is a worker that records where its CPU time goes.
"""
