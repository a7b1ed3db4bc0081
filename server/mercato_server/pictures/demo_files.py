"""Writes the pictures of the demo shop to the place where the workers store verified uploads: `demo_files`, with their settings.

It is a process of its own because the workers of a shop that root starts run as another user, who must own the files.
"""

import sys
from pathlib import Path

from mercato_server.config.picture_settings import PictureSettings
from mercato_server.demo.pictures import contents, pictures
from mercato_server.pictures.files import PictureFiles


def store_all(files: PictureFiles) -> None:
    """Store the renditions of each picture as those of an upload are stored. Files that are there already stay."""
    for name in pictures():
        work = files.new_work()
        try:
            for size, content in contents(name).items():
                Path(work, size).write_bytes(content)
            files.store(work, files.digest(work))
        finally:
            files.end_work(work)


def main() -> int:
    """Store the pictures in the directory of the settings."""
    directory = PictureSettings.from_environ().directory
    if directory is None:
        raise RuntimeError("MERCATO_PICTURES_DIR is not set")
    store_all(PictureFiles(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
