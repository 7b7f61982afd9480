from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

DOCS = (Path(__file__).parents[2] / "docs" / "trust.md").read_text()


def test_the_example_of_the_documentation_runs_and_says_what_it_should() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "docs/trust.md", "exec"), {})
    peers, items, repaired, blocked = said.getvalue().splitlines()
    assert "('bob', 0.5" in peers
    assert "'bob', 0.6" in peers
    assert items.startswith(("folk 2", "folk 3"))
    assert items.endswith("20001")
    assert int(repaired.split()[0]) > 1_000
    assert float(blocked) == 0.0
