"""Serves the study site on loopback and rebuilds it when a source changes. Never listens to the network."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from grader.errors import PrepError
from grader.paths import bank_root
from grader.site.build import Report, Site
from grader.site.render import STATIC, TEMPLATES

POLL_S = 0.3
Tell = Callable[[Report | PrepError], None]


class Server:
    """The site behind http://127.0.0.1:PORT/, kept up to date by a thread that looks at the sources' times."""

    def __init__(self, out: Path, *, port: int = 8000, root: Path | None = None, tell: Tell) -> None:
        """port: 0 takes a free one. tell: hears of every build, and of every mistake in a source.

        Raises PrepError if the port is taken, or if the first build cannot be made.
        """
        self._site = Site(root or bank_root(), out, draft=True)
        self._tell = tell
        self._stop = threading.Event()
        self._seen = self._sources()
        tell(self._site.build())
        handler = partial(_Handler, directory=str(out))
        try:
            self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise PrepError(f"Port {port} cannot be opened: {error.strerror}.",
                            f"Try another one:  prep site serve --port {port + 1}") from None
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/"

    def run(self) -> None:
        """Serve until close() or Ctrl-C."""
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            self._http.serve_forever(poll_interval=0.1)
        finally:
            self._stop.set()
            watcher.join()
            self._http.server_close()

    def close(self) -> None:
        """Make run() return. From another thread."""
        self._http.shutdown()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            now = self._sources()
            if now == self._seen:
                continue
            self._seen = now
            try:
                self._tell(self._site.build())
            except PrepError as error:  # a half-written source: the site stays as it was
                self._tell(error)

    def _sources(self) -> dict[Path, int]:
        root = self._site.root
        folders = [(root / name, "**/*") for name in ("docs/questions", "problems", "solutions")]
        files = [root / "docs" / "errata.toml", *(path for folder, pattern in
                 (*folders, (TEMPLATES, "*"), (STATIC, "*")) for path in folder.glob(pattern))]
        times = {}
        for path in files:
            try:
                times[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # an editor that saves by renaming
                pass
        return times


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, never cached, nothing logged."""

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """A text's type, with its encoding: a page says so itself, a script or a style sheet does not."""
        guessed = super().guess_type(path)
        return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
