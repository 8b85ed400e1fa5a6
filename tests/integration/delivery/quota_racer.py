"""One of several processes that race for a quota: it reserves in batches until nothing is left, and says how much."""

from __future__ import annotations

import sys
from uuid import UUID

from db.uow import SqlUnitOfWork, open_engine

BATCH = 25


def main(database_url: str, provider: str) -> None:
    engine, key, granted = open_engine(database_url, pool_size=1), UUID(provider), 0
    while True:
        with SqlUnitOfWork(engine) as unit:
            room = unit.quotas.lock([key])[key]
            if room <= 0:
                break
            taken = min(BATCH, room)
            unit.quotas.add({key: taken})
            unit.commit()
        granted += taken
    sys.stdout.write(f"{granted}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
