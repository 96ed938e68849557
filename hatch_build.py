"""Build hook: a wheel carries cli.py, the problems and the solutions inside the `grader` package, so that nothing of
ours but `grader` lands at the top of site-packages. An editable install copies nothing: it uses the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BankInsideTheWheel(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"].update({
                "cli.py": "grader/cli.py",
                "problems": "grader/bank_files/problems",
                "solutions": "grader/bank_files/solutions",
                "docs/questions": "grader/bank_files/docs/questions",
                "docs/errata.toml": "grader/bank_files/docs/errata.toml",
            })
