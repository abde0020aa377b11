"""Baselines: small programs that benchmarks measure beside ours."""
