"""What operators see of tasks: the ids in their log lines. Imported by the composition roots of workers."""
