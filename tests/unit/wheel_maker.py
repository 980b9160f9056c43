"""Packages of one line, which install without a network."""

import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, value: int, needs: str = "") -> str:
    """Writes a package of one line and a program; returns the requirement that installs it. needs: another package."""
    path = folder / f"{name}-{value}-py3-none-any.whl"
    info = f"{name}-{value}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"value = {value}\ndef say():\n    print(value)\n")
        more = f"Requires-Dist: {needs}\n" if needs else ""
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {value}\n{more}")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/entry_points.txt", f"[console_scripts]\nsay-{name} = {name}:say\n")
        file.writestr(f"{info}/RECORD", "")
    return f"{name}=={value}\n"
