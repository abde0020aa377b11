"""The baseline of `bench.api`: plain Flask with one ORM insert, one `.delay()` and one ORM read."""

import os
from uuid import UUID, uuid4

from celery import Celery
from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask("bare")
celery = Celery("bare", broker=os.environ["REDIS_URL"])
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), pool_size=20)


class BareBase(DeclarativeBase):
    """BareBase of the one table."""


class Job(BareBase):
    """A minimal job."""

    __tablename__ = "bare_jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    status: Mapped[str]
    input: Mapped[str]


@celery.task(ignore_result=True)
def work(job_id: str) -> None:
    """Do nothing; no worker runs it."""


@app.get("/health/live")
def nothing() -> ResponseReturnValue:
    """Respond without any work."""
    return {"status": "ok"}


@app.post("/jobs")
def submit() -> ResponseReturnValue:
    """Insert a job and send one message."""
    with Session(engine, expire_on_commit=False) as session:
        job = Job(status="queued", input=str(request.get_json()["input"]))
        session.add(job)
        session.commit()
    work.delay(str(job.id))
    return {"id": job.id, "status": job.status}, 202


@app.get("/jobs/<uuid:job_id>")
def read(job_id: UUID) -> ResponseReturnValue:
    """Read a job."""
    with Session(engine) as session:
        job = session.get_one(Job, job_id)
        return {"id": job.id, "status": job.status, "input": job.input}


with engine.begin() as _connection:
    _connection.execute(text("SELECT pg_advisory_xact_lock(1)"))  # of several processes, one at a time
    BareBase.metadata.create_all(_connection)
