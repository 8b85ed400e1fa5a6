"""One of several processes that race for a budget: it says that it is ready, waits for a line, opens all that fits,
and says how much did.
"""

from __future__ import annotations

import random
import sys
from decimal import Decimal

import uuid_utils.compat as uuid_utils

from db.uow import SqlUnitOfWork, open_engine
from domain.delivery import Opening
from domain.message import Lane

BATCH = 25


def main(database_url: str) -> None:
    engine, run, granted = open_engine(database_url, pool_size=1), uuid_utils.uuid7(), 0
    with SqlUnitOfWork(engine) as unit:
        unit.runs.start(run, "racer", 1, 60.0)
        provider = unit.routes.providers()[0].id
        owner = unit.budgets.spending().budgets[0].user_id
        unit.commit()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    while True:
        with SqlUnitOfWork(engine) as unit:
            claim = unit.delivery.claim(Lane.TRANSACTIONAL, run, BATCH, random.Random(1).shuffle)
            unit.commit()
        if not claim.jobs:
            break
        with SqlUnitOfWork(engine) as unit:
            unit.delivery.fence(run)
            openings = [
                Opening(uuid_utils.uuid7(), j.job_id, provider, 0, 1, Decimal("0.001"), "USD", user_id=owner)
                for j in claim.jobs
            ]
            granted += len(unit.delivery.open(run, claim.token, openings).attempts)
            unit.commit()
    sys.stdout.write(f"{granted}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
