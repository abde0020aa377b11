"""Install the hooks in an isolated process of a hooked worker; Python imports this first, see `Programs.worker`."""

import importlib
import sys

if "tasks.isolated_run" in sys.orig_argv:
    importlib.import_module("tests.support.faults.worker_app")
