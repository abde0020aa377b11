"""docker-compose.yml in containers on one machine: `python -m devstack.containers demo | down | test`."""
