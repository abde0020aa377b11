"""Configuration of Flower: the columns of its task list, and in a container its password, which comes from a file."""

import os
from pathlib import Path

tasks_columns = "name,state,kwargs,received,runtime,worker,uuid"  # kwargs have the ids by which a run is found

if path := os.environ.get("FLOWER_BASIC_AUTH_FILE"):  # Flower itself reads variables only
    basic_auth = [Path(path).read_text().strip()]
