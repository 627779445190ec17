"""Installs the node, its parameters, and the repository's launch files and models, which live at the top level."""

from glob import glob

from setuptools import find_packages, setup

NAME = "sarl_perception"
SHARE = f"share/{NAME}"

launch_files = glob("../../../launch/*.launch.py")
assert launch_files, "no launch files in ../../../launch: build from a checkout of the whole repository"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/config", glob("config/*")),
        (f"{SHARE}/launch", launch_files),
        (f"{SHARE}/models", glob("../../../models/*.onnx")),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="SARL maintainers",
    maintainer_email="sarl-maintainers@users.noreply.github.com",
    description="Camera images of a tactile fingertip in; edge pose, contact, force and material out.",
    license="MIT",
    entry_points={"console_scripts": ["perception_node = sarl_perception.perception_node:main"]},
)
