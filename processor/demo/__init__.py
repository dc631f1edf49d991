"""The demo: Hydrant on real Kafka against a simulated HighLevel, judged by what the generator of the data knows.

`world` makes up leads, contacts and the truth (`kinds` is the table of what may be the matter with a lead) · `stage` holds the
processes · `run` publishes and listens · `kill` takes a worker away halfway · `seen` is what came · `report` and `spent` judge
it · `view` shows it all.
"""
