"""Files of the page: our own, and two libraries out of the installed package NiceGUI."""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from shared.core.errors import BadSetting

PAGE_FOLDER: Final = Path(__file__).parents[1] / "page"
STYLE_NONCE: Final = "{{style_nonce}}"  # index.html has it where each answer's own nonce belongs
INSTALL: Final = (
    "pip install --no-deps --require-hashes --only-binary :all: -r requirements/web_assets.txt"
)

_VENDOR_PACKAGE: Final = "nicegui"
_VENDOR_FOLDERS: Final = {"aggrid": "elements/aggrid/dist", "echart": "elements/echart/dist"}
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HASHED_NAME: Final = re.compile(r"-[A-Za-z0-9_-]{8}\.js$")  # another content has another name
_KEPT_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    body: bytes
    content_type: str
    etag: str
    is_immutable: bool


class Assets:
    """Finds files by their path below `/assets/`."""

    def __init__(self, vendor: Path, page: Path = PAGE_FOLDER) -> None:
        """Take the folder of the installed package and the folder of our own files."""
        self._vendor, self._page = vendor, page

    def index(self) -> str:
        """Return the page's HTML, in which STYLE_NONCE stands for the nonce."""
        return (self._page / "index.html").read_text(encoding="utf-8")

    def find(self, path: str) -> Asset | None:
        """Return a file; None if there is none of that path.

        Args:
            path: such as `scripts/main.js`, or `vendor/aggrid/index.js`.
        """
        first, _, rest = path.partition("/")
        if first == "vendor":
            kind, _, name = rest.partition("/")
            folder = _VENDOR_FOLDERS.get(kind)
            return None if folder is None else _read_below(self._vendor / folder, name)
        return _read_below(self._page, path)


def find_vendor_folder() -> Path:
    """Return the folder of the installed package; nothing of it is imported.

    Raises:
        BadSetting: it is not installed, or lacks a file; the message names the command.
    """
    try:
        folder = Path(str(distribution(_VENDOR_PACKAGE).locate_file(_VENDOR_PACKAGE)))
    except PackageNotFoundError as error:
        raise BadSetting(f"the live page's tables and charts are missing: {INSTALL}") from error
    for kind in _VENDOR_FOLDERS.values():
        if not (folder / kind / "index.js").is_file():
            raise BadSetting(f"{folder / kind / 'index.js'} is missing: {INSTALL}")
    return folder


def _read_below(folder: Path, name: str) -> Asset | None:
    """Return a file in a folder or below it; None for any other path."""
    content_type = _TYPES.get(Path(name).suffix)
    try:
        file = (folder / name).resolve()
        if content_type is None or not file.is_relative_to(folder.resolve()):
            return None
        return _read(file, file.stat().st_mtime_ns, content_type)
    except (OSError, ValueError):  # no file, or a path that no system takes
        return None


@lru_cache(_KEPT_FILES)
def _read(file: Path, changed_ns: int, content_type: str) -> Asset:
    body = file.read_bytes()
    etag = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, content_type, etag, bool(_HASHED_NAME.search(file.name)))
