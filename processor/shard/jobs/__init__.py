"""Jobs are Sync Alls and backfills: `machine.py` is the table of their stages, and `location.py` goes through it.

`walks.py` goes through a job's leads, some in each turn. `listing.py` ingests pages: of contacts in `scan.py`, of messages
in `export.py`. `planning.py` chooses between a scan and probes, `backfill.py` gives each location a job, `counting.py` counts
outcomes and `progress.py` reports them.
"""
