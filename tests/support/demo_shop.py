"""The whole demo shop, with the files of its pictures, as `mercato up` loads it."""

from pathlib import Path

from mercato_server import demo
from mercato_server.demo.goods import goods
from mercato_server.demo.prices import prices
from mercato_server.pictures.demo_files import store_all
from mercato_server.pictures.files import PictureFiles
from mercato_server.pictures.storage import Directory
from mercato_server.store.demo import Additions, load


async def load_whole(database: str, directory: Path) -> bool:
    """Load what a shop lacks of the demo shop; its pictures go into a directory."""

    async def store() -> None:
        await store_all(Directory(PictureFiles(directory)))

    return await load(database, "USD", *demo.catalog(), prices(), Additions(goods(), store))
