"""The published contract: `contract` the data of every event, `fields` its scalars, `cloudevents` bytes ↔ event."""
