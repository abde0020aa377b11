"""The baseline: a Celery task that does nothing, on the same broker settings and pool as ours."""

import os

from celery import Celery

app = Celery("plain", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, worker_hijack_root_logger=False)


@app.task(name="plain.nothing")
def nothing(number: int, total: int) -> None:
    """Count, so that the caller knows when the last one ran."""
    with app.pool.acquire(block=True) as connection:
        connection.default_channel.client.incr("plain:done")
