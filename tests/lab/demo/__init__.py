"""The demo: Hydrant on real Kafka against a simulated HighLevel, judged by what the generator of the data knows.

`world` makes up leads, contacts and the truth (`kinds` is the table of what may be the matter with a lead, `sync_all` the
location that is synced as a whole) · `stage` holds the processes · `run` publishes and listens · `kill` takes a worker away
halfway · `seen` is what came · `report`, `job` and `spent` judge it · `view` shows it: `progress` as it goes, then `summary`.
"""
