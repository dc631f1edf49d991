"""Show Hydrant on real Kafka against a simulated HighLevel, and compare what it publishes with the workload's ground truth.

`run` starts everything, publishes, kills a worker and waits · `progress` follows what comes out · `verdict` lets the lab's
checkers judge · `view` shows the run as it goes, then `summary` its tables.
"""
