"""``python -m cl_strategies``."""

from cl_strategies.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
