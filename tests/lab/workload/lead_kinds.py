"""All kinds of leads. Seeds draw kinds by their place, so the order of the modules stays, and of the kinds in them."""

from typing import Final

from . import changed_kinds, found_kinds, job_kinds, request_kinds
from .kind import Kind, job_outcomes, lead_kinds, rare_kinds, waiting_kinds

__all__ = ["job_outcomes", "kind_modules", "kinds_beside_jobs", "lead_kinds", "rare_kinds", "waiting_kinds"]

kind_modules: Final = (found_kinds, changed_kinds, request_kinds, job_kinds)
kinds_beside_jobs: Final[dict[str, Kind]] = {**{name: lead_kinds[name] for name in job_outcomes}, **waiting_kinds}
