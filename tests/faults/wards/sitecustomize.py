"""Gives the ward of a hooked worker the same hooks: Python runs this before anything else, see `Programs.worker`."""

import importlib
import sys

if "tasks.ward" in sys.orig_argv:
    importlib.import_module("tests.faults.worker_app")
