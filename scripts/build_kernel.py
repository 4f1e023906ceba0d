"""Compile the kernel, once for each vector width, into one library that chooses when it is loaded.

Any gcc or clang will do: the kernel computes the same bits under each. If none is installed, the
compiler in the Python package ziglang is fetched (requirements/kernel.txt).
"""

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
KERNEL = ROOT / "shared" / "core" / "model" / "kernel"
FLAGS = shlex.split(
    # Contraction and unsafe optimisations would let the compiler choose the bits.
    "-std=c11 -O3 -fPIC -ffp-contract=off -fno-math-errno -fno-trapping-math"
    " -fno-unsafe-math-optimizations -Wall -Wextra -Werror"
)
# The variants, widest first, by the instruction set that each is compiled for.
MACHINES = {"v4": "x86-64-v4", "v3": "x86-64-v3", "plain": "x86-64"}
SANITY = (
    "#if !defined(__GNUC__)\n#error neither gcc nor clang\n#endif\nint answer(void) { return 0; }\n"
)


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler's command. Zig's names instruction sets in its own way."""

    command: tuple[str, ...]
    is_zig: bool

    def machine(self, variant: str) -> list[str]:
        """Return the flags that choose a variant's instruction set."""
        if platform.machine() not in ("x86_64", "AMD64"):
            return []
        name = MACHINES[variant]
        return [f"-mcpu={name.replace('-', '_')}" if self.is_zig else f"-march={name}"]

    def accepts(self, flags: list[str]) -> bool:
        """Return whether it compiles and links an empty library with these flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "sanity.c"
            source.write_text(SANITY)
            command = [
                *self.command,
                *FLAGS,
                *flags,
                "-shared",
                str(source),
                "-o",
                str(Path(folder) / "sanity.so"),
            ]
            try:
                return subprocess.run(command, capture_output=True, check=False).returncode == 0
            except OSError:
                return False


def main() -> None:
    """Compile with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--compiler", choices=("cc", "zig"), help="default: cc if there is one, else zig"
    )
    parser.add_argument("--output", type=Path, default=KERNEL / "_kernel.so")
    parser.add_argument(
        "--only", choices=tuple(MACHINES), help="build this variant alone, for tests"
    )
    arguments = parser.parse_args()
    variants = [arguments.only] if arguments.only else list(MACHINES)
    for compiler in _compilers(arguments.compiler):
        try:
            built = build(compiler, arguments.output, variants)
        except subprocess.CalledProcessError as error:
            print(f"exit code {error.returncode}: {shlex.join(error.cmd)}", file=sys.stderr)
        else:
            print(f"{arguments.output.name}: {' '.join(built)}, by {' '.join(compiler.command)}")
            return
    sys.exit(
        "error: no compiler built the kernel: set CC, or leave out --compiler to use the one in"
        " ziglang"
    )


def build(compiler: Compiler, output: Path, variants: list[str]) -> list[str]:
    """Compile the variants that machine and compiler support; replace the library atomically.

    Returns:
        The variants in the library.

    Raises:
        subprocess.CalledProcessError: the compiler rejects the kernel; stderr says why.
    """
    supported = [
        one
        for one in variants
        if _is_for_this_machine(one) and compiler.accepts(compiler.machine(one))
    ]
    if not supported:
        sys.exit(
            f"error: {' '.join(compiler.command)} builds none of {', '.join(variants)} on"
            f" {platform.machine()}"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".kernel-") as folder:
        objects = [_compile(compiler, variant, Path(folder)) for variant in supported]
        linked = Path(folder) / "kernel.so"
        _run(
            [
                *compiler.command,
                *FLAGS,
                *_dispatch_arguments(supported, compiler),
                "-shared",
                *objects,
                "-o",
                str(linked),
                "-lm",
            ]
        )
        linked.replace(output)
    return supported


def _compilers(kind: str | None) -> Iterator[Compiler]:
    """Yield the installed compilers, then ziglang's, whose version is pinned."""
    if kind != "zig":
        installed = (Compiler(tuple(command), is_zig=False) for command in _installed_compilers())
        yield from (compiler for compiler in installed if compiler.accepts([]))
    if kind != "cc":
        yield _zig()


def _installed_compilers() -> list[list[str]]:
    named = shlex.split(os.environ.get("CC", ""))
    return [
        *([named] if named else []),
        *([path] for name in ("cc", "gcc", "clang") if (path := shutil.which(name))),
    ]


def _zig() -> Compiler:
    compiler = Compiler((sys.executable, "-m", "ziglang", "cc"), is_zig=True)
    if not compiler.accepts([]):
        requirements = [
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            str(ROOT / "requirements" / "kernel.txt"),
        ]
        _run([sys.executable, "-m", "pip", "install", "--quiet", *requirements])
    return compiler


def _is_for_this_machine(variant: str) -> bool:
    return variant == "plain" or platform.machine() in ("x86_64", "AMD64")


def _compile(compiler: Compiler, variant: str, folder: Path) -> str:
    object_file = folder / f"{variant}.o"
    chosen = [*compiler.machine(variant), f"-DVARIANT={variant}"]
    _run(
        [*compiler.command, *FLAGS, *chosen, "-c", str(KERNEL / "kernel.c"), "-o", str(object_file)]
    )
    return str(object_file)


def _dispatch_arguments(variants: list[str], compiler: Compiler) -> list[str]:
    names = [f"-DHAVE_{variant.upper()}" for variant in variants if variant != "plain"]
    only = [f"-DONLY={variants[0]}"] if len(variants) == 1 else []
    return [*compiler.machine("plain"), *names, *only, str(KERNEL / "dispatch.c")]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
