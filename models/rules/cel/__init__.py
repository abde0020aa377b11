"""How CEL expressions are read and run: parsed here, computed by the `cel` package, and metered at every step.

The package evaluates in Rust, with the interpreter's lock held and in time quadratic in the length of a list; long
chains end the process. So only single scalar operations reach it: structure, lists and loops are walked here, where
each step is counted. `models.rules.expressions` is the door; nothing else imports this package.
"""
