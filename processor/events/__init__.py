"""The published contract: `contract` and `outputs` the data of every event, `fields` its scalars, `cloudevents` bytes ↔ event."""
