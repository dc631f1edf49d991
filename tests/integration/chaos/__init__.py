"""Chaos on a real Kafka: workers, broker, network and HighLevel fail by a seeded schedule while a load runs (DESIGN §6).

`schedule` has the faults of a seed · `load` its workload · `proxy` is the network between a worker and HighLevel · `crew` runs
the workers and injects the faults · `play` plays one seed, and lets the lab's checkers judge all topics and HighLevel's log.
`python -m tests.integration.chaos --seed N` plays a seed by hand.
"""
