"""The engine of one worker process: threads, leases, memory, isolated processes. The top layer of the engine."""
