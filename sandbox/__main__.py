"""`python -m sandbox` prepares the sandbox of this environment, unless that was done before."""

import sys

from sandbox.build import prepare
from sandbox.image import ImageMissing

if __name__ == "__main__":
    try:
        prepare()
    except ImageMissing as missing:
        sys.exit(str(missing))
