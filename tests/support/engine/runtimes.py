"""The end of a runtime in a test."""

from workers.engine.process.runtime import Runtime


def shut_down(runtime: Runtime) -> None:
    """Release a runtime's runs, and wait for its threads, which would use the database of the next test."""
    runtime.shut_down(5)
    for thread in list(runtime._pool._threads):
        thread.join(20)
