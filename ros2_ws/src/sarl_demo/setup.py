"""Installs the simulated cameras, the edge follower, and the programs that measure them against ground truth."""

from setuptools import find_packages, setup

NAME = "sarl_demo"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/config", ["config/servo.yaml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="SARL maintainers",
    maintainer_email="sarl-maintainers@users.noreply.github.com",
    description="Simulated tactile cameras with ground truth, an edge follower, and their measurement.",
    license="MIT",
    entry_points={
        "console_scripts": [
            "simulated_camera = sarl_demo.simulated_camera:main",
            "recorder = sarl_demo.recorder:main",
            "measure = sarl_demo.measure:main",
            "outline_camera = sarl_demo.outline_camera:main",
            "edge_follower = sarl_demo.edge_follower:main",
            "servo = sarl_demo.servo:main",
        ]
    },
)
