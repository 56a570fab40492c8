"""``python -m llmkit`` is ``llmkit``."""

from __future__ import annotations

import sys

from llmkit.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
