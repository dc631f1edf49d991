"""`python -m tests.bench [NAME ...]`: what Hydrant promises of latency, cost, use of the budget and memory, measured.

`__main__` runs benches · `stage` is where they play: real Kafka, the sandbox and the worker as processes of their own ·
`upstream` publishes, `steady` evenly · `leads` makes up what is published · `latency`, `cost`, `saturation`, `memory`,
`heavy_and_light`, `neighbours`, `interactive`, `sync_all`, `job_memory` measure · `crowd` makes up a job's leads, `jobs`
follows the job, `outcome` judges it ·
`figures` holds what came out beside its bar · `profiled` is a worker that tells where its time went.
"""
