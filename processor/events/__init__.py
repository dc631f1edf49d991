"""The published contract: `contract` the data of every event, `wire` bytes ↔ event, `schemas` what others read."""
