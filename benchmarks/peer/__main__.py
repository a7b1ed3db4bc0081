"""Serve on 127.0.0.1: `DATABASE_URL=... SECRET_KEY=... CATALOG_CACHE_SECONDS=0 python -m peer PORT`."""

import gc
import os
import sys

import uvicorn

from peer.app import create_app


def main() -> None:
    """Serve with the fastest options of uvicorn, in one process, until SIGTERM."""
    app = create_app(os.environ["DATABASE_URL"], os.environ["SECRET_KEY"], float(os.environ["CATALOG_CACHE_SECONDS"]))
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # as Mercato's workers do: garbage collection would take a tenth of the time
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
