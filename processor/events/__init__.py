"""Events are what upstream publishes and what Hydrant publishes.

`contract.py` has the models and is the source of `schemas/`. `cloudevents.py` decodes bytes into events, dead-letters what
breaks a rule, and encodes. `fields.py` has the types that several events share.
"""
