"""The proof that DESIGN §6 holds: `make prove` runs many seeds of each part and writes a short report.

`alone` drives Budget at one saturated location, judged by six servers · `schedules` plays whole workers on virtual time with
all faults · `rebalances` measures their cost · `tests.integration.chaos` does the same on a real Kafka · `report` writes the
report. `make test` runs a share of each.
"""
