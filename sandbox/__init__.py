"""Runs untrusted JavaScript in QuickJS, compiled to WebAssembly. Imports no other package of ours.

`guest/` has the scripts that run inside: the prelude, the evaluator, the analyser. `build` prepares images of them once
per environment, `instance` runs an image, `pool` shares a few instances among the threads of a process, and
`javascript` is the public API.
"""
