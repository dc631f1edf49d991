"""The documents of a shard, one file a kind. Importing this package registers all kinds."""

from processor.shard.documents.job import Backfill, Job
from processor.shard.documents.lead import Lead
from processor.shard.documents.ledger import Ledger, Position
from processor.shard.documents.location import Location
from processor.shard.documents.sync_request import SyncRequest

__all__ = ["Backfill", "Job", "Lead", "Ledger", "Location", "Position", "SyncRequest"]
