"""The site of `make docs`: its links, its references, and that it asks no other host for anything."""

import functools
import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import document_diagrams
import document_links
import document_typescript
import documents
from mercato.cli.program import root
from mercato.rpcs import rpcs
from support import needs
from support.browser import browsing
from support.rest_client import HOST

pytestmark = [
    needs.SITE.unless((documents.PACKAGES / "installed").exists()),
    needs.TYPESCRIPT.unless((document_typescript.PACKAGE / "dist/node.js").exists()),
    needs.CHROMIUM.unless(shutil.which("chromium") and shutil.which("chromedriver")),
]
LOADED = "return performance.getEntriesByType('resource').map(entry => entry.name)"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return documents.build(tmp_path_factory.mktemp("docs"))


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The address of a server of the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer((HOST, 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_each_page_of_the_repository_is_in_the_site(site: Path) -> None:
    for page in (documents.ROOT / "docs").glob("*.md"):
        name = "index" if page.name == "README.md" else page.stem
        assert (site / f"{name}.html").exists()


def test_each_rpc_and_each_route_has_its_reference(site: Path) -> None:
    grpc = (site / "reference/grpc/index.html").read_text()
    rest = re.sub(r"\{[^}]*\}", "{}", (site / "reference/rest/index.html").read_text())
    assert [rpc.path for rpc in rpcs() if rpc.path[1:] not in grpc] == []
    routes = [f"{verb} {re.sub(r'{[^}]*}', '{}', path)}" for rpc in rpcs() for verb, path, _ in rpc.bindings]
    assert [route for route in routes if route not in rest] == []


def test_each_command_and_each_method_of_python_has_its_reference(site: Path) -> None:
    commands = (site / "reference/commands/index.html").read_text()
    python = (site / "reference/python/index.html").read_text()
    assert [name for name in root().list_commands(None) if f'id="mercato-{name}"' not in commands] == []
    methods = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", rpc.name).lower() for rpc in rpcs()]
    assert [method for method in methods if f".{method}" not in python] == []


def test_each_export_and_each_function_of_typescript_has_its_reference_with_a_comment(site: Path) -> None:
    services = (site / "reference/typescript/services.html").read_text()
    messages = (site / "reference/typescript/messages.html").read_text()
    index = (site / "reference/typescript/index.html").read_text()
    names = [rpc.name[0].lower() + rpc.name[1:] for rpc in rpcs()]
    assert [name for name in names if not re.search(rf'id="[a-z]+-{name.lower()}"', services)] == []
    assert [name for name in ("Cart", "Order", "OrderStatus") if f'id="{name.lower()}"' not in messages] == []
    assert [name for name in ("node-connect", "web-tabstore", "index-ismercatoerror", "index-reasons") if f'id="{name}"' not in index] == []
    assert "Add units of a product to the cart" in services
    assert "@generated" not in messages + index


def test_each_page_loads_without_another_host_or_a_complaint(site: Path, address: str) -> None:
    pages = ["index.html", "mercato.html", "orders.html", "reference/rest/index.html", "reference/typescript/services.html"]
    with browsing() as browser:
        for page in pages:
            browser.open(f"{address}/{page}")
            browser.wait("return document.readyState === 'complete'")
            loaded = browser.wait(LOADED)
            assert loaded
            assert [each for each in loaded if not each.startswith((address, "data:", "blob:"))] == [], page
            assert browser.complaints() == [], page


def test_diagrams_are_pictures(site: Path) -> None:
    page = (site / "orders.html").read_text()
    [source] = re.findall(r'src="(images/diagram-\d+\.svg)"', page)
    assert "PLACED" in (site / source).read_text()
    assert "mermaid" not in page


def test_links_that_lead_nowhere_or_to_another_host_are_found(tmp_path: Path) -> None:
    page = '<a href="gone.html">x</a><a href="#no">x</a><a href="https://example.com/">x</a><img src="//example.com/x.png"><h1 id="yes">'
    (tmp_path / "index.html").write_text(page + '<a href="index.html#yes">x</a>')
    assert list(document_links.broken(tmp_path)) == ["index.html: gone.html", "index.html: #no (no such anchor)"]
    assert list(document_links.foreign(tmp_path)) == ["index.html: img loads //example.com/x.png"]


def test_a_diagram_that_mermaid_refuses_is_an_error() -> None:
    with pytest.raises(ValueError, match="error"):
        document_diagrams.draw(["flowchart LR\n  a --> --> b"], documents.MERMAID)


def test_the_search_finds_pages_of_the_references(site: Path) -> None:
    assert "reference/grpc/cart.html" in json.dumps(json.loads((site / "search.json").read_text()))
