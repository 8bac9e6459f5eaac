import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from composer import lazy

ROOT = Path(__file__).parent.parent


def in_a_process(code: str, folder: Path) -> str:
    """What a program prints, run with `folder` at the head of its path."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_heavy_import_waits_for_its_first_use(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("print('loaded')\nvalue = 7\n", encoding="utf-8")
    said = in_a_process(
        """
        from composer import lazy
        with lazy.deferred():
            import torch
        print("before")
        print(torch.value)
        print(torch.value)
        """,
        tmp_path,
    )
    assert said.split() == ["before", "loaded", "7", "7"]


def test_a_package_that_is_not_there_fails_when_it_is_used(tmp_path: Path) -> None:
    said = in_a_process(
        """
        import sys
        from composer import lazy
        sys.path_importer_cache.clear()
        sys.path[:] = [each for each in sys.path if "site-packages" not in each]
        with lazy.deferred():
            import onnxruntime
        print("before")
        try:
            onnxruntime.InferenceSession
        except ModuleNotFoundError as exc:
            print(exc.name)
        """,
        tmp_path,
    )
    assert said.split() == ["before", "onnxruntime"]


def test_an_import_outside_finds_out_by_itself(tmp_path: Path) -> None:
    said = in_a_process(
        """
        import sys
        from composer import lazy
        sys.path[:] = [each for each in sys.path if "site-packages" not in each]
        with lazy.deferred():
            import onnxruntime
        try:
            import onnxruntime
        except ImportError:
            print("missing")
        """,
        tmp_path,
    )
    assert said.split() == ["missing"]


def test_a_part_of_a_deferred_package_loads_the_package_first(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("print('whole')\n", encoding="utf-8")
    (tmp_path / "torch" / "nn.py").write_text("print('part')\n", encoding="utf-8")
    said = in_a_process(
        """
        from composer import lazy
        with lazy.deferred():
            import torch
        import torch.nn
        """,
        tmp_path,
    )
    assert said.split() == ["whole", "part"]


def test_a_part_that_its_package_loads_is_loaded_once(tmp_path: Path) -> None:
    """As NumPy's C interface is imported by those who are built upon it."""
    package = tmp_path / "numpy"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("from numpy import core\n", encoding="utf-8")
    (package / "core" / "__init__.py").write_text(
        "print('core')\nfrom numpy.core import part\n", encoding="utf-8"
    )
    (package / "core" / "part.py").write_text("print('part')\nvalue = 7\n", encoding="utf-8")
    said = in_a_process(
        """
        import sys
        from composer import lazy
        with lazy.deferred():
            import numpy
        import numpy.core.part
        assert numpy.core is sys.modules["numpy.core"]
        assert numpy.core.__spec__.submodule_search_locations
        print(numpy.core.part.value)
        """,
        tmp_path,
    )
    assert said.split() == ["core", "part", "7"]


def test_many_threads_may_use_a_deferred_module_first(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(
        "import threading\nprint('loaded')\nthreading.Event().wait(0.05)\nvalue = 7\n",
        encoding="utf-8",
    )
    said = in_a_process(
        """
        import threading
        from composer import lazy
        with lazy.deferred():
            import torch
        gate = threading.Barrier(8)
        found = []
        def use():
            gate.wait(10)
            found.append(torch.value)
        threads = [threading.Thread(target=use) for _ in range(8)]
        for each in threads: each.start()
        for each in threads: each.join(10)
        print(len(found))
        """,
        tmp_path,
    )
    assert said.split() == ["loaded", "8"]


def test_checking_a_file_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('not now')\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            from collections.abc import Iterator
            import av
            import numpy as np
            import torch
            from composer import RGB, Node

            class Source(Node):
                def process(self) -> Iterator[RGB]:
                    yield np.zeros((2, 2, 3))

            class Sink(Node):
                def process(self, image: RGB) -> None:
                    torch.tensor(image)
            """
        ),
        encoding="utf-8",
    )
    (tmp_path / "p.yaml").write_text(
        "version: 1\nnodes: {s: {type: './mine.py:Source'}, o: {type: './mine.py:Sink'}}\n",
        encoding="utf-8",
    )
    said = in_a_process(
        """
        import sys
        from pathlib import Path
        from composer.compiler import compile as compiler
        from composer.node.registry import Registry
        compiled = compiler.compile_file(Path("p.yaml"), Registry())
        assert compiled.graph is not None, compiled.problems
        assert compiler.plan_of(compiled)
        print([name for name in ("av.frame", "numpy._core", "aiohttp") if name in sys.modules])
        """,
        tmp_path,
    )
    assert said.strip() == "[]"


def test_any_other_module_is_left_as_it_is() -> None:
    with lazy.deferred():
        module = importlib.import_module("json")
    assert module.loads("1") == 1
    lazy.load(module)


def test_deferring_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    with lazy.deferred(), pytest.raises(ZeroDivisionError):
        1 / 0  # noqa: B018
    assert lazy._finder.depth == 0


def test_a_deferred_load_and_an_import_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """One thread loads torch, which imports plain.sub; another one is importing plain.sub."""
    (tmp_path / "torch.py").write_text(
        "import events\nevents.loading.set()\nevents.inside.wait(9)\nimport plain.sub\nvalue = 7\n"
    )
    (tmp_path / "events.py").write_text(
        "import threading\nloading, inside = threading.Event(), threading.Event()\n"
    )
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "__init__.py").write_text("")
    (tmp_path / "plain" / "sub.py").write_text("")
    said = in_a_process(
        """
        import importlib, os, sys, threading
        from composer import lazy
        import events, plain
        with lazy.deferred():
            import torch

        class Spy:
            def find_spec(self, name, path, target=None):
                if name == "plain.sub":
                    events.inside.set()  # its import lock is held from here on

        sys.meta_path.insert(0, Spy())

        def imports():
            events.loading.wait(9)
            importlib.import_module("plain.sub")

        threads = [
            threading.Thread(target=lambda: torch.value, daemon=True),
            threading.Thread(target=imports, daemon=True),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        print([thread.is_alive() for thread in threads], flush=True)
        os._exit(0)
        """,
        tmp_path,
    )
    assert said.strip() == "[False, False]"
