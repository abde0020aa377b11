"""The state of one Stripe account; parsing, paging and routing of requests. Imports no other part."""
