"""What a version may cost at most by a price list: as it was reckoned at its save, or anew once prices changed."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.rules.estimate import worst_case
from models.rules.graph import parse
from models.rules.nodes import KINDS
from models.rules.pricing import MOST_CREDITS, PriceList
from models.workflow import WorkflowVersion


def by(session: Session, prices: PriceList, version_id: UUID, reckoned: Decimal, reckoned_by: str) -> Decimal:
    """The worst case of a version without errors, and without what it calls; `reckoned` by the list `reckoned_by`."""
    if reckoned_by == prices.name:
        return reckoned
    graph = session.scalars(select(WorkflowVersion.graph).where(WorkflowVersion.id == version_id)).one()
    return min(worst_case(parse(graph), KINDS, prices), MOST_CREDITS)
