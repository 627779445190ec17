"""Installs the simulated camera and the measurement of published poses against ground truth."""

from setuptools import find_packages, setup

NAME = "sarl_demo"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="SARL maintainers",
    maintainer_email="sarl-maintainers@users.noreply.github.com",
    description="Simulated tactile camera with ground truth, and the measurement of the perception node against it.",
    license="MIT",
    entry_points={
        "console_scripts": [
            "simulated_camera = sarl_demo.simulated_camera:main",
            "recorder = sarl_demo.recorder:main",
            "measure = sarl_demo.measure:main",
        ]
    },
)
