"""Chaos on a real Kafka: workers, broker, network and HighLevel fail by a seeded schedule while a load runs (DESIGN §6).

`schedule` says what goes wrong when · `load` what upstream tells meanwhile, and so what must come of it · `proxy` is the
network between a worker and HighLevel · `crew` are the workers and what befalls them · `play` runs one seed · `verdict`
judges it, by the output topics and HighLevel's log alone. `python -m tests.integration.chaos --seed N` plays one by hand.
"""
