"""A Cython module that calls the C library inside the installed package pynn."""

from setuptools import Extension, setup

import pynn

setup(
    ext_modules=[
        Extension(
            "pynn_sample._fast",
            ["src/pynn_sample/_fast.pyx"],
            include_dirs=[pynn.get_include()],
            library_dirs=[pynn.get_library_dir()],
            libraries=["pynn", "m"],
            extra_link_args=["-pthread"],
        )
    ]
)
