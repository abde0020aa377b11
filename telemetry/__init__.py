"""What every process tells of its work: the ids of requests, and traces. It imports no other package of ours."""
