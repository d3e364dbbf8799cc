"""Every check of the repository.

``nox`` runs all but ``build``, ``bench``, ``chaos``, ``hub_clients`` and ``sanitize``.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "typing", "rust", "tests", "coverage"]
nox.options.error_on_external_run = True

ROOT = Path(__file__).parent
EXTENSION = ROOT / "packages" / "hashing-ext"
CORE = ROOT / "packages" / "core"
CLI = ROOT / "packages" / "cli"
SOURCE_FOLDERS = (CORE / "src", CLI / "src", EXTENSION / "python")
WHEELS = ROOT / "build" / "wheels"
BENCH_RESULTS = ROOT / "build" / "bench"
COVERAGE_DATA = ROOT / ".coverage"
# One of each HTTP stack that the Hub's client has had: requests, httpx, httpx2.
HUB_CLIENTS = ("0.36.2", "1.33.0", "2.4.0")
# A test waits for the disk or another process more often than it computes.
AT_ONCE = ("-n", "logical", "--dist", "worksteal")
NOT_MEASURED = ("tests/crash", "tests/hashing_ext")

# One folder for everything cargo compiles, so that no session compiles what another one has.
CARGO_ENV = {"CARGO_TARGET_DIR": str(ROOT / "target"), "PYO3_PYTHON": sys.executable}

PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")


def group(name: str) -> tuple[str, ...]:
    """The requirements of one dependency group of ``pyproject.toml``."""
    return nox.project.dependency_groups(PYPROJECT, name)


def newest_change(folders: Iterable[Path]) -> float:
    """When a file below ``folders`` was last written, in seconds since 1970."""
    files = (path for folder in folders for path in folder.rglob("*"))
    built = {"__pycache__", "target"}
    return max(
        path.stat().st_mtime
        for path in files
        if path.is_file() and not built.intersection(path.parts)
    )


def require_cargo(session: nox.Session) -> None:
    if shutil.which("cargo") is None:
        session.error(
            "cargo was not found, and the native package is written in Rust. "
            "Install it as https://rustup.rs says, open a new shell, and run nox again."
        )


def extension_wheel(session: nox.Session) -> Path:
    """The wheel of the native package, built once for each state of its sources."""
    built = sorted(WHEELS.glob("modelcellar_hashing-*.whl"))
    if len(built) == 1 and built[0].stat().st_mtime > newest_change([EXTENSION]):
        return built[0]
    require_cargo(session)
    shutil.rmtree(WHEELS, ignore_errors=True)
    to_wheels = ("--no-deps", "--wheel-dir", str(WHEELS))
    session.run("python", "-m", "pip", "wheel", *to_wheels, str(EXTENSION), env=CARGO_ENV)
    return next(WHEELS.glob("modelcellar_hashing-*.whl"))


def install_packages(session: nox.Session, *requirements: str) -> None:
    """The three packages as a user gets them, not editable, and ``requirements``."""
    # Without --force-reinstall pip keeps an older wheel that has the same version number.
    session.install("--force-reinstall", "--no-deps", str(extension_wheel(session)))
    session.install(str(CORE), str(CLI), *requirements)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lint rules and the layers of the imports."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    search_path = os.pathsep.join(map(str, SOURCE_FOLDERS))
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": search_path})


@nox.session
def typing(session: nox.Session) -> None:
    """Strict types in all three packages, and the native module against its stub."""
    install_packages(session, *group("typing"))
    session.run("mypy")
    session.run("python", "-m", "mypy.stubtest", "modelcellar_hashing._native")


@nox.session(venv_backend="none")
def rust(session: nox.Session) -> None:
    """Formatting, clippy with and without Python, and the tests of the engine without Python."""
    require_cargo(session)
    session.chdir(EXTENSION)
    warnings_are_errors = ("--", "-D", "warnings")
    clippy = ("cargo", "clippy", "--all-targets")
    session.run("cargo", "fmt", "--check", external=True)
    session.run(*clippy, *warnings_are_errors, env=CARGO_ENV, external=True)
    session.run(
        *clippy, "--no-default-features", *warnings_are_errors, env=CARGO_ENV, external=True
    )
    session.run("cargo", "test", "--no-default-features", env=CARGO_ENV, external=True)


@nox.session(venv_backend="none")
def sanitize(session: nox.Session) -> None:
    """The tests of the engine under AddressSanitizer; needs Rust's nightly tool chain."""
    require_cargo(session)
    host = session.run("rustc", "-vV", external=True, silent=True)
    target = next(line.split()[1] for line in str(host).splitlines() if line.startswith("host:"))
    session.chdir(EXTENSION)
    # A folder of its own: with other flags everything is compiled again.
    env = {"RUSTFLAGS": "-Zsanitizer=address", "CARGO_TARGET_DIR": str(ROOT / "target" / "asan")}
    test = ("cargo", "+nightly", "test", "--no-default-features", "--target", target)
    session.run(*test, env=env, external=True)


