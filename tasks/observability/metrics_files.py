"""Makes the metrics of a worker include those of the isolated processes that it starts.

They add to files in a directory of the worker, which the library finds in the environment, and so do they.
"""

import atexit
import os
import shutil
import tempfile

from prometheus_client import values


def share() -> None:
    """Make the directory for this process and its children; it is removed when this process ends.

    Must be called before any module of ours that counts is imported.
    """
    directory = tempfile.mkdtemp(prefix="agentforge-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    values.ValueClass = values.get_value_class()  # Celery's command line has imported the library, by way of Flower
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
