"""The proof that DESIGN §6 holds: `make prove` runs many seeds of each part and writes a short report.

`alone` is Budget at one saturated location, judged by six servers · `schedules` are whole workers on virtual time through all
that can go wrong · `rebalances` measures what they cost · `tests.integration.chaos` is the same on a real Kafka · `report` says
what came of it. `make test` runs a share of each.
"""