def run_all_tests(session: nox.Session) -> None:
    """Run every test and leave one coverage file, whether or not the tests pass.

    The tests of the native package and those that cut, kill and trace processes are not measured:
    they take several times as long when they are, and reach no line that the others do not.
    """
    session.run("coverage", "erase")
    try:
        ignored = [f"--ignore={folder}" for folder in NOT_MEASURED]
        session.run("coverage", "run", "-m", "pytest", *AT_ONCE, *ignored)
    finally:
        session.run("coverage", "combine", "--quiet", silent=True)
    session.run("pytest", *AT_ONCE, *NOT_MEASURED)


@nox.session
def chaos(session: nox.Session) -> None:
    """2,000 downloads under anything that may go wrong; the tests make 150 of them."""
    install_packages(session, *group("test"))
    env = {"MODELCELLAR_CHAOS_RUNS": "2000"}
    session.run("pytest", "-s", "tests/crash/test_download_chaos.py", env=env)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, with its coverage recorded; with arguments, what pytest makes of them."""
    install_packages(session, *group("test"))
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        run_all_tests(session)


@nox.session
def coverage(session: nox.Session) -> None:
    """Report what the last run of all tests covered; run them only if something changed since."""
    sources = [CORE, CLI, EXTENSION, ROOT / "tests"]
    if COVERAGE_DATA.exists() and COVERAGE_DATA.stat().st_mtime > newest_change(sources):
        session.install(*group("coverage"))
    else:
        install_packages(session, *group("test"))
        run_all_tests(session)
    session.run("coverage", "report")


@nox.session
def build(session: nox.Session) -> None:
    """A wheel and an sdist of each package, each installed alone in a clean place and imported."""
    require_cargo(session)
    session.install("build", "virtualenv")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in (EXTENSION, CORE, CLI):
        session.run("python", "-m", "build", "--outdir", str(dist), str(package), env=CARGO_ENV)
    imported = {
        "modelcellar_hashing": "modelcellar_hashing.hash_file",
        "modelcellar": "modelcellar.ModelLibrary",
        "modelcellar_cli": "modelcellar_cli.main",
    }
    for name, needed in imported.items():
        for built in (*dist.glob(f"{name}-*.whl"), *dist.glob(f"{name}-*.tar.gz")):
            install_alone(session, built, dist=dist, needed=needed)


def install_alone(session: nox.Session, built: Path, *, dist: Path, needed: str) -> None:
    """Install one file into an empty environment, its sisters coming from ``dist``, and use it."""
    place = Path(session.create_tmp()) / "alone"
    session.run("virtualenv", "--clear", "--quiet", str(place))
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = (str(python), "-m", "pip", "install", "--quiet", "--find-links", str(dist))
    session.run(*install, str(built), env=CARGO_ENV, external=True)
    check = f"import pkgutil; pkgutil.resolve_name({needed!r})"
    session.run(str(python), "-I", "-c", check, external=True)


@nox.session
@nox.parametrize("client", HUB_CLIENTS)
def hub_clients(session: nox.Session, client: str) -> None:
    """The fake Hub of the tests against the Hub's own client, an environment for each version.

    Not part of a plain run: it installs what nothing here needs, and takes a minute of waiting.
    Run it after every change of ``tests/support/fake_hub``; when an outcome that is pinned in
    ``tests/fake_hub/client_chaos.py`` is another one, it is the fake that is suspect.

    Afterwards the client reads, and deletes from, a cache that the library has put its links into.
    """
    session.install(f"huggingface_hub=={client}")
    session.run("python", "-m", "tests.fake_hub.client_driver", *session.posargs)
    if not session.posargs:
        install_packages(session, *group("test"))
        session.run("pytest", "tests/core/links/test_hub_cache.py")


@nox.session
def live(session: nox.Session) -> None:
    """Ask the real hosts whether they still answer as the fakes do; needs a network."""
    install_packages(session)
    session.run("python", "-m", "tests.live.smoke")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, on an otherwise idle machine; writes docs/speed.md unless ``-k`` is given."""
    install_packages(session, *group("bench"))
    if any(argument.startswith("-k") for argument in session.posargs):
        session.run("pytest", "benchmarks", *session.posargs)
        return
    shutil.rmtree(BENCH_RESULTS, ignore_errors=True)
    try:
        session.run("pytest", "benchmarks", *session.posargs)
    finally:
        # Bars that were missed are published like those that were met.
        session.run("python", "-m", "benchmarks.publish", str(BENCH_RESULTS))
