"""The package's directories: the library, and pretrained/ as a part of it. All else is in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

names = [path.parent.name for path in sorted(Path("pretrained").glob("*/config.yaml"))]
shipped = [f"mimic.pretrained.{name}" for name in names if name.isidentifier()]  # no fast_t.old
setup(
    packages=[*find_packages("pyscripts", include=["mimic*"]), "mimic.pretrained", *shipped],
    package_dir={"": "pyscripts", "mimic.pretrained": "pretrained"},
    package_data={
        "mimic.deploy": ["page/*", "examples/*"],
        "mimic.decoding.wfst.compiled": ["*.cpp", "*.h"],
        "mimic.nets.compiled": ["*.cpp", "*.h"],
        "mimic.pretrained": ["default"],
        **{package: ["*"] for package in shipped},
    },
)
