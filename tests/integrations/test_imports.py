"""Optional packages are imported when they are used, and missed with the command that installs them."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pytorch_lightning", "lightning", "transformers", "torch_geometric", "matplotlib", "scipy", "sklearn")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_the_library_imports_no_optional_package() -> None:
    code = f"import sys, equilatent, equilatent.integrations; print([n for n in {HEAVY} if n in sys.modules])"
    assert run(code) == "[]"


def test_importing_the_library_adds_little_to_importing_torch() -> None:
    code = "import torch, time; start = time.process_time(); import equilatent; print(time.process_time() - start)"
    assert min(float(run(code)) for _ in range(2)) < 0.2


def test_without_lightning_the_message_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['pytorch_lightning'] = None\n"
        "import equilatent as eq\n"
        "try: eq.integrations.lightning\n"
        "except eq.errors.MissingDependencyError as error: print(error)"
    )
    assert "pip install 'pytorch-lightning>=2.6.6'" in run(code)
